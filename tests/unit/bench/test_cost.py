"""What is read from /proc."""

from __future__ import annotations

from bench.cost import HostTime


def test_stolen_time_is_a_part_of_what_was_wanted() -> None:
    assert HostTime(used=190, stolen=15).stolen_part(HostTime(used=100, stolen=5)) == 0.1


def test_nothing_wanted_is_nothing_stolen() -> None:
    now = HostTime(used=100, stolen=5)
    assert now.stolen_part(now) == 0


def test_the_machine_has_used_time() -> None:
    assert HostTime.now().used > 0
