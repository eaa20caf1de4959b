"""Replication attributes of a link: VVR's names, the values they take, which work in this version."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from volrep.model.config import Startup
from volrep.model.errors import VolrepError
from volrep.model.messages import usage


@dataclass(frozen=True, slots=True)
class Attribute:
    """`values` is what may be written; empty means free form, checked by a later version."""

    name: str
    values: tuple[str, ...]
    default: str
    available: bool
    help: str


LINK_ATTRIBUTES: dict[str, Attribute] = {
    a.name: a
    for a in (
        Attribute("synchronous", ("off", "override"), "off", True,
                  "off: writes complete when durable here; override: also when the Secondary has them, "
                  "as long as it is connected and has caught up"),
        Attribute("sync_ack", ("network", "data"), "network", True,
                  "what a synchronous write waits for: in the Secondary's memory, or durable in its SRL"),
        Attribute("encryption", ("tls", "off"), "tls", True,
                  "tls: TLS 1.3 with pinned certificates; off: mutual authentication only, data in the clear"),
        Attribute("srlprot", ("off",), "off", True,
                  "off: when the SRL fills because of this Secondary its link goes STALE"),
        Attribute("latencyprot", (), "off", False, "limit of writes outstanding"),
        Attribute("latency_high_mark", (), "10000", False, "writes outstanding at which latencyprot acts"),
        Attribute("latency_low_mark", (), "9950", False, "writes outstanding at which latencyprot lets go"),
        Attribute("latency_high_time", (), "", False, "seconds behind at which latencyprot acts"),
        Attribute("bandwidth_limit", (), "none", False, "limit of the rate sent to this Secondary"),
        Attribute("protocol", (), "TCP", False, "transport"),
        Attribute("compression", (), "off", False, "off, lz4 or zstd"),
        Attribute("streams", (), "1", False, "TCP connections of the link"),
        Attribute("checkpoint", (), "", False, "checkpoint the link starts from"),
        Attribute("auto_resync", (), "on", False, "resynchronize without being told"),
        Attribute("resync_snapshot", (), "on", False, "keep the last consistent image while resynchronizing"),
    )
}

RVG_ATTRIBUTES: dict[str, Attribute] = {
    a.name: a
    for a in (
        Attribute("startup", tuple(Startup), Startup.SERVE, True,
                  "what a starting Primary does while a Secondary cannot be asked whether it took over: serve after a "
                  "moment, or ask-peers until every attached one has answered"),
    )
}

AVAILABLE = tuple(name for name, a in LINK_ATTRIBUTES.items() if a.available)


def check_attributes(given: Mapping[str, str]) -> dict[str, str]:
    """The given attributes, validated. Raises VR-1020 (unknown), VR-1021 (not yet), VR-1022 (bad value)."""
    for name, value in given.items():
        attribute = LINK_ATTRIBUTES.get(name)
        if attribute is None:
            near = difflib.get_close_matches(name, LINK_ATTRIBUTES, n=1)
            raise VolrepError(usage.UNKNOWN_ATTRIBUTE, name=name, known=", ".join(near or AVAILABLE))
        if not attribute.available:
            raise VolrepError(usage.ATTRIBUTE_NOT_YET, name=name, available=", ".join(AVAILABLE))
        if value not in attribute.values:
            raise VolrepError(usage.BAD_ATTRIBUTE, name=name, value=value, allowed=", ".join(attribute.values))
    return dict(given)


def check_rvg_attributes(given: Mapping[str, str]) -> dict[str, str]:
    """The same for an RVG. Raises VR-1020 (unknown), VR-1022 (bad value)."""
    for name, value in given.items():
        attribute = RVG_ATTRIBUTES.get(name)
        if attribute is None:
            raise VolrepError(usage.UNKNOWN_ATTRIBUTE, name=name, known=", ".join(RVG_ATTRIBUTES))
        if value not in attribute.values:
            raise VolrepError(usage.BAD_ATTRIBUTE, name=name, value=value, allowed=", ".join(attribute.values))
    return dict(given)


def split_attributes(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """(those of the RVG, those of its links), validated. Raises VR-1020 to VR-1022."""
    own = {name: value for name, value in given.items() if name in RVG_ATTRIBUTES}
    return check_rvg_attributes(own), check_attributes({k: v for k, v in given.items() if k not in own})


def effective(given: Mapping[str, str]) -> dict[str, str]:
    """The available attributes with defaults filled in."""
    return {name: given.get(name, LINK_ATTRIBUTES[name].default) for name in AVAILABLE}
