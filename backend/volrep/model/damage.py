"""What is damaged when an RVG is in FAIL: shape and kinds, as they cross from the worker to whoever shows them."""

from __future__ import annotations

from enum import StrEnum

from volrep.model.shape import Shape
from volrep.model.units import iso

LOST_SHOWN_MAX = 100  # records of a damaged log that are named one by one; the rest is counted


class DamageKind(StrEnum):
    """The kinds that VVR tells apart (RVG flags in `FLAGS`), and how each shows itself here."""

    SRL_HEADER = "srl_header"  # no valid header, or not the newest
    SRL_MISSING = "srl_missing"  # cannot be opened
    SRL_SIZE = "srl_size"
    SRL_FOREIGN = "srl_foreign"  # of another RVG
    SRL_DATA = "srl_data"  # a record that was durable is damaged
    SRL_IO = "srl_io"  # reading, writing or syncing fails
    VOLUME_MISSING = "volume_missing"  # cannot be opened
    VOLUME_SIZE = "volume_size"
    VOLUME_CHANGED = "volume_changed"  # another file has taken its place
    VOLUME_IO = "volume_io"  # writing or syncing fails
    BUSY = "busy"  # something else holds a volume
    OTHER = "other"


class LinkFault(StrEnum):
    """Why a Secondary that can be reached takes nothing: what it says in REFUSE, and what its Primary makes of it."""

    VOLUME = "volume"  # both ends FAIL
    LOG = "log"  # PAUSE, secondary_log_err
    CONFIG = "config"  # PAUSE, secondary_config_err


FLAGS: dict[DamageKind, tuple[str, ...]] = {
    DamageKind.SRL_HEADER: ("srl_header_err",), DamageKind.SRL_MISSING: ("srl_header_err",),
    DamageKind.SRL_SIZE: ("srl_header_err",), DamageKind.SRL_FOREIGN: ("srl_header_err",),
    DamageKind.SRL_DATA: ("srl_data_err",), DamageKind.SRL_IO: ("srl_data_err",),
    DamageKind.VOLUME_MISSING: ("datavol_err",), DamageKind.VOLUME_SIZE: ("datavol_err",),
    DamageKind.VOLUME_CHANGED: ("datavol_err",), DamageKind.VOLUME_IO: ("datavol_err",),
    DamageKind.BUSY: (), DamageKind.OTHER: (),
}
"""Flags of an RVG beside `fail` and `needs_recovery`; srl_header_err is VVR's, the others are named like it."""


FAULT_FLAGS: dict[str, tuple[str, ...]] = {
    LinkFault.VOLUME: ("fail",), LinkFault.LOG: ("secondary_paused", "secondary_log_err"),
    LinkFault.CONFIG: ("secondary_paused", "secondary_config_err"),
}
"""Flags of a link by the fault of its Secondary; VVR's."""


def fault_of(kind: DamageKind) -> LinkFault:
    """What a Secondary with this damage tells its Primary."""
    if "srl" in kind.value:
        return LinkFault.LOG
    return LinkFault.CONFIG if kind is DamageKind.VOLUME_SIZE else LinkFault.VOLUME


class LostRecord(Shape):
    """A part of the log that cannot be read. `volume` is "" when not even its header can: anything may have been there.

    `to_lsn` is where the next good record begins. `offset` and `length` are bytes of the volume.
    """

    from_lsn: int
    to_lsn: int
    volume: str = ""
    offset: int = 0
    length: int = 0
    time_ns: int = 0


class Salvage(Shape, kw_only=True):
    """What a Secondary is once its damaged log has been cut: the log from the last checkpoint up to `lsn`, replayed.

    `end_lsn`: how far the log had gone. `mixed` False: the volumes are what the Primary's order makes of them at the
    log's end; True: they may hold some of what lay behind the cut, and no moment of the Primary's.
    """

    lsn: int
    time_ns: int = 0  # of the last record before `lsn`, by the Primary's clock; 0: the last checkpoint ends there
    end_lsn: int
    records: int = 0  # given up; of those that are damaged and next to each other only one
    records_known: bool = False  # they are all of them
    mixed: bool = True

    def words(self) -> str:
        until = f", {iso(self.time_ns)} of the Primary's clock" if self.time_ns else ""
        records = f"{self.records} records" if self.records_known else f"at least {self.records} records"
        return (f"the log is intact up to LSN {self.lsn}{until}; {self.end_lsn - self.lsn} bytes behind it ({records}) "
                f"are given up; {MIXED if self.mixed else PREFIX}")


MIXED = ("the volumes may hold some of the writes behind it and lack others, as after the crash of a disk controller: "
         "check file systems and databases on them before use")
PREFIX = "the volumes are then exactly what the Primary had there, nothing of what is given up is on them"


class Damage(Shape):
    """What an operator needs in order to decide. Texts are whole sentences without their full stop."""

    kind: DamageKind
    part: str  # the volume, or several with commas
    path: str
    found: str  # what is wrong, with the error's id
    safe: str
    lost: str  # what may be lost
    next: list[str]  # moves, the first one first; commands in full
    accept: str = ""  # what `recover -f` agrees to; "" when nothing can be given up that way
    gives_up: str = ""  # what that loses
    lsn: int = 0
    durable_lsn: int = 0
    records: list[LostRecord] = []  # at most LOST_SHOWN_MAX
    records_more: int = 0
    salvage: Salvage | None = None  # a Secondary's damaged log: what `recover -f` leaves; None: nothing of use
