"""The ledger of the torture: it must see what is lost, torn, out of order or never written."""

from __future__ import annotations

import pytest
from crc32c import crc32c

from tests.torture.ledger import BLOCK, Ledger, Violation, read_stamps, stamp

A, B = (0, 0), (1, 0)


@pytest.fixture
def ledger() -> Ledger:
    """1 to A, 2 to B, 3 to A, each after the one before it; 4 to B is in flight."""
    made = Ledger()
    for place in (A, B, A):
        made.complete(made.issue(place))
    made.issue(B)
    return made


def test_what_was_written_is_read() -> None:
    volume = stamp(7, (3, 0)) + bytes(BLOCK) + stamp(9, (3, 2))
    assert read_stamps(3, volume) == {(3, 0): 7, (3, 1): 0, (3, 2): 9}


def test_the_log_can_tell_stamped_blocks_apart() -> None:
    assert crc32c(stamp(1, A)) != crc32c(stamp(2, A))
    assert crc32c(stamp(1, A)) != crc32c(stamp(2, A)[:2048] + stamp(1, A)[2048:])


@pytest.mark.parametrize("block", [
    stamp(1, A)[:512] + stamp(2, A)[512:], bytes(512) + stamp(1, A)[512:], stamp(1, B), b"\1" * BLOCK])
def test_a_block_that_is_no_whole_write_to_this_place_shows(block: bytes) -> None:
    with pytest.raises(Violation, match="torn"):
        read_stamps(0, block)


@pytest.mark.parametrize("found", [{A: 3, B: 2}, {A: 3, B: 4}])
def test_a_primary_may_have_what_was_in_flight(ledger: Ledger, found: dict[tuple[int, int], int]) -> None:
    ledger.check_primary(found)


@pytest.mark.parametrize("found", [{A: 1, B: 2}, {A: 3, B: 0}, {A: 3, B: 9}])
def test_a_primary_that_lost_or_invented_a_write_shows(ledger: Ledger, found: dict[tuple[int, int], int]) -> None:
    with pytest.raises(Violation):
        ledger.check_primary(found)


@pytest.mark.parametrize(("found", "low"), [({A: 0, B: 0}, 0), ({A: 1, B: 0}, 0), ({A: 1, B: 2}, 1), ({A: 3, B: 2}, 2),
                                            ({A: 3, B: 4}, 3)])
def test_every_prefix_is_one(ledger: Ledger, found: dict[tuple[int, int], int], low: int) -> None:
    assert ledger.check_prefix(found) == low


@pytest.mark.parametrize("found", [{A: 0, B: 2}, {A: 3, B: 0}, {A: 1, B: 4}])
def test_what_has_a_write_without_those_before_it_is_no_prefix(ledger: Ledger,
                                                               found: dict[tuple[int, int], int]) -> None:
    with pytest.raises(Violation, match="no prefix"):
        ledger.check_prefix(found)


def test_a_synchronous_secondary_has_every_completed_write(ledger: Ledger) -> None:
    ledger.check_prefix({A: 3, B: 2}, synchronous=True)
    with pytest.raises(Violation, match="synchronous"):
        ledger.check_prefix({A: 1, B: 2}, synchronous=True)


def test_what_was_in_flight_and_is_not_found_never_was(ledger: Ledger) -> None:
    ledger.settle({A: 3, B: 2})
    with pytest.raises(Violation):
        ledger.check_primary({A: 3, B: 4})


def test_zeroes_count_as_a_write() -> None:
    ledger = Ledger()
    ledger.complete(ledger.issue(A))
    ledger.complete(ledger.issue(A, zeroes=True))
    ledger.check_primary({A: 0})
    with pytest.raises(Violation):
        ledger.check_primary({A: 1})
