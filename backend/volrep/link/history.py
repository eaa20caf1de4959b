"""Where two histories part. Pure.

A history is the list of (generation, LSN at which it began), oldest first: PostgreSQL's timeline files, with one
line per reign of a Primary. Two hosts share every byte up to the first point where their lists differ.
"""

from __future__ import annotations

from collections.abc import Sequence

History = Sequence[tuple[int, int]]


def generation_at(history: History, lsn: int) -> int:
    """The generation that wrote the byte before `lsn`."""
    found = 0
    for generation, start_lsn in history:
        if start_lsn < lsn or not found:
            found = generation
    return found


def common_end(ours: History, our_end_lsn: int, theirs: History, their_end_lsn: int) -> int:
    """The LSN up to which both histories are the same; 0 when they never were."""
    common = 0
    for index, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
        if mine != other:
            break
        mine_end = ours[index + 1][1] if index + 1 < len(ours) else our_end_lsn
        other_end = theirs[index + 1][1] if index + 1 < len(theirs) else their_end_lsn
        common = min(mine_end, other_end)
        if mine_end != other_end:
            break
    return common
