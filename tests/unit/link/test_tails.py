"""Which stretch of two logs is compared."""

from __future__ import annotations

import pytest

from volrep.link.tails import Reach, shown_by_both
from volrep.log.tails import TAIL_MAX_BYTES
from volrep.model.units import Tail

KEPT = Tail(50_000, 4_000, 7)
NOTHING: tuple[Tail, ...] = ()


@pytest.mark.parametrize(("ours", "theirs", "length"), [
    (Reach(40_000, NOTHING), Reach(45_000, NOTHING), 5_000),
    (Reach(45_000, NOTHING), Reach(40_000, NOTHING), 5_000),
    (Reach(49_992, NOTHING), Reach(40_000, (KEPT,)), 8),  # both rings, before anything that was kept
    (Reach(60_000, (KEPT,)), Reach(40_000, NOTHING), 4_000),
    (Reach(40_000, NOTHING), Reach(60_000, (KEPT,)), 4_000),
    (Reach(60_000, (KEPT,)), Reach(60_000, (KEPT,)), 4_000),
    (Reach(60_000, (KEPT,)), Reach(50_000, NOTHING), 0),
    (Reach(60_000, (KEPT,)), Reach(60_000, (Tail(50_000, 3_000, 7),)), 0),
    (Reach(60_000, (Tail(49_000, 3_000, 7),)), Reach(40_000, NOTHING), 0),
    (Reach(60_000, (Tail(50_000, 3_000, 7), KEPT)), Reach(60_000, (KEPT,)), 4_000),
    (Reach(50_000, NOTHING), Reach(40_000, NOTHING), 0),
    (Reach(0, NOTHING), Reach(0, NOTHING), 50_000),
])
def test_what_both_can_show(ours: Reach, theirs: Reach, length: int) -> None:
    assert shown_by_both(50_000, ours, theirs) == length


def test_no_more_than_one_record_needs() -> None:
    assert shown_by_both(1 << 30, Reach(0, NOTHING), Reach(0, NOTHING)) == TAIL_MAX_BYTES
