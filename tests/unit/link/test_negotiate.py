"""What a Primary does with what a Secondary has: go on, begin anew because told to, or leave it to the operator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from volrep.link.frames import BadFrame
from volrep.link.negotiate import (
    LINK_PROTOCOL,
    Detach,
    Hello,
    Later,
    Order,
    OurLog,
    Rewind,
    Start,
    StartMode,
    VolumeSaid,
    Welcome,
    check_hello,
    compared,
    decide,
    parse_said,
)
from volrep.link.tails import Likeness
from volrep.log.tails import TAIL_MAX_BYTES
from volrep.model.config import StartMethod
from volrep.model.units import Reign

HISTORY = [Reign(1, 4096, "a1"), Reign(2, 50_000, "b2")]
ORDER = Order(order_id="o2", begin_lsn=60_000, consistent=False, delivered=True)


def welcome(**changes: object) -> Welcome:
    said: dict[str, object] = {"protocol": LINK_PROTOCOL, "host": "tokyo", "order_id": "o2", "history": HISTORY,
                               "end_lsn": 70_000, "applied_lsn": 70_000, "consistent": True}
    return Welcome.from_data({**said, **changes})


def decided(order: Order = ORDER, said: Welcome | None = None) -> Start | Rewind | Detach:
    return decide(order, said or welcome(), OurLog(HISTORY, retained_lsn=55_000, durable_lsn=90_000), "network")


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
    ({"history": [Reign(1, 4096, "a1"), Reign(3, 50_000, "c3")]}, "shared up to 50000"),
    ({"end_lsn": 54_000}, "the log begins at LSN 55000"),
    ({"protocol": 2}, "link protocol 2"),
])
def test_what_cannot_go_on_is_left_to_the_operator(changes: dict[str, object], why: str) -> None:
    found = decided(said=welcome(**changes))
    assert isinstance(found, Detach)
    assert why in found.reason


@pytest.mark.parametrize(("has", "goes_on"), [(7, True), (8, True), (6, False)])
def test_who_lacks_a_part_of_a_copy_that_it_had_acknowledged_does_not_go_on(has: int, goes_on: bool) -> None:
    """Its log may end where it did: only the count shows that it went back amid the copy."""
    order = replace(ORDER, copied_frames=7)
    found = decided(order, welcome(copied_frames=has))
    assert isinstance(found, Start) is goes_on
    if isinstance(found, Detach):
        assert "tokyo has 6 of 7 pieces of the copy that it had acknowledged" in found.reason
    assert isinstance(decided(replace(order, order_id="o3", delivered=False), welcome(copied_frames=has)), Start)


def test_an_order_whose_log_is_gone_is_not_carried_out() -> None:
    assert isinstance(decided(Order("o3", 54_000, consistent=True, delivered=False)), Detach)


FOLLOW = Order("o3", 60_000, consistent=False, delivered=False, method=StartMethod.FOLLOW)
FAILBACK = Order("o3", 60_000, consistent=False, delivered=False, method=StartMethod.FAILBACK)
OLD = HISTORY[:1]  # a host that has not heard of the newest reign
OWN = [*OLD, Reign(2, 50_000, "dd")]  # one that reigned itself, at the same time


@pytest.mark.parametrize(("changes", "lsn"), [
    ({"order_id": "o1"}, 70_000),
    ({"order_id": "", "history": OLD, "end_lsn": 50_000}, 50_000),  # right at the fork: it lost nothing and has no more
    ({"order_id": "o3"}, 70_000),
    ({"order_id": "o1", "acting": True}, 70_000),
])
@pytest.mark.parametrize("order", [FOLLOW, FAILBACK])
def test_who_shares_the_history_follows_from_where_he_is(order: Order, changes: dict[str, object], lsn: int) -> None:
    start = decide(order, welcome(**changes), OurLog(HISTORY, retained_lsn=45_000, durable_lsn=90_000), "data")
    assert isinstance(start, Start)
    assert (start.mode, start.lsn, start.order_id, start.history) == (StartMode.STREAM, lsn, "o3", HISTORY)


@pytest.mark.parametrize(("changes", "why"), [
    ({"history": OLD}, "history up to LSN 70000 that this Primary lacks (shared up to 50000)"),
    ({"history": OWN}, "shared up to 50000"),
    ({"history": [Reign(1, 4096, "ff")]}, "shared up to 0"),
    ({"end_lsn": 52_000}, "the log begins at LSN 55000"),
    ({"end_lsn": 95_000}, "that this Primary lacks"),
    ({"consistent": False}, "tokyo is not consistent"),
])
def test_nobody_follows_who_would_have_to_forget_something(changes: dict[str, object], why: str) -> None:
    found = decided(FOLLOW, welcome(order_id="o1", **changes))
    assert isinstance(found, Detach)
    assert why in found.reason


@pytest.mark.parametrize(("changes", "lsn"), [
    ({"history": OLD}, 50_000),
    ({"history": OLD, "end_lsn": 50_008}, 50_000),
    ({"end_lsn": 52_000}, 52_000),  # nothing of its own, but the log no longer reaches back to it
])
def test_failback_rewinds_to_the_fork(changes: dict[str, object], lsn: int) -> None:
    assert decided(FAILBACK, welcome(order_id="o1", **changes)) == Rewind(lsn)


@pytest.mark.parametrize(("changes", "why"), [
    ({"history": OWN}, "elect the Primary first"),
    ({"history": [*OLD, Reign(3, 50_000, "dd")]}, "elect the Primary first"),
    ({"end_lsn": 95_000}, "elect the Primary first"),  # our own reign, further than we know it
    ({"history": [Reign(1, 4096, "ff")]}, "shares no history"),
    ({"history": OLD, "consistent": False}, "not consistent"),
])
def test_failback_takes_nothing_from_a_reign_that_may_be_the_better_one(changes: dict[str, object], why: str) -> None:
    found = decided(FAILBACK, welcome(order_id="o1", **changes))
    assert isinstance(found, Detach)
    assert why in found.reason


def test_a_failback_that_was_begun_goes_on() -> None:
    start = decided(FAILBACK, welcome(order_id="o3", consistent=False))
    assert isinstance(start, Start)
    assert (start.mode, start.lsn) == (StartMode.STREAM, 70_000)


@pytest.mark.parametrize("history", [
    [[1, 4096, "a"], [1, 5000, "b"]],
    [[2, 4096, "a"], [1, 8192, "b"]],
    [[1, 8192, "a"], [2, 4096, "b"]],
    [[1, 4097, "a"]],
    [[1, 4096, "0123456789abcdef0"]],
    [[1, 4096, "xyz"]],
    [[1 << 32, 4096, "a"]],
    [[n, 4096, "a"] for n in range(1, 258)],
])
def test_an_impossible_history_is_malformed(history: list[list[object]]) -> None:
    with pytest.raises(BadFrame):
        parse_said(Welcome, {**welcome().data(), "history": history})


def test_a_history_of_an_older_version_has_no_ids() -> None:
    assert welcome(history=[[1, 4096]]).history == [Reign(1, 4096, "")]


def hello(**changes: object) -> Hello:
    said: dict[str, object] = {
        "protocol": LINK_PROTOCOL, "rds_id": "r", "link_id": "l", "host": "london", "rvg": "rvg", "history": HISTORY,
        "durable_lsn": 8, "incarnation": 1, "sync_ack": "network",
        "volumes": [{"index": 0, "name": "a", "size_bytes": 10}, {"index": 1, "name": "b", "size_bytes": 20}]}
    return Hello.from_data({**said, **changes})


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


@pytest.mark.parametrize("tail", [[4096, 4104, 0], [1 << 62, TAIL_MAX_BYTES + 8, 0], [4096, 4, 0], [4096, 8, 1 << 32],
                                  [-8, 0, 0], [1 << 63, 8, 0]])
def test_a_tail_that_no_log_can_have_is_malformed(tail: list[int]) -> None:
    with pytest.raises(ValueError, match="tail"):
        welcome(tail=tail)


STREAM = Start(mode=StartMode.STREAM, lsn=70_000, order_id="o2", consistent=True, history=HISTORY, sync_ack="network")
KNOWN = replace(ORDER, acked_lsn=70_000)


@pytest.mark.parametrize("decision", [STREAM, Rewind(50_000)])
def test_logs_that_are_the_same_before_go_on(decision: Start | Rewind) -> None:
    assert compared(decision, FAILBACK, welcome(), Likeness.SAME) is decision


@pytest.mark.parametrize("decision", [STREAM, Rewind(50_000)])
def test_logs_that_differ_are_left_to_the_operator(decision: Start | Rewind) -> None:
    found = compared(decision, KNOWN, welcome(tail=[50_000, 96, 1]), Likeness.DIFFERENT)
    assert isinstance(found, Detach)
    assert "the logs differ between LSN 49904 and 50000" in found.reason


def test_logs_that_move_are_compared_later() -> None:
    assert isinstance(compared(STREAM, KNOWN, welcome(), Likeness.MOVED), Later)


@pytest.mark.parametrize("decision", [STREAM, Rewind(70_000)])
def test_a_failback_copies_everything_when_nobody_can_say_what_is_the_same(decision: Start | Rewind) -> None:
    assert compared(decision, FAILBACK, welcome(order_id="o1"), Likeness.UNKNOWN) == Rewind(70_000, everything=True)


@pytest.mark.parametrize(("order", "said", "goes_on"), [
    (KNOWN, {}, True),  # this log was told that all of it is there
    (replace(KNOWN, acked_lsn=69_992), {}, False),
    (KNOWN, {"order_id": "o1"}, False),
    (replace(KNOWN, delivered=False, begin_lsn=70_000), {}, True),  # nothing was sent yet
    (replace(KNOWN, delivered=False), {}, False),
    (replace(KNOWN, delivered=False, begin_lsn=70_000, method=StartMethod.FOLLOW), {}, False),
])
def test_who_cannot_be_compared_goes_on_only_where_this_log_knows_him(order: Order, said: dict[str, object],
                                                                      goes_on: bool) -> None:
    found = compared(STREAM, order, welcome(**said), Likeness.UNKNOWN)
    assert found is STREAM if goes_on else isinstance(found, Detach) and "nobody can say" in found.reason


def test_a_failback_is_carried_out_once() -> None:
    """The host was put back to an older image since, and what it wrote then nobody has ordered to be given up."""
    found = decided(replace(FAILBACK, delivered=True), welcome(order_id="o1", history=OLD))
    assert isinstance(found, Detach)
    assert "no longer has the log it had" in found.reason
