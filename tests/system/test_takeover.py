"""Unplanned changes of roles on real workers: what was completed is there, and who returns gives way."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, wait_for
from tests.system.peer import as_primary, start, welcomed
from tests.system.rolling import BLOCK, MakeRds, RollingRds, Writer, block_number, rolling_maker, stamp
from volrep.link.frames import FrameType, frame_header
from volrep.log.record import BatchEncoder, RecordType, record_bytes
from volrep.model.config import Role
from volrep.model.status import LinkState, RoleFlag

MIB = 1 << 20
SYNC = {"synchronous": "override"}


@pytest.fixture
def make_rds(tmp_path: Path) -> Iterator[MakeRds]:
    yield from rolling_maker(tmp_path)


def write_until_killed(rds: RollingRds, seconds: float) -> Writer:
    writer = Writer(rds.primary)
    writer.wait_writes(20)
    killer = threading.Timer(seconds, rds.primary.kill)
    killer.start()
    writer.join()
    killer.join()
    return writer


def write(host: Host, block: int, number: int) -> None:
    client = NbdClient(host.uri(0))
    client.write(block * BLOCK, stamp(number))
    client.close()


@pytest.mark.parametrize("seed", range(5))
def test_synchronous_every_completed_write_survives_the_primary(make_rds: MakeRds, seed: int) -> None:
    rds = make_rds(volumes=[MIB], srl_bytes=17 * MIB, attributes=SYNC)
    london, tokyo = rds.everybody
    wait_for(lambda: rds.link_status(london, tokyo).current_mode == "synchronous", "synchronous replication")
    writer = write_until_killed(rds, random.Random(seed).uniform(0.01, 0.15))
    rds.promote(tokyo, "takeover")
    data = tokyo.data(0)
    for block, number in writer.completed.items():
        assert number <= block_number(data, block) <= writer.issued[block]
    write(tokyo, 3, writer.number + 1)
    rds.follow()
    london.start()
    rds.come_home(london)
    write(london, 4, writer.number + 2)
    rds.assert_equal()


@pytest.mark.parametrize("proved", [0, 1, 2, 3])
def test_what_was_acknowledged_from_memory_is_taken_along(make_rds: MakeRds, proved: int) -> None:
    """The Primary's disk had it, nobody here heard so: the records are in the Secondary's memory only.

    What the log of another host proves (`proved` of them) stays in the old reign, so that this host can follow.
    """
    rds = make_rds(volumes=[MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    write(london, 0, 1)
    rds.wait_up_to_date()
    history = london.status().history
    london.kill()
    peer = as_primary(rds)
    there = welcomed(peer, rds, history=history)
    writes = [(int(RecordType.WRITE), 0, n * BLOCK, BLOCK, memoryview(stamp(n + 10))) for n in range(3)]
    buffers, end_lsn = BatchEncoder().encode(writes, lsn=there.end_lsn, generation=1, incarnation=1, timestamp_ns=5,
                                             durable_lsn=there.end_lsn)
    data = b"".join(buffers)
    peer.send(start(there), frame_header(FrameType.LOG, length=len(data), lsn=there.end_lsn, aux=there.end_lsn), data)
    while True:
        _, network_lsn, data_lsn, _ = peer.receive(FrameType.ACK)
        if network_lsn == end_lsn:
            break
    assert data_lsn == there.end_lsn
    announced = tokyo.status().announced
    assert announced is not None
    assert (announced.tail_writes, announced.missing_bytes) == (3, 0)
    peer.close()
    wait_for(lambda: not tokyo.status().links[0].connected, "the Primary is gone")
    committed_lsn = there.end_lsn + proved * record_bytes(BLOCK)
    rds.promote(tokyo, "takeover", committed_lsn=committed_lsn)
    assert tokyo.status().history[-1].start_lsn == committed_lsn
    assert [block_number(tokyo.data(0), n) for n in range(3)] == [10, 11, 12]
    tokyo.kill()
    tokyo.start()
    assert [block_number(tokyo.data(0), n) for n in range(3)] == [10, 11, 12]


@pytest.mark.parametrize("seed", range(3))
def test_asynchronous_what_is_there_is_a_prefix(make_rds: MakeRds, seed: int) -> None:
    rds = make_rds(volumes=[MIB], srl_bytes=17 * MIB)
    tokyo = rds.secondaries[0]
    writer = write_until_killed(rds, random.Random(seed).uniform(0.01, 0.15))
    announced = tokyo.status().announced
    assert announced is not None
    assert announced.primary == "london"
    rds.promote(tokyo, "takeover")
    found = [block_number(tokyo.data(0), block) for block in range(256)]
    expected = [0] * 256
    prefixes = 0
    for number, block in [(0, 0), *writer.order]:
        expected[block] = number or expected[block]
        prefixes += expected == found
    assert prefixes == 1


def test_the_old_primary_serves_nothing_before_it_has_given_way(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    write(london, 0, 1)
    rds.wait_up_to_date()
    tokyo.kill()
    write(london, 1, 2)
    london.kill()
    tokyo.start()
    rds.promote(tokyo, "takeover")
    write(tokyo, 2, 3)
    for _ in range(2):  # the second time nobody needs to tell it
        london.start()
        status = london.status()
        assert status.role == Role.SECONDARY
        assert status.role_flags == [RoleFlag.ACTING_SECONDARY]
        assert status.superseded_by is not None
        assert (status.superseded_by.host, status.superseded_by.generation) == ("tokyo", 2)
        assert status.fork_lsn == tokyo.status().history[-1].start_lsn
        with pytest.raises(OSError, match=r"refused|No such file"):
            NbdClient(london.uri(0))
        since = wait_for(lambda: (s := london.status().since_fork) and s.complete and s, "the fork is looked through")
        assert (since.writes, since.bytes) == (1, BLOCK)
        london.kill()
        tokyo.reachable = False
    london.start()
    found = wait_for(lambda: (d := london.call("divergence"))["regions"] and d, "what was written beyond the fork")
    assert found["regions"] == [{"volume": "dv00", "offset": 0, "length": 256 << 10}]
    assert found["volumes"] == [{"name": "dv00", "writes": 1, "bytes": BLOCK, "regions_bytes": 256 << 10}]


def messages(host: Host, kind: str) -> list[str]:
    host.status()  # what the worker has said comes with its answers
    return [event["message"] for event in host.events if event["type"] == kind]


def test_without_network_a_primary_starts_as_its_policy_says(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    tokyo.reachable = False
    london.kill()
    london.start()
    write(london, 0, 1)  # startup=serve
    london.kill()
    london.startup = "ask-peers"
    london.start()
    status = london.status()
    assert (status.asking, status.kstate) == (["tokyo"], "RECOVER")
    with pytest.raises(OSError, match=r"refused|No such file"):
        NbdClient(london.uri(0))
    (said,) = wait_for(lambda: messages(london, "role_waits"), "an event says that it waits")
    assert said.startswith("london serves nobody: it waits for tokyo to answer")
    assert "before it serves" in messages(london, "rvg_started")[-1]
    london.call("serve")
    write(london, 0, 2)
    assert len(wait_for(lambda: messages(london, "role_serves"), "an event says that it serves")) == 1
    london.kill()
    london.start()
    assert london.status().asking == ["tokyo"]
    tokyo.reachable = True
    wait_for(lambda: not london.status().asking, "tokyo has answered")
    write(london, 0, 3)
    rds.assert_equal()


def test_the_third_host_follows_a_takeover_and_one_that_is_ahead_is_named(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[MIB], srl_bytes=17 * MIB, secondaries=3)
    london, tokyo, paris, oslo = rds.everybody
    write(london, 0, 1)
    rds.wait_up_to_date()
    paris.kill()
    write(london, 1, 2)
    wait_for(lambda: rds.link_status(london, tokyo).behind_bytes == 0, "tokyo")
    tokyo.kill()
    write(london, 2, 3)
    wait_for(lambda: rds.link_status(london, oslo).behind_bytes == 0, "oslo")
    london.kill()
    tokyo.start()
    paris.start()
    rds.promote(tokyo, "takeover")
    rds.follow()
    wait_for(lambda: rds.link_status(tokyo, paris).connected, "paris follows")
    wait_for(lambda: rds.link_status(tokyo, oslo).state == LinkState.STALE, "oslo is ahead")
    assert "that this Primary lacks" in rds.link_status(tokyo, oslo).reason
    assert block_number(oslo.data(0), 2) == 3, "nothing is overwritten unasked"
    london.start()
    rds.come_home(london, oslo)
    assert block_number(london.data(0), 2) == 0
    rds.assert_equal()


def test_a_returning_primary_that_lost_nothing_just_follows(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    write(london, 0, 1)
    rds.wait_up_to_date()
    london.kill()
    rds.promote(tokyo, "takeover")
    write(tokyo, 1, 2)
    rds.follow()
    london.start()
    rds.assert_equal()
    assert not any("resync" in event["type"] for host in rds.everybody for event in host.events)
    wait_for(lambda: not tokyo.status().role_flags, "there is nothing left to fail back")


def test_a_secondary_that_is_not_consistent_does_not_take_over(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[64 * MIB], srl_bytes=17 * MIB)
    london, tokyo = rds.everybody
    client = NbdClient(london.uri(0))
    for number in range(48):
        client.write(number * MIB, stamp(number + 1) * 256)
    client.close()
    link = {"link_id": rds.link(london, tokyo)["link_id"]}
    london.call("link.stop", link)
    london.call("link.start", {**link, "method": "autosync"})
    wait_for(lambda: not tokyo.status().consistent, "the copy has begun")
    london.kill()
    if not tokyo.status().consistent:
        with pytest.raises(RuntimeError, match="VR-1411"):
            rds.promote(tokyo, "takeover")
