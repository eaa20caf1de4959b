"""What the Primary's log says, kept beside it: the order of all writes, and each volume's content at any LSN.

Records are taken from the Primary's SRL as they come, and held against what applications submitted: same order, same
bytes. From then on this is the truth that every disk is compared with.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

from tests.sim.disk import SimDisk
from tests.sim.loop import Violation
from volrep.log.record import CONTINUES, BadRecord, Cursor, Record, RecordType, cut, record_bytes
from volrep.log.ring import Ring
from volrep.model.units import FIRST_LSN

_SNAPSHOT_EVERY = 32
_CHANGING = (RecordType.WRITE, RecordType.ZEROES, RecordType.TRIM)


@dataclass(slots=True)
class Wish:
    """One request of an application."""

    number: int
    volume: int
    offset: int
    length: int
    kind: int  # RecordType
    payload: bytes | None
    lsn_end: int = 0  # once it is logged
    completed: bool = False
    failed: bool = False


@dataclass(slots=True)
class Entry:
    """One record as it must stand in every log."""

    lsn: int
    lsn_end: int
    kind: int
    volume: int
    offset: int
    length: int
    payload: bytes
    wish: Wish | None
    continues: int = 0  # CONTINUES, when the next record belongs to the same write


@dataclass(slots=True)
class Expected:
    """One record that the Primary's process owes."""

    kind: int  # with CONTINUES
    payload: bytes | None
    offset: int
    length: int
    wish: Wish


@dataclass
class History:
    sizes_bytes: list[int]
    end_lsn: int = FIRST_LSN
    completed_lsn: int = FIRST_LSN  # beyond the last completed write
    completed: int = 0
    proved_lsn: int = FIRST_LSN  # a later record says that everything before was durable
    role_bytes: int = 0  # of the record that the reign begins with, while it is to come
    entries: list[Entry] = field(default_factory=list)
    owed: deque[Expected] = field(default_factory=deque)
    abandoned: list[tuple[int, list[Expected]]] = field(default_factory=list)  # from an LSN on: sent perhaps, then lost
    _ends: list[int] = field(default_factory=list)
    _snapshots: list[list[bytearray]] = field(default_factory=list)
    _now: list[bytearray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._now = [bytearray(size) for size in self.sizes_bytes]
        self._snapshots.append([bytearray(v) for v in self._now])

    def observe(self, srl: SimDisk, end_lsn: int) -> None:
        """The Primary's log has grown to `end_lsn`: take its records."""
        length = end_lsn - self.end_lsn
        if length <= 0:
            return
        data, spoiled = self._bytes(srl, length)
        self.proved_lsn = self.end_lsn
        records: list[Record] = []
        if not spoiled:
            try:
                at = cut(memoryview(data), 0, length, Cursor(self.end_lsn), records)
            except BadRecord as bad:
                raise Violation(f"the Primary's log is unreadable as written: {bad}") from bad
            if at != length:
                raise Violation(f"the Primary's log ends amid a record at LSN {self.end_lsn + at}")
            for kind, volume, offset, size, start, end, lsn_end, _, _ in records:
                self._take(kind, volume, offset, size, data[start:end], lsn_end)
        else:
            if self.role_bytes:
                self._take(RecordType.ROLE, 0, 0, 0, b"", self.end_lsn + self.role_bytes)
            while self.end_lsn < end_lsn:
                due = self.owed[0]
                self._take(due.kind, due.wish.volume, due.offset, due.length, due.payload or b"",
                           self.end_lsn + record_bytes(len(due.payload or b"")))

    def _bytes(self, srl: SimDisk, length: int) -> tuple[bytes, bool]:
        ring = Ring(srl.size_bytes)
        spans = ring.spans(self.end_lsn, length)
        spoiled = any(s < offset + size and offset < e for s, e in srl.damaged for offset, size in spans)
        return b"".join(bytes(srl.shown[offset:offset + size]) for offset, size in spans), spoiled

    def _take(self, kind: int, volume: int, offset: int, length: int, payload: bytes, lsn_end: int) -> None:
        plain, wish = kind & ~CONTINUES, None
        if plain == RecordType.ROLE:
            self.role_bytes = 0
        if plain in _CHANGING:
            if not self.owed:
                raise Violation(f"the Primary logged a write at LSN {self.end_lsn} that nobody submitted")
            due = self.owed.popleft()
            wish = due.wish
            if (kind, volume, offset, length, payload) != (due.kind, wish.volume, due.offset, due.length,
                                                           due.payload or b""):
                raise Violation(f"the record at LSN {self.end_lsn} is not request {wish.number}, which was next")
            if not kind & CONTINUES:
                wish.lsn_end = lsn_end
            self._apply(self._now, plain, volume, offset, length, payload)
        self.entries.append(Entry(self.end_lsn, lsn_end, plain, volume, offset, length, payload, wish,
                                  kind & CONTINUES))
        self._ends.append(lsn_end)
        self.end_lsn = lsn_end
        if len(self.entries) % _SNAPSHOT_EVERY == 0:
            self._snapshots.append([bytearray(v) for v in self._now])

    @staticmethod
    def _apply(images: list[bytearray], kind: int, volume: int, offset: int, length: int, payload: bytes) -> None:
        images[volume][offset:offset + length] = payload if kind == RecordType.WRITE else bytes(length)

    def image(self, lsn: int) -> list[bytearray]:
        """The volumes after all records before `lsn`. Raises Violation when no record ends there."""
        if lsn == self.end_lsn:
            return self._now
        count = bisect_right(self._ends, lsn)
        if (self._ends[count - 1] if count else FIRST_LSN) != lsn:
            raise Violation(f"LSN {lsn} is no record's end in the Primary's order (which ends at {self.end_lsn})")
        base = count // _SNAPSHOT_EVERY
        images = [bytearray(v) for v in self._snapshots[base]]
        for entry in self.entries[base * _SNAPSHOT_EVERY:count]:
            if entry.kind in _CHANGING:
                self._apply(images, entry.kind, entry.volume, entry.offset, entry.length, entry.payload)
        return images

    def lsns_from(self, lsn: int) -> list[int]:
        """`lsn` and every record's end behind it."""
        return [lsn, *self._ends[bisect_right(self._ends, lsn):]]

    def cut_at(self, lsn: int) -> None:
        """The Primary lost its tail in a crash: nothing completed may be in it."""
        images = [bytearray(v) for v in self.image(lsn)]
        count = bisect_right(self._ends, lsn)
        for entry in self.entries[count:]:
            if entry.wish is not None and entry.wish.completed:
                raise Violation(f"request {entry.wish.number} was completed at LSN {entry.lsn_end} "
                                f"and is gone: the Primary's log ends at {lsn}")
            if entry.wish is not None:
                entry.wish.lsn_end = 0
        at_end = [due for at_lsn, given_up in self.abandoned[-1:] if at_lsn == self.end_lsn for due in given_up]
        self.abandoned.append((lsn, [*map(_again, self.entries[count:]), *at_end]))
        del self.entries[count:], self._ends[count:]
        del self._snapshots[count // _SNAPSHOT_EVERY + 1:]
        self._now, self.end_lsn = images, lsn
        self.proved_lsn = min(self.proved_lsn, lsn)

    def fork(self, lsn: int) -> History:
        """A history that has the same records up to `lsn` and goes on by itself."""
        images, count = [bytearray(v) for v in self.image(lsn)], bisect_right(self._ends, lsn)
        made = History(self.sizes_bytes, end_lsn=lsn, completed_lsn=min(lsn, self.completed_lsn), proved_lsn=lsn)
        made.entries, made._ends = self.entries[:count], self._ends[:count]
        made._snapshots, made._now = self._snapshots[:count // _SNAPSHOT_EVERY + 1], images
        return made

    def copy(self) -> History:
        """As it is now, with nothing owed: of the process that owes it nothing is left."""
        made = self.fork(self.end_lsn)
        made.completed_lsn, made.proved_lsn = self.completed_lsn, self.proved_lsn
        return made

    def died(self) -> None:
        """The Primary's process is gone: what it owed may have reached Secondaries before its own disk."""
        self.abandoned.append((self.end_lsn, list(self.owed)))

    def check_received(self, records: list[tuple[int, Expected]]) -> None:
        """(LSN, record) as a Secondary has them in memory: of the log, or of one that was lost in a crash."""
        known = {entry.lsn: _again(entry) for entry in self.entries}
        if any(_fits(records, known | _by_lsn(at_lsn, lost)) for at_lsn, lost in [(1 << 63, []), *self.abandoned]):
            return
        raise Violation(f"records in memory from LSN {records[0][0]} on are none that the Primary ever sent")

    def complete(self, wish: Wish) -> None:
        if wish.kind in _CHANGING:
            if not wish.lsn_end:
                raise Violation(f"request {wish.number} was completed before it was logged")
            self.completed_lsn = max(self.completed_lsn, wish.lsn_end)
        if wish.completed or wish.failed:
            raise Violation(f"request {wish.number} was answered twice")
        wish.completed = True
        self.completed += 1


def _again(entry: Entry) -> Expected:
    """The record as somebody owes it who logs it anew."""
    wish = entry.wish or Wish(0, entry.volume, entry.offset, entry.length, entry.kind, None)
    return Expected(entry.kind | entry.continues, entry.payload if entry.kind == RecordType.WRITE else None,
                    entry.offset, entry.length, wish)


def _by_lsn(lsn: int, records: list[Expected]) -> dict[int, Expected]:
    found = {}
    for due in records:
        found[lsn] = due
        lsn += record_bytes(len(due.payload or b""))
    return found


def _fits(records: list[tuple[int, Expected]], known: dict[int, Expected]) -> bool:
    return all((due := known.get(lsn)) is not None
               and (due.kind, due.payload, due.offset, due.length, due.wish.volume)
               == (found.kind, found.payload, found.offset, found.length, found.wish.volume) for lsn, found in records)
