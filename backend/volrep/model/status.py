"""Shapes of what is observed: reported by workers and engines, shown by CLI and console."""

from __future__ import annotations

from enum import StrEnum

from volrep.model.config import Role
from volrep.model.damage import Damage, LostRecord, Salvage
from volrep.model.shape import Shape
from volrep.model.units import Reign


class RvgState(StrEnum):
    EMPTY = "EMPTY"
    CLEAN = "CLEAN"
    ACTIVE = "ACTIVE"
    FAIL = "FAIL"


class KState(StrEnum):
    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    RECOVER = "RECOVER"


class LinkState(StrEnum):
    UNASSOC = "UNASSOC"
    STALE = "STALE"
    ACTIVE = "ACTIVE"
    PAUSE = "PAUSE"
    FAIL = "FAIL"


class LinkKState(StrEnum):
    CONNECT = "CONNECT"
    ENABLED = "ENABLED"
    DETACHED = "DETACHED"


class SyncStatus(Shape):
    """Progress of an initial synchronization. `left_s` is None while no rate is known."""

    method: str
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float
    left_s: float | None


class LinkStatus(Shape):
    """One end of a pairing as its worker sees it. LSNs are log positions; `behind_*` is counted to the data ack."""

    link_id: str
    name: str
    remote_host: str
    state: LinkState
    kstate: LinkKState
    flags: list[str]  # VVR's RLINK flags
    connected: bool
    reason: str = ""  # why not connected, paused or STALE
    attributes: dict[str, str] = {}
    current_mode: str = "N/A"  # synchronous | asynchronous | N/A: the contract in force now
    consistent: bool = False
    sent_lsn: int = 0
    network_lsn: int = 0
    data_lsn: int = 0
    applied_lsn: int = 0
    behind_writes: int = 0
    behind_bytes: int = 0
    behind_s: float = 0.0
    sent_bytes: int = 0  # since the worker started, log and regions
    proved_from_lsn: int = 0  # both logs, read back from their disks, are equal from here ...
    proved_lsn: int = 0  # ... to here
    verify_problem: str = ""  # what was found where they were not, by each side's own records
    mismatches: int = 0  # since the worker started: what arrived with a wrong checksum and was fetched again
    sync: SyncStatus | None = None


class SrlStatus(Shape, kw_only=True):
    """`state` is ENABLED, or FAIL when it is what put the RVG into FAIL."""

    name: str
    state: str = "ENABLED"
    size_bytes: int
    capacity_bytes: int
    tail_lsn: int
    end_lsn: int
    durable_lsn: int
    applied_lsn: int
    used_bytes: int


class VolumeStatus(Shape, kw_only=True):
    """`state` is ENABLED; FAIL when it put the RVG into FAIL; DISABLED when another part did."""

    index: int
    name: str
    state: str = "ENABLED"
    size_bytes: int
    exported: list[str] = []  # URIs
    open_connections: int = 0


class Recovered(Shape):
    """How the log was found at the start. `given_up`: damaged parts that the operator agreed to lose."""

    clean: bool
    records: int
    end_lsn: int
    given_up: list[LostRecord] = []


class RoleState(StrEnum):
    """The role of an RVG with what its role alone does not say."""

    SECONDARY = "SECONDARY"
    PRIMARY = "PRIMARY"
    ACTING_SECONDARY = "ACTING_SECONDARY"
    PRIMARY_PRIMARY = "PRIMARY_PRIMARY"


class RoleFlag(StrEnum):
    """What an RVG's role alone does not say."""

    ACTING_SECONDARY = "acting_secondary"  # was Primary; another host reigns now; its own last writes stand apart
    PRIMARY_PRIMARY = "primary_primary"  # another host reigns, too, and both have writes that the other lacks
    FAILBACK_LOGGING = "failback_logging"  # regions written since the takeover are being marked
    AUTOFB = "autofb"  # the old Primary is made equal as soon as it returns


class SinceFork(Shape):
    """Writes beyond the point where two logs part, with the Primary's clock at the first and the last."""

    writes: int = 0
    bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    complete: bool = True  # False: still being counted, or the log no longer holds all of them


class Rival(Shape):
    """Another host's reign that this host's history lacks. `fork_lsn`: up to there the logs are the same."""

    host: str
    generation: int
    reign: str
    fork_lsn: int
    end_lsn: int = 0  # of its log when it was last heard
    since_ns: int = 0  # known since
    since_fork: SinceFork | None = None  # of the other host


class Announced(Shape):
    """What a Secondary knows of its Primary's log. `missing_*`: announced by the Primary and not here."""

    primary: str
    primary_end_lsn: int
    primary_writes: int  # counted by the Primary, at primary_end_lsn
    last_contact_ns: int  # nothing is known since
    missing_writes: int
    missing_bytes: int
    tail_writes: int  # received, in memory only: the Primary has not said that its own disk holds them
    tail_bytes: int
    last_write_ns: int  # the Primary's clock at the newest write received


class RvgStatus(Shape, kw_only=True):
    """What a worker says of its RVG. Counters start at 0 with the worker."""

    dg: str
    name: str
    host: str
    role: Role
    state: RvgState
    kstate: KState
    reason: str = ""  # why FAIL or RECOVER
    flags: list[str] = []  # VVR's RVG flags
    damage: Damage | None = None  # in FAIL: what is damaged, what is safe, what to do
    recovered: Recovered | None = None  # what the last start found
    generation: int
    incarnation: int
    srl: SrlStatus
    volumes: list[VolumeStatus]
    links: list[LinkStatus]
    consistent: bool
    writes: int = 0
    written_bytes: int = 0
    reads: int = 0
    read_bytes: int = 0
    batches: int = 0
    waits: dict[str, int] = {}  # named limit -> times a stage waited for it
    history: list[Reign] = []
    role_flags: list[RoleFlag] = []
    superseded_by: Rival | None = None  # acting_secondary, primary_primary
    fork_lsn: int = 0  # 0: no fork is known
    since_fork: SinceFork | None = None  # of this host
    announced: Announced | None = None  # a Secondary's
    salvage: Salvage | None = None  # a Secondary's whose damaged log was cut, until it is consistent again
    asking: list[str] = []  # hosts that a starting Primary waits for, its exports closed


class Took(Shape):
    """How long a step of a role change took on this host when it was done last, as its engine measured it."""

    seconds: float
    bytes: int = 0  # of the log that it had to wait for


class Event(Shape, kw_only=True):
    """Something an operator may want to know. Types are VVR's vrnotify types where one fits."""

    id: int = 0  # given by the engine's store
    time_ns: int
    dg: str = ""
    rvg: str = ""
    type: str
    message: str
