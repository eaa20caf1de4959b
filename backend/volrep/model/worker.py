"""The protocol between an engine and a worker: names and shapes.

JSON lines over the worker's unix stream socket, at most `LINE_MAX_BYTES` each.

    engine -> worker   {"id": 7, "method": "status", "params": {...}}
    worker -> engine   {"id": 7, "result": {...}}  or  {"id": 7, "error": VolrepError.wire()}
    worker -> engine   {"event": {"type": "rlk_connect", "message": "...", "time_ns": ...}}

`link.accept` carries the accepted connection as SCM_RIGHTS ancillary data of its line's bytes. One engine
connection at a time: a newer one replaces the older (a restarted engine adopts a living worker).
Events that happen while no engine is connected wait in a bounded queue (`EVENTS_WAITING_MAX`, the oldest dropped).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from volrep.model.config import StartMethod
from volrep.model.shape import Shape
from volrep.model.status import SinceFork

LINE_MAX_BYTES = 1 << 20  # 32 links with certificates of 1 KiB and 1,000 volumes stay below half of it
EVENTS_WAITING_MAX = 1000


class WorkerMethod(StrEnum):
    CONFIGURE = "configure"  # RvgConfig -> RvgStatus; opens, recovers, listens; idempotent
    CONFIG = "config"  # Nothing -> RvgConfig as last delivered, keys included: for an engine that has lost its own
    STATUS = "status"  # Nothing -> RvgStatus
    LINK_START = "link.start"  # LinkStart -> RvgStatus
    LINK_STOP = "link.stop"  # LinkRef -> RvgStatus
    LINK_PAUSE = "link.pause"  # LinkRef -> RvgStatus
    LINK_RESUME = "link.resume"  # LinkRef -> RvgStatus
    LINK_ACCEPT = "link.accept"  # LinkRef + descriptor -> Nothing
    DEMOTE = "demote"  # Demote -> RvgStatus; when the next Primary has everything
    PROMOTE = "promote"  # Promote -> RvgStatus
    MAKESEC = "makesec"  # Makesec -> RvgStatus
    SERVE = "serve"  # Nothing -> RvgStatus; wait for no peer any more
    DIVERGENCE = "divergence"  # DivergenceRequest -> Divergence
    LOG_DUMP = "log.dump"  # LogDumpRequest -> LogDump
    SHUTDOWN = "shutdown"  # Nothing -> Nothing; checkpoint, clean header, exit 0


class Nothing(Shape):
    pass


class LinkRef(Shape):
    link_id: str


class LinkStart(Shape):
    link_id: str
    method: StartMethod


class Demote(Shape):
    """`link_id`: of the link to the next Primary; empty: none has to have everything."""

    drain: bool = False  # close exports that are in use
    link_id: str = ""
    wait_s: Annotated[float, Meta(ge=0, le=600)] = 10.0


class PromoteHow(StrEnum):
    MIGRATE = "migrate"  # the log here must end at `expect_lsn`, where the old Primary's does
    TAKEOVER = "takeover"
    ELECT = "elect"  # above every reign that is known


class Promote(Shape):
    """`new_reign` comes from the caller, so that saying it again is harmless."""

    how: PromoteHow
    new_reign: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
    expect_lsn: int = 0
    committed_lsn: int = 0  # takeover: the log of another host proves that the old Primary's was durable up to here
    failback: bool = True  # mark the regions written from now on
    autofb: bool = False
    salvage: bool = False  # takeover: also of a Secondary whose damaged log was cut


class Makesec(Shape):
    force: bool = False  # also when no other reign is known, or exports are in use


class DivergenceRequest(Shape):
    after: int = 0  # regions already had
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000


class DivergedVolume(Shape):
    name: str
    writes: int
    bytes: int
    regions_bytes: int


class DivergedRegion(Shape):
    volume: str
    offset: int
    length: int


class Divergence(Shape):
    """What was written here beyond the fork. `next`: for `after`, when there are more regions; 0 otherwise."""

    fork_lsn: int
    since_fork: SinceFork | None
    volumes: list[DivergedVolume]
    regions: list[DivergedRegion]
    next: int


class LogDumpRequest(Shape):
    from_lsn: int = 0  # 0: the log's tail
    limit: int = 100  # records, at most LOG_DUMP_MAX


LOG_DUMP_MAX = 1000


class LogRecord(Shape):
    lsn: int
    type: str
    generation: int
    incarnation: int
    volume: str
    offset: int
    length: int
    time_ns: int
    durable_lsn: int


class LogDump(Shape):
    header: dict[str, object]
    records: list[LogRecord]
    next_lsn: int
