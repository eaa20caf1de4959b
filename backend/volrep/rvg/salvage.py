"""What replaying the intact part of a Secondary's damaged log makes of its volumes: one moment, or a mixture. Pure.

A Secondary writes to its volumes at once what it has logged. So when the log is cut at a damaged record, the volumes
may hold anything that lay behind the cut. Replaying what lies before it takes back exactly those bytes that it writes
again. Where these are all that was written behind the cut, the volumes are what the Primary's order makes of
them there; where one byte more was, or may have been, nobody can say so.
"""

from __future__ import annotations

from bisect import bisect_right

from volrep.log.header import SrlHeader
from volrep.log.record import CONTINUES, Record, RecordType
from volrep.log.verdict import Gap
from volrep.model.config import Role
from volrep.model.damage import Salvage

EXTENTS_MAX = 1 << 16  # some 10 MB; a log that is more scattered counts as a mixture

_CHANGING = {int(kind) for kind in (RecordType.WRITE, RecordType.ZEROES, RecordType.TRIM)}


class Extents:
    """Bytes of volumes, as ranges. `full`: some of what was added had to be left out."""

    def __init__(self) -> None:
        self.full = False
        self._ranges: list[tuple[int, int, int]] = []  # volume, first byte, the one behind the last

    def add(self, volume: int, offset: int, length: int) -> None:
        self._ranges.append((volume, offset, offset + length))
        if len(self._ranges) >= 2 * EXTENTS_MAX:
            kept = self.merged()
            self.full = self.full or len(kept) > EXTENTS_MAX
            self._ranges = kept[:EXTENTS_MAX]

    def merged(self) -> list[tuple[int, int, int]]:
        """Ascending; none touches another."""
        found: list[tuple[int, int, int]] = []
        for volume, start, stop in sorted(self._ranges):
            if found and found[-1][0] == volume and start <= found[-1][2]:
                found[-1] = (volume, found[-1][1], max(stop, found[-1][2]))
            else:
                found.append((volume, start, stop))
        return found

    def cover(self, other: Extents) -> bool:
        """Whether every byte of `other` is here; False as well when `other` does not know all of its own."""
        if other.full:
            return False
        mine = self.merged()
        return all(_holds(mine, wanted) for wanted in other.merged())


def _holds(ranges: list[tuple[int, int, int]], wanted: tuple[int, int, int]) -> bool:
    volume, start, stop = wanted
    at = bisect_right(ranges, (volume, start, 1 << 64)) - 1
    return at >= 0 and ranges[at][0] == volume and ranges[at][1] <= start and stop <= ranges[at][2]


class Survey:
    """A pass over all of a damaged log, from its last checkpoint on. `note` gets the good records in order."""

    def __init__(self, cut_lsn: int) -> None:
        self.cut_lsn = cut_lsn
        self._time_ns = 0
        self._records = 0
        self._before, self._behind = Extents(), Extents()

    def note(self, _view: memoryview, records: list[Record]) -> None:
        for kind, volume, offset, length, _, _, end_lsn, time_ns, _ in records:
            is_before = end_lsn <= self.cut_lsn
            if is_before:
                self._time_ns = time_ns
            else:
                self._records += 1
            if kind & ~CONTINUES in _CHANGING:
                (self._before if is_before else self._behind).add(volume, offset, length)

    def outcome(self, header: SrlHeader, gaps: list[Gap], end_lsn: int) -> Salvage | None:
        """`end_lsn`: of all that was found. None where cutting leaves nothing that could ever take over.

        That is a Primary, which keeps its good records, and a Secondary that was inconsistent without a cut: half a
        copy. Of one that was cut before, what lay behind that cut is not known any more.
        """
        if header.role == Role.PRIMARY or not (header.consistent or header.salvage):
            return None
        earlier = Salvage.from_data(header.salvage) if header.salvage else None
        known = [self._note_gap(gap, end_lsn) for gap in gaps]
        whole = all(known) and earlier is None
        return Salvage(
            lsn=self.cut_lsn, time_ns=self._time_ns, records=self._records + len(gaps), records_known=whole,
            end_lsn=max(end_lsn, earlier.end_lsn if earlier is not None else 0),
            mixed=not (whole and self._before.cover(self._behind)))

    def _note_gap(self, gap: Gap, end_lsn: int) -> bool:
        """Whether it is one record whose header says what it wrote. At the log's end others may have followed it."""
        header = gap.header
        if header is None or gap.to_lsn != gap.known_to_lsn or gap.to_lsn >= end_lsn:
            return False
        if header.type_byte & ~CONTINUES in _CHANGING:
            self._behind.add(header.volume, header.offset, header.length)
        return True
