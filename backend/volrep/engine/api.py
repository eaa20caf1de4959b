"""The control API of an engine: one declaration from which server, client and command line derive.

Wire: JSON-RPC 2.0, one object per line, over the engine's unix socket (its owner only), or over SSH
through `volrep engine connect`, which joins stdin and stdout to that socket. Errors carry
`VolrepError.wire()` in `error.data`. Every changing method is idempotent: said again after a crash it finds
its work done. See docs/formats.md, "Control API".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from volrep.model.config import ExportConfig, LinkConfig, Role, RvgConfig, StartMethod, VolumeConfig
from volrep.model.hooks import HookEvent, HookReport, HookRun
from volrep.model.shape import Shape
from volrep.model.status import Event, RvgStatus, Took
from volrep.model.worker import Demote, Divergence, DivergenceRequest, LogDump, Makesec, Nothing, Promote

LINE_MAX_BYTES = 4 << 20  # an engine with 100 RVGs answers rvg.list below 1 MiB
PROTOCOL = 1


@dataclass(frozen=True, slots=True)
class Method:
    """One call. `changes` says whether it is recorded in the configuration history."""

    name: str
    request: type[Shape]
    response: type[Shape]
    changes: bool
    summary: str


class EngineState(StrEnum):
    """DAMAGED: the configuration is; nothing but `engine.*` is answered until it was rebuilt."""

    SERVING = "serving"
    DAMAGED = "damaged"


class EngineStatus(Shape):
    name: str
    version: str
    protocol: int
    pid: int
    state_dir: str
    port: int
    listen: str
    certificate: str  # PEM: what a peer pins
    fingerprint: str  # SHA-256 of its DER, colon separated
    started_ns: int
    rvgs: int
    state: EngineState = EngineState.SERVING
    problem: str = ""  # why DAMAGED, or what else an operator should know: VR-id and text


class VolumeCreate(Shape):
    dg: str
    name: str
    size_bytes: int
    directory: str = ""  # default: volumes/<dg> in the state directory


class VolumeAdd(Shape):
    dg: str
    name: str
    path: str


class VolumeRef(Shape):
    dg: str
    name: str


class Scope(Shape):
    """Empty strings mean all."""

    dg: str = ""
    name: str = ""


class VolumeInfo(Shape):
    config: VolumeConfig
    rvg: str = ""
    use: str = "free"  # free | data | srl
    export: str = ""  # URI of the first export


class VolumeList(Shape):
    volumes: list[VolumeInfo]


class RvgCreate(Shape):
    """Volumes by name, in index order. Both ids come from the caller, so that saying it again is harmless."""

    rds_id: str
    rvg_id: str
    dg: str
    name: str
    role: Role
    volumes: list[str]
    srl: str


class RvgRef(Shape):
    dg: str
    name: str


class RvgDelete(Shape):
    dg: str
    name: str
    force: bool = False  # also with exports in use


class RvgRecover(Shape):
    """`accept`: what may be given up, as `Damage.accept` of the status says it; empty: nothing."""

    dg: str
    name: str
    accept: str = ""


class RvgAslog(Shape):
    dg: str
    name: str
    srl: str
    force: bool = False  # also with exports in use


class VolumeReplace(Shape):
    """`path` empty: a fresh file where the old one was."""

    dg: str
    name: str
    path: str = ""
    force: bool = False  # also with exports in use


class RvgInfo(Shape):
    """`status` is None while the worker is down or still recovering; `problem` then says why.

    Private parts of the configuration (link keys) are blank here.
    """

    config: RvgConfig
    status: RvgStatus | None
    problem: str = ""
    worker_pid: int = 0
    worker_restarts: int = 0
    key_prints: dict[str, str] = {}  # link id -> 16 hex digits that both ends have alike
    took: dict[str, Took] = {}  # steps of role changes: a method, or "hook EVENT"


class RvgDemote(Demote, kw_only=True):
    dg: str
    rvg: str


class RvgDemoted(Shape):
    """`end_lsn`: where the log of the former Primary ends; the next one's must end there, too."""

    info: RvgInfo
    end_lsn: int


class RvgPromote(Promote, kw_only=True):
    dg: str
    rvg: str


class RvgMakesec(Makesec, kw_only=True):
    dg: str
    rvg: str


class RvgSet(Shape):
    """`attributes` as `volrep set RVG` takes them: startup."""

    dg: str
    rvg: str
    attributes: dict[str, str]


class RvgDivergenceOf(DivergenceRequest, kw_only=True):
    dg: str
    rvg: str


class RvgList(Shape):
    rvgs: list[RvgInfo]


class LinkAdd(Shape):
    dg: str
    rvg: str
    link: LinkConfig


class LinkOf(Shape):
    dg: str
    rvg: str
    link_id: str


class LinkSet(Shape):
    dg: str
    rvg: str
    link_id: str
    attributes: dict[str, str]


class LinkStartRequest(Shape):
    dg: str
    rvg: str
    link_id: str
    method: StartMethod


class ExportAdd(Shape):
    dg: str
    volume: str
    listen: str = ""  # default: a unix socket in the state directory


class ExportRemove(VolumeRef):
    force: bool = False  # also with connections, which are closed


class ExportInfo(Shape):
    dg: str
    rvg: str
    config: ExportConfig
    uri: str
    connections: int
    closed: str = ""  # why nobody listens there now


class ExportList(Shape):
    exports: list[ExportInfo]


class AttachAdd(Shape):
    dg: str
    volume: str
    mount: str = ""  # directory to mount on, empty: none


class AttachInfo(Shape):
    dg: str
    volume: str
    device: str  # /dev/nbdN or /dev/loopN
    way: str  # how the device was made
    mount: str
    survives_restart: bool  # whether I/O waits for a restarted worker instead of failing


class AttachList(Shape):
    attached: list[AttachInfo]


class EventsRequest(Shape):
    dg: str = ""
    rvg: str = ""
    after_id: int = 0
    limit: int = 100
    wait_s: float = 0.0  # long poll: answer when there is something, at the latest after this


class EventList(Shape):
    events: list[Event]
    last_id: int


class HistoryEntry(Shape):
    id: int
    time_ns: int
    method: str
    request: dict[str, object]
    client: str = ""  # as it named itself in `hello`


class HistoryList(Shape):
    entries: list[HistoryEntry]


class LogDumpOf(Shape):
    dg: str
    rvg: str
    from_lsn: int = 0
    limit: int = 100


class FindRequest(Shape):
    """Where SRLs may lie besides `volumes/`: files, block devices, or directories of such."""

    search: Annotated[list[str], Meta(max_length=100)] = []


class FoundCopy(Shape):
    """`config.copy`, when it is intact."""

    changes: int
    written_ns: int
    rvgs: list[str]  # DG/NAME
    volumes: int
    links: int
    exports: int


class FoundRvg(Shape):
    """An RVG of this host as a living worker or an SRL header describes it; keys of links are blank.

    A volume's path is "" when no file or device of its size was found; `problem` says why it cannot be taken.
    """

    source: str  # worker | header
    config: RvgConfig
    problem: str = ""


class Found(Shape):
    """What `engine rebuild` can build from."""

    state: EngineState
    problem: str
    copied: FoundCopy | None
    copy_problem: str  # why there is none
    rvgs: list[FoundRvg]
    volumes: list[VolumeConfig]  # files of `volumes/` that belong to none of the RVGs
    port: int  # of replication; 0: not known here


class TakeRequest(Shape):
    """One RVG for the configuration being rebuilt. Empty keys of links are those that its living worker has."""

    rvg: RvgConfig


class RestoreRequest(Shape):
    """`from_copy`, or exactly the RVGs taken before (`rvg_ids`) and these volumes. `port` 0: as it was."""

    from_copy: bool
    rvg_ids: list[str] = []
    volumes: list[VolumeConfig] = []
    port: Annotated[int, Meta(ge=0, le=65535)] = 0


class HookInfo(Shape):
    """A program that an event would run; with a `problem` it cannot be run, which counts as failed."""

    event: HookEvent
    name: str
    problem: str = ""


class HookList(Shape):
    directory: str
    hooks: list[HookInfo]


class Hello(Shape):
    """First call of every client: which protocols it speaks, who is asking (for the history)."""

    protocol: int = PROTOCOL
    client: Annotated[str, Meta(max_length=200)] = ""


METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        Method("hello", Hello, EngineStatus, False, "agree on the protocol"),
        Method("engine.status", Nothing, EngineStatus, False, "identity, version, port and certificate"),
        Method("engine.find", FindRequest, Found, False, "what a lost configuration can be rebuilt from"),
        Method("engine.take", TakeRequest, Nothing, False, "one RVG for the configuration being rebuilt"),
        Method("engine.restore", RestoreRequest, EngineStatus, False, "rebuild the configuration and serve it"),
        Method("engine.stop", Nothing, Nothing, False, "stop all workers cleanly, then the engine"),
        Method("volume.create", VolumeCreate, VolumeInfo, True, "create a file-backed volume"),
        Method("volume.add", VolumeAdd, VolumeInfo, True, "take an existing file or block device as a volume"),
        Method("volume.list", Scope, VolumeList, False, "volumes of one or all disk groups"),
        Method("volume.destroy", VolumeRef, Nothing, True, "forget a volume, remove a file created by volrep"),
        Method("rvg.create", RvgCreate, RvgInfo, True, "associate volumes and an SRL, start the worker"),
        Method("rvg.delete", RvgDelete, Nothing, True, "dissociate; volumes keep their data"),
        Method("rvg.recover", RvgRecover, RvgInfo, True, "start the worker of an RVG in FAIL anew"),
        Method("rvg.aslog", RvgAslog, RvgInfo, True, "give the RVG a new SRL, on the same or another volume"),
        Method("volume.replace", VolumeReplace, VolumeInfo, True, "another file or device for a data volume"),
        Method("rvg.list", Scope, RvgList, False, "RVGs with configuration and status"),
        Method("rvg.demote", RvgDemote, RvgDemoted, True, "give the Primary role away when the next Primary has all"),
        Method("rvg.promote", RvgPromote, RvgInfo, True, "take the Primary role: migrate, takeover or elect"),
        Method("rvg.makesec", RvgMakesec, RvgInfo, True, "give way to another Primary: become acting Secondary"),
        Method("rvg.set", RvgSet, RvgInfo, True, "change attributes of an RVG"),
        Method("rvg.serve", RvgRef, RvgInfo, True, "open the exports of a Primary that waits for its peers"),
        Method("rvg.divergence", RvgDivergenceOf, Divergence, False, "what was written here beyond the last fork"),
        Method("link.add", LinkAdd, RvgInfo, True, "create this end of a pairing"),
        Method("link.remove", LinkOf, RvgInfo, True, "remove this end of a pairing"),
        Method("link.set", LinkSet, RvgInfo, True, "change attributes of a link"),
        Method("link.start", LinkStartRequest, RvgInfo, True, "start replication to a Secondary"),
        Method("link.stop", LinkOf, RvgInfo, True, "stop replication: the link becomes STALE"),
        Method("link.pause", LinkOf, RvgInfo, True, "pause: the log keeps what the Secondary misses"),
        Method("link.resume", LinkOf, RvgInfo, True, "resume after a pause"),
        Method("export.add", ExportAdd, ExportInfo, True, "offer a data volume over NBD"),
        Method("export.remove", ExportRemove, Nothing, True, "withdraw the exports of a volume"),
        Method("export.list", Scope, ExportList, False, "exports and their connections"),
        Method("attach.add", AttachAdd, AttachInfo, True, "make a block device of an exported volume"),
        Method("attach.remove", VolumeRef, Nothing, True, "unmount and remove the block device"),
        Method("attach.list", Scope, AttachList, False, "attached volumes"),
        Method("hook.list", Nothing, HookList, False, "programs that role changes run here"),
        Method("hook.run", HookRun, HookReport, True, "run the programs of one event"),
        Method("events.list", EventsRequest, EventList, False, "events, waiting for new ones if asked"),
        Method("history.list", Scope, HistoryList, False, "who changed the configuration, and when"),
        Method("log.dump", LogDumpOf, LogDump, False, "records of an SRL, without their payloads"),
    )
}
