"""Where two histories part, as a table."""

from __future__ import annotations

import pytest

from volrep.link.history import NEVER_LSN, Fork, Relation, common_end, compare
from volrep.model.units import Reign

A, B, C, D = Reign(1, 100, "a"), Reign(2, 300, "b"), Reign(2, 300, "c"), Reign(3, 400, "d")


@pytest.mark.parametrize(("ours", "theirs", "relation", "lsn"), [
    ([A], [A], Relation.SAME, NEVER_LSN),
    ([A, B], [A], Relation.OLDER, 300),
    ([A], [A, B], Relation.NEWER, 300),
    ([A, B], [A, B, D], Relation.NEWER, 400),
    ([A, B], [A, C], Relation.DIVERGED, 300),  # two took over at the same time, at the same place
    ([A, B], [A, Reign(2, 200, "c")], Relation.DIVERGED, 200),
    ([A, B, D], [A, C], Relation.DIVERGED, 300),
    ([A], [Reign(1, 100, "z")], Relation.FOREIGN, 0),
    ([Reign(1, 100)], [Reign(1, 100)], Relation.SAME, NEVER_LSN),  # of a version without ids
    ([A], [], Relation.FOREIGN, 0),
    ([], [A], Relation.FOREIGN, 0),
    ([B, D], [A, B], Relation.OLDER, 400),  # ours no longer remembers the oldest reign
    ([A, B], [B, D], Relation.NEWER, 400),
])
def test_what_another_history_is_to_ours(ours: list[Reign], theirs: list[Reign], relation: Relation, lsn: int) -> None:
    assert compare(ours, theirs) == Fork(relation, lsn)


@pytest.mark.parametrize(("theirs", "end", "common"), [
    ([A], 500, 300),
    ([A], 250, 250),
    ([A, B], 500, 500),
    ([A, B], 700, 600),
    ([A, C], 500, 300),
    ([A, Reign(2, 400, "c")], 500, 300),
    ([Reign(9, 100, "a")], 500, 0),
    ([], 0, 0),
])
def test_two_logs_share_what_lies_before_they_part(theirs: list[Reign], end: int, common: int) -> None:
    assert common_end([A, B], 600, theirs, end) == common
    assert common_end(theirs, end, [A, B], 600) == common
