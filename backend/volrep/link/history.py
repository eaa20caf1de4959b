"""Where two histories part. Pure.

A history is the list of reigns, oldest first: PostgreSQL's timeline files, with one line per reign of a Primary, and
DRBD's generation identifiers, which tell two reigns of the same number apart. Two hosts share every byte up to the
first point where their lists differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from volrep.model.units import Reign

History = Sequence[Reign]


class Relation(StrEnum):
    """What another history is to ours."""

    SAME = "same"  # the same reigns
    OLDER = "older"  # it lacks our newest reigns
    NEWER = "newer"  # it has reigns that followed ours
    DIVERGED = "diverged"  # each has reigns that the other lacks
    FOREIGN = "foreign"  # nothing in common


@dataclass(frozen=True, slots=True)
class Fork:
    """`lsn`: before it both logs hold the same bytes, as far as both reach; 0 when nothing is common."""

    relation: Relation
    lsn: int


def common_end(ours: History, our_end_lsn: int, theirs: History, their_end_lsn: int) -> int:
    """The LSN up to which both logs are the same; 0 when they never were."""
    fork = compare(ours, theirs)
    return min(fork.lsn, our_end_lsn, their_end_lsn)


def compare(ours: History, theirs: History) -> Fork:
    """What `theirs` is to `ours`, and where they part: at the beginning of the first reign that one of them lacks."""
    ours, theirs = _aligned(ours, theirs)
    shared = 0
    while shared < min(len(ours), len(theirs)) and ours[shared] == theirs[shared]:
        shared += 1
    if not shared:
        return Fork(Relation.FOREIGN, 0)
    more_ours, more_theirs = len(ours) > shared, len(theirs) > shared
    lsn = min(history[shared].start_lsn if len(history) > shared else NEVER_LSN for history in (ours, theirs))
    if more_ours and more_theirs:
        return Fork(Relation.DIVERGED, lsn)
    if more_ours:
        return Fork(Relation.OLDER, lsn)
    return Fork(Relation.NEWER if more_theirs else Relation.SAME, lsn)


NEVER_LSN = 1 << 63
"""Above every LSN: where two equal histories part."""


def _aligned(ours: History, theirs: History) -> tuple[History, History]:
    """Without the oldest reigns that one of them no longer remembers (an SRL keeps the newest ones)."""
    if ours and theirs:
        for index, reign in enumerate(ours):
            if reign == theirs[0]:
                return ours[index:], theirs
        for index, reign in enumerate(theirs):
            if reign == ours[0]:
                return ours, theirs[index:]
    return ours, theirs
