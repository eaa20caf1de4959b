"""Shapes of what is configured on a host: what the store keeps and what a worker is given."""

from __future__ import annotations

from enum import StrEnum

from volrep.model.shape import Shape


class Role(StrEnum):
    PRIMARY = "primary"
    SECONDARY = "secondary"


class VolumeKind(StrEnum):
    FILE = "file"
    BLOCK = "block"


class StartMethod(StrEnum):
    """How a Secondary is made equal: `startrep` -a, -b, -f; after a change of roles by shared history; fbsync."""

    AUTOSYNC = "autosync"
    BLANK = "blank"
    FORCE = "force"
    FOLLOW = "follow"  # nothing is copied: it goes on where it is, or the link becomes STALE
    FAILBACK = "failback"  # what either side wrote since their logs parted is copied


class Startup(StrEnum):
    """What a starting Primary does while a Secondary cannot be asked whether it took over meanwhile."""

    SERVE = "serve"  # asks for a moment, then opens its exports
    ASK_PEERS = "ask-peers"  # keeps them closed until every attached Secondary has answered, or an operator says so


class VolumeConfig(Shape):
    """A volume of a disk group on one host. `volume_id` is fresh whenever the volume is created or added."""

    dg: str
    name: str
    path: str
    size_bytes: int
    kind: VolumeKind
    volume_id: str
    created_by_us: bool  # destroy removes the file only then


class RvgVolume(Shape):
    """A volume in its use by an RVG. `index` is what log records carry; the SRL has index -1."""

    index: int
    name: str
    path: str
    size_bytes: int
    volume_id: str


class LinkConfig(Shape):
    """One end of a pairing. `key` (hex, 32 bytes) authenticates both ends when encryption is off."""

    link_id: str
    name: str
    remote_host: str
    remote_address: str
    remote_port: int
    peer_certificate: str  # PEM, pinned: the only certificate this end accepts
    key: str
    attributes: dict[str, str] = {}


class ExportConfig(Shape):
    """`listen` is `unix:PATH` or `tcp:ADDRESS:PORT`."""

    volume: str
    listen: str


class RvgConfig(Shape, kw_only=True):
    """All that a worker needs to know of its RVG. Delivered whole at each change; the worker acts on the difference."""

    rds_id: str
    rvg_id: str
    dg: str
    name: str
    host: str
    role: Role
    srl: RvgVolume
    volumes: list[RvgVolume]
    links: list[LinkConfig] = []
    exports: list[ExportConfig] = []
    startup: Startup = Startup.SERVE
    certificate_path: str  # this engine's own, PEM
    private_key_path: str
    accept: str = ""  # damage that the operator has agreed to for this one start (`volrep.model.damage`)
