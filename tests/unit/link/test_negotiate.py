"""What a Primary does with what a Secondary has: go on, begin anew because told to, or leave it to the operator."""

from __future__ import annotations

import pytest

from volrep.link.history import common_end, generation_at
from volrep.link.negotiate import Detach, Hello, Order, Start, StartMode, VolumeSaid, Welcome, check_hello, decide

HISTORY = [(1, 4096), (2, 50_000)]
ORDER = Order(order_id="o2", begin_lsn=60_000, consistent=False, delivered=True)


def welcome(**changes: object) -> Welcome:
    said: dict[str, object] = {"protocol": 1, "host": "tokyo", "order_id": "o2", "history": HISTORY, "end_lsn": 70_000,
                               "applied_lsn": 70_000, "consistent": True}
    return Welcome.model_validate({**said, **changes})


def decided(order: Order = ORDER, said: Welcome | None = None) -> Start | Detach:
    return decide(order, said or welcome(), history=HISTORY, retained_lsn=55_000, durable_lsn=90_000,
                  sync_ack="network")


def test_a_secondary_that_is_behind_goes_on_from_its_end() -> None:
    start = decided()
    assert isinstance(start, Start)
    assert (start.mode, start.lsn) == (StartMode.STREAM, 70_000)


def test_a_new_order_begins_anew_where_it_was_given() -> None:
    start = decided(Order("o3", 60_000, consistent=True, delivered=False))
    assert isinstance(start, Start)
    assert (start.mode, start.lsn, start.consistent) == (StartMode.BEGIN, 60_000, True)


@pytest.mark.parametrize(("changes", "why"), [
    ({"order_id": ""}, "no longer has the log"),
    ({"end_lsn": 95_000}, "history up to LSN 95000 that this Primary lacks"),
    ({"history": [(1, 4096), (3, 50_000)]}, "shared up to 50000"),
    ({"end_lsn": 54_000}, "the log begins at LSN 55000"),
    ({"protocol": 2}, "link protocol 2"),
])
def test_what_cannot_go_on_is_left_to_the_operator(changes: dict[str, object], why: str) -> None:
    found = decided(said=welcome(**changes))
    assert isinstance(found, Detach)
    assert why in found.reason


def test_an_order_whose_log_is_gone_is_not_carried_out() -> None:
    assert isinstance(decided(Order("o3", 54_000, consistent=True, delivered=False)), Detach)


@pytest.mark.parametrize(("theirs", "end", "common"), [
    ([(1, 100)], 500, 300),
    ([(1, 100), (2, 300)], 500, 500),
    ([(1, 100), (3, 300)], 500, 300),
    ([(1, 100), (2, 400)], 500, 300),
    ([(9, 100)], 500, 0),
    ([], 0, 0),
])
def test_two_histories_share_what_lies_before_they_part(theirs: list[tuple[int, int]], end: int, common: int) -> None:
    assert common_end([(1, 100), (2, 300)], 600, theirs, end) == common


def test_the_generation_at_a_boundary_is_the_one_that_wrote_the_byte_before() -> None:
    assert [generation_at(HISTORY, lsn) for lsn in (4096, 50_000, 50_001)] == [1, 1, 2]


def hello(**changes: object) -> Hello:
    said: dict[str, object] = {
        "protocol": 1, "rds_id": "r", "link_id": "l", "host": "london", "rvg": "rvg", "history": HISTORY,
        "durable_lsn": 8, "incarnation": 1, "sync_ack": "network",
        "volumes": [{"index": 0, "name": "a", "size_bytes": 10}, {"index": 1, "name": "b", "size_bytes": 20}]}
    return Hello.model_validate({**said, **changes})


@pytest.mark.parametrize(("ours", "why"), [
    ([(0, "a", 10), (1, "b", 20)], ""),
    ([(0, "a", 10), (1, "b", 21)], "volume b has 20 bytes on london, 21 here"),
    ([(0, "a", 10), (1, "c", 20)], "volume 1 is b on london but c here"),
    ([(0, "a", 10)], "volume b of london has no counterpart here"),
    ([(0, "a", 10), (1, "b", 20), (2, "c", 5)], "volume c has no counterpart on london"),
])
def test_volumes_must_match_in_index_name_and_size(ours: list[tuple[int, str, int]], why: str) -> None:
    volumes = [VolumeSaid(index=i, name=n, size_bytes=s) for i, n, s in ours]
    assert check_hello(hello(), rds_id="r", link_id="l", volumes=volumes) == why


def test_another_rds_is_refused() -> None:
    assert check_hello(hello(), rds_id="x", link_id="l", volumes=[]) == "the connection is for another RDS"


@pytest.mark.parametrize("tail", [{"end_lsn": 4096, "tail_bytes": 4104}, {"tail_bytes": 65_544}, {"tail_bytes": 4},
                                  {"tail_crc": 1 << 32}])
def test_a_tail_that_no_log_can_have_is_malformed(tail: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="tail"):
        welcome(**tail)
