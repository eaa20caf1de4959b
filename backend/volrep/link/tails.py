"""Which stretch of log two hosts compare before one of them goes on where the other is. Pure.

Histories name reigns and LSNs only. A Primary whose disks were put back to an older state and that has written on since
has the same history and other bytes under the same LSNs: what lies right before the end of what both share shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from volrep.log.tails import TAIL_MAX_BYTES
from volrep.model.units import Tail


class Likeness(StrEnum):
    """Of two logs, right before an LSN up to which their histories are the same."""

    SAME = "same"
    DIFFERENT = "different"
    UNKNOWN = "unknown"  # one of them no longer has it, or never had
    MOVED = "moved"  # one of them has moved on while both were asked


@dataclass(frozen=True, slots=True)
class Reach:
    """What a host can show of its log: all from `shown_lsn` on, and `kept` of what lay before."""

    shown_lsn: int
    kept: Sequence[Tail]

    def shows(self, lsn: int, length: int) -> bool:
        return self.shown_lsn <= lsn - length or self.keeps(lsn, length) is not None

    def keeps(self, lsn: int, length: int) -> Tail | None:
        return next((tail for tail in self.kept if (tail.lsn, tail.length) == (lsn, length)), None)


def shown_by_both(lsn: int, ours: Reach, theirs: Reach) -> int:
    """How many bytes before `lsn` to compare: the most that both rings have or have kept; 0: there is nothing.

    The more the better: a stretch that is shorter than a record may hold no header, which no two hosts write the same.
    """
    ring_bytes = min(TAIL_MAX_BYTES, lsn - max(ours.shown_lsn, theirs.shown_lsn))
    lengths = (ring_bytes, *(tail.length for tail in (*ours.kept, *theirs.kept) if tail.lsn == lsn))
    return max((length for length in lengths if length > 0 and ours.shows(lsn, length) and theirs.shows(lsn, length)),
               default=0)
