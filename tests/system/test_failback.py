"""The way back: what either side wrote since the fork is copied, crashes repeat it, an election settles a conflict."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, wait_for
from tests.system.rolling import BLOCK, MakeRds, RollingRds, block_number, rolling_maker, stamp
from volrep.model.config import Role
from volrep.model.status import LinkState, RoleFlag

MIB = 1 << 20
REGION = 256 << 10


@pytest.fixture
def make_rds(tmp_path: Path) -> Iterator[MakeRds]:
    yield from rolling_maker(tmp_path)


def write_regions(host: Host, regions: list[int], number: int) -> None:
    client = NbdClient(host.uri(0))
    for region in regions:
        client.write(region * REGION + BLOCK, stamp(number))
    client.close()


def part(rds: RollingRds, theirs: list[int], ours: list[int], **asked: object) -> None:
    """London writes what tokyo never gets, and dies; tokyo takes over and writes."""
    london, tokyo = rds.everybody[:2]
    write_regions(london, [0, 1, 2], 1)
    rds.wait_up_to_date()
    tokyo.kill()
    write_regions(london, theirs, 2)
    london.kill()
    tokyo.start()
    rds.promote(tokyo, "takeover", **asked)
    rds.follow()
    write_regions(tokyo, ours, 3)


@pytest.mark.parametrize("asked", [{}, {"failback": False}])
def test_exactly_the_union_is_copied(make_rds: MakeRds, asked: dict[str, object]) -> None:
    rds = make_rds(volumes=[32 * MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    part(rds, [5, 6, 40], [6, 7, 90], **asked)
    assert (RoleFlag.FAILBACK_LOGGING in tokyo.status().role_flags) == (not asked)
    london.start()
    copied_bytes = rds.come_home(london)
    assert copied_bytes == 5 * REGION
    rds.assert_equal()
    assert rds.primary is london
    assert [block_number(london.data(0)[n * REGION + BLOCK :], 0) for n in (5, 40, 6, 7, 90)] == [0, 0, 3, 3, 3]
    assert not tokyo.status().role_flags
    assert not london.status().role_flags
    assert len(london.call("divergence")["regions"]) == 2, "what was lost can still be listed"


def test_the_map_outlives_the_ring_and_the_worker(make_rds: MakeRds) -> None:
    """More is written after the takeover than the log holds, through two kills: still only the union is copied."""
    rds = make_rds(volumes=[32 * MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    part(rds, [100], [101])
    for round_number in range(3):
        client = NbdClient(tokyo.uri(0))
        for number in range(12):
            client.write(number % 2 * MIB, stamp(number + 10 + round_number) * 256)
        client.close()
        if round_number < 2:
            tokyo.kill()
            tokyo.start()
    assert tokyo.status().srl.tail_lsn > tokyo.status().history[-1].start_lsn
    london.start()
    assert rds.come_home(london) == (8 + 2) * REGION
    rds.assert_equal()


def test_autofb_needs_no_operator(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[8 * MIB], srl_bytes=17 * MIB)
    london = rds.primary
    part(rds, [5], [6], autofb=True)
    assert RoleFlag.AUTOFB in rds.primary.status().role_flags
    london.start()
    rds.assert_equal()
    wait_for(lambda: not rds.primary.status().role_flags, "the failback is over")


def test_autofb_waits_however_much_is_written(make_rds: MakeRds) -> None:
    """The log goes round several times: that is no reason to give the old Primary up."""
    rds = make_rds(volumes=[8 * MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    part(rds, [5], [6], autofb=True)
    client = NbdClient(tokyo.uri(0))
    for number in range(40):
        client.write(number % 2 * MIB, stamp(number + 1) * 256)
    client.close()
    assert rds.link_status(tokyo, london).state == LinkState.ACTIVE
    london.start()
    rds.assert_equal()


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_of_either_side_repeats_the_failback(make_rds: MakeRds, seed: int) -> None:
    rds = make_rds(volumes=[32 * MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    numbers = random.Random(seed)
    part(rds, numbers.sample(range(128), 40), numbers.sample(range(128), 40))
    london.start()
    wait_for(lambda: rds.link_status(tokyo, london).state == LinkState.STALE, "london has returned")
    for round_number in range(5):
        killers = [threading.Timer(numbers.uniform(0, 0.12), host.kill) for host in
                   numbers.sample([london, tokyo], numbers.choice((1, 2)))]
        for killer in killers:
            killer.start()
        if round_number == 0:
            with contextlib.suppress(OSError, RuntimeError):  # tokyo was killed first: it is said again below
                rds.start_link(london, "failback")
        for killer in killers:
            killer.join()
        for host in (tokyo, london):
            if host.process is not None and host.process.poll() is not None:
                host.start()
        if rds.link_status(tokyo, london).state == LinkState.STALE:
            rds.start_link(london, "failback")
        write_regions(tokyo, numbers.sample(range(128), 3), 100 + round_number)
    rds.assert_equal()
    assert all("not consistent" not in event["message"] for event in tokyo.events)


def separate(rds: RollingRds) -> int:
    """Both hosts live, and hear nothing of each other. For `join`."""
    for host in rds.everybody:
        host.reachable = False
    london, tokyo = rds.everybody[:2]
    port, london.links[0]["remote_port"] = int(london.links[0]["remote_port"]), 1
    london.configure()
    wait_for(lambda: not tokyo.status().links[0].connected, "separated")
    return port


def join(rds: RollingRds, port: int) -> None:
    london = rds.everybody[0]
    for host in rds.everybody:
        host.reachable = True
    london.links[0]["remote_port"] = port
    london.call("configure", {**london.config(), "exports": london.exports})


def meet_as_primaries(rds: RollingRds, port: int, regions: list[int], value: int) -> None:
    """tokyo takes over, writes, and is joined with london, which has written, too: each holds to its reign."""
    london, tokyo = rds.everybody[:2]
    rds.promote(tokyo, "takeover")
    rds.follow()
    write_regions(tokyo, regions, value)
    join(rds, port)
    for host in (london, tokyo):
        assert rds.wait_flag(host, RoleFlag.PRIMARY_PRIMARY).role == Role.PRIMARY


def test_two_primaries_with_writes_of_their_own_are_left_to_an_election(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[32 * MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    write_regions(london, [0], 1)
    rds.wait_up_to_date()
    port = separate(rds)
    held = NbdClient(london.uri(0))
    held.write(5 * REGION + BLOCK, stamp(2))
    meet_as_primaries(rds, port, [6, 7], 3)
    held.write(8 * REGION + BLOCK, stamp(4))  # neither is stopped
    write_regions(tokyo, [9], 5)

    def counted() -> bool:
        one, other = london.status(), tokyo.status()
        return (one.since_fork is not None and one.since_fork.writes == 2 and other.since_fork is not None
                and other.since_fork.writes == 3 and one.superseded_by is not None
                and one.superseded_by.since_fork is not None and one.superseded_by.since_fork.writes == 3)

    wait_for(counted, "both know how much each has written")
    for host in (london, tokyo):  # a restart forgets nothing of it, and stops nobody
        host.kill()
        host.start()
        assert RoleFlag.PRIMARY_PRIMARY in host.status().role_flags
    held = NbdClient(london.uri(0))
    used = NbdClient(tokyo.uri(0))
    with pytest.raises(RuntimeError, match="VR-1413"):
        tokyo.call("makesec", {"force": False})
    used.close()
    held.close()
    wait_for(lambda: not any(v.open_connections for v in tokyo.status().volumes), "nobody uses tokyo")
    tokyo.call("makesec", {"force": False})
    rds.promote(london, "elect")
    assert not london.status().role_flags
    rds.start_link(tokyo, "failback")
    rds.assert_equal()
    assert [block_number(tokyo.data(0)[n * REGION + BLOCK :], 0) for n in (5, 8, 6, 7, 9)] == [2, 4, 0, 0, 0]


def test_a_primary_whose_rival_has_given_way_is_elected_all_the_same(make_rds: MakeRds) -> None:
    """It may hear of that before the operator's second step reaches it."""
    rds = make_rds(volumes=[8 * MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    write_regions(london, [0], 1)
    rds.wait_up_to_date()
    port = separate(rds)
    write_regions(london, [5], 2)
    meet_as_primaries(rds, port, [6], 3)
    london.call("makesec", {"force": True})
    wait_for(lambda: RoleFlag.PRIMARY_PRIMARY not in tokyo.status().role_flags, "tokyo hears that london gave way")
    rds.promote(tokyo, "elect")
    assert tokyo.status().generation == 3
    rds.start_link(london, "failback")
    rds.assert_equal()


def test_two_secondaries_that_take_over_at_once_are_told_apart(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[8 * MIB], srl_bytes=17 * MIB, secondaries=2)
    london, tokyo, paris = rds.everybody
    write_regions(london, [0], 1)
    rds.wait_up_to_date()
    london.kill()
    rds.promote(paris, "takeover")
    rds.crown(london)
    rds.promote(tokyo, "takeover")
    rds.start_link(paris)
    for host in (tokyo, paris):
        assert rds.wait_flag(host, RoleFlag.PRIMARY_PRIMARY).generation == 2
    paris.call("makesec", {"force": True})
    rds.promote(tokyo, "elect")
    assert tokyo.status().generation == 3
    london.start()
    assert london.status().role == Role.SECONDARY
    rds.start_link(london)
    rds.wait_heard(paris)
    if rds.link_status(tokyo, paris).state == LinkState.STALE:
        rds.start_link(paris, "failback")
    rds.assert_equal()
