"""Planned changes of roles on real workers: nothing is lost, nothing is copied, everybody follows."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, wait_for
from tests.system.rolling import BLOCK, MakeRds, RollingRds, Writer, block_number, new_reign, rolling_maker, stamp
from volrep.model.config import Role
from volrep.model.status import RvgStatus

MIB = 1 << 20


@pytest.fixture
def make_rds(tmp_path: Path) -> Iterator[MakeRds]:
    yield from rolling_maker(tmp_path)


def completed_is_there(rds: RollingRds, writer: Writer) -> None:
    data = rds.primary.data(0)
    for block, number in writer.completed.items():
        found = block_number(data, block)
        assert number <= found <= writer.issued[block], f"block {block}: {number} was completed, {found} is there"


@pytest.mark.parametrize("attributes", [{}, {"synchronous": "override", "encryption": "off"}])
def test_the_role_goes_back_and_forth_without_a_copy_and_the_third_host_follows(make_rds: MakeRds,
                                                                                attributes: dict[str, str]) -> None:
    rds = make_rds(volumes=[2 * MIB], srl_bytes=17 * MIB, secondaries=2, attributes=attributes)
    number = 0
    for round_number in range(6):
        writer = Writer(rds.primary, number)
        writer.wait_writes(200)
        writer.stop()
        number = writer.number
        rds.migrate(rds.everybody[(round_number + 1) % 3])
        completed_is_there(rds, writer)
        assert rds.primary.status().generation == round_number + 2
    rds.assert_equal()
    for host in rds.everybody:
        status = host.status()
        assert len(status.history) == 7
        assert not any("resync" in event["type"] for event in host.events)
    assert max(link.sent_bytes for link in rds.primary.status().links) < MIB


def test_a_third_host_that_is_behind_follows_from_where_it_is(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[2 * MIB], srl_bytes=17 * MIB, secondaries=2)
    tokyo, paris = rds.secondaries
    paris.kill()
    for _ in range(2):
        writer = Writer(rds.primary)
        writer.wait_writes(200)
        writer.stop()
        rds.migrate(tokyo if rds.primary is not tokyo else rds.host("london"))
    paris.start()
    rds.assert_equal()
    assert not any("resync" in event["type"] for event in paris.events)


def test_connections_keep_the_role_where_it_is_unless_drained(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[2 * MIB], srl_bytes=17 * MIB)
    tokyo = rds.secondaries[0]
    client = NbdClient(rds.primary.uri(0))
    client.write(0, stamp(1))
    with pytest.raises(RuntimeError, match="VR-1413"):
        rds.demote(to=tokyo)
    client.write(0, stamp(2))
    rds.migrate(tokyo, drain=True)
    with pytest.raises(OSError, match=r"closed|reset|pipe"):
        client.write(0, stamp(3))
    client.close()
    rds.assert_equal()
    assert block_number(tokyo.data(0), 0) == 2


def test_a_primary_whose_secondary_is_behind_keeps_its_role_and_serves_again(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[2 * MIB], srl_bytes=17 * MIB)
    tokyo = rds.secondaries[0]
    tokyo.kill()
    client = NbdClient(rds.primary.uri(0))
    client.write(0, stamp(1))
    client.close()
    with pytest.raises(RuntimeError, match="VR-1414"):
        rds.demote(to=tokyo, wait_s=0.5)
    assert rds.primary.status().role == Role.PRIMARY
    client = NbdClient(rds.primary.uri(0))
    client.write(BLOCK, stamp(2))
    client.close()
    tokyo.start()
    rds.migrate(tokyo)
    rds.assert_equal()


def test_a_demoted_primary_takes_its_role_back_when_the_other_host_cannot(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[2 * MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    end_lsn = rds.demote(to=tokyo)
    tokyo.kill()
    rds.promote(london, "migrate", expect_lsn=end_lsn)
    rds.follow()
    client = NbdClient(london.uri(0))
    client.write(0, stamp(1))
    client.close()
    tokyo.start()
    rds.assert_equal()


def test_a_secondary_without_all_of_it_is_not_promoted_by_migrate(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[2 * MIB], srl_bytes=17 * MIB)
    tokyo = rds.secondaries[0]
    end_lsn = rds.demote(to=tokyo)
    for wrong in (end_lsn + 64, end_lsn - 64, 0):
        with pytest.raises(RuntimeError, match="VR-1412"):
            rds.promote(tokyo, "migrate", expect_lsn=wrong)
    with pytest.raises(RuntimeError, match="VR-1410"):
        rds.promote(tokyo, "elect")
    assert tokyo.status().role == Role.SECONDARY


def test_said_again_every_step_finds_its_work_done(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[2 * MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    end_lsn = rds.demote(to=tokyo)
    assert rds.demote(to=tokyo) == end_lsn
    reign = new_reign()
    for _ in range(2):
        rds.promote(tokyo, "migrate", expect_lsn=end_lsn, new_reign=reign)
        rds.crown(london)  # as if the operator's command had died
    rds.crown(tokyo)
    for _ in range(2):
        rds.follow()
    rds.assert_equal()
    assert [r.generation for r in tokyo.status().history] == [1, 2]


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_at_any_point_of_a_migration_loses_nothing(make_rds: MakeRds, seed: int) -> None:
    """Whoever is killed is started again, and the operator says the same steps again until they are done."""
    rds = make_rds(volumes=[MIB], srl_bytes=17 * MIB, secondaries=2)
    numbers = random.Random(seed)
    number = 0
    for _ in range(4):
        writer = Writer(rds.primary, number)
        writer.wait_writes(50)
        writer.stop()
        number = writer.number
        old, new = rds.primary, numbers.choice(rds.secondaries)
        migrate_through_kills(rds, old, new, numbers)
        completed_is_there(rds, writer)
    rds.assert_equal()
    assert not any("resync" in event["type"] for host in rds.everybody for event in host.events)


def migrate_through_kills(rds: RollingRds, old: Host, new: Host, numbers: random.Random) -> None:
    reign = new_reign()
    killers = [threading.Timer(numbers.uniform(0, 0.06), host.kill)
               for host in numbers.sample(rds.everybody, numbers.choice((1, 2)))]
    for killer in killers:
        killer.start()

    def attempt() -> bool:
        for host in rds.everybody:
            assert host.process is not None
            if host.process.poll() is not None:
                host.start()
        try:
            if RvgStatus.from_data(new.call("status")).role == Role.SECONDARY:
                rds.crown(old)
                if old.status().role == Role.PRIMARY:
                    wait_for(lambda: rds.link_status(old, new).connected, "connected", 5.0)
                end_lsn = rds.demote(to=new)
                rds.promote(new, "migrate", expect_lsn=end_lsn, new_reign=reign)
            rds.crown(new)
            rds.follow()
        except (OSError, RuntimeError, AssertionError):
            return False  # somebody was killed
        return all(host.process is not None and host.process.poll() is None for host in rds.everybody)

    wait_for(attempt, "the migration is done", 60.0)
    for killer in killers:
        killer.join()
    wait_for(attempt, "the migration is done, now that nobody is killed any more", 60.0)
