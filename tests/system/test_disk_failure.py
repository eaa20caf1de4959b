"""A disk that fails under a worker: the RVG says FAIL, nobody else is affected, and what was completed is recovered."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.injection import failing, program_failing
from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, Rds, rds_maker, wait_for
from volrep.model.status import KState, LinkState, RvgState

MIB = 1 << 20
BLOCK = 4096
CHECKPOINT_WAIT_S = 20.0  # a checkpoint comes every 5 s

pytestmark = pytest.mark.skipif(shutil.which("strace") is None or os.geteuid() != 0,
                                reason="failing system calls are injected with strace, as root")


@pytest.fixture
def make_rds(tmp_path: Path) -> Iterator[Callable[..., Rds]]:
    with rds_maker(Rds, tmp_path, srl_bytes=17 * MIB) as make:
        yield make


def data_of(number: int) -> bytes:
    return struct.pack("<Q", number) * (BLOCK // 8)


def event_types(host: Host) -> list[str]:
    host.status()  # brings what has come in between
    return [event["type"] for event in host.events]


@pytest.mark.parametrize(("what", "calls", "error"), [
    ("srl", "pwritev2", "EIO"), ("dv00", "pwritev2", "ENOSPC"), ("dv00", "fdatasync", "EIO")])
def test_a_secondary_whose_disk_fails_says_so_and_nobody_else_notices(
        make_rds: Callable[..., Rds], what: str, calls: str, error: str) -> None:
    rds = make_rds(volumes=[MIB], secondaries=2, attributes={"synchronous": "override"})
    tokyo, paris = rds.secondaries
    rds.startrep("blank")
    rds.wait_up_to_date()
    client = NbdClient(rds.primary.uri())
    path = tokyo.path_of(what)
    slowest_s = 0.0
    with failing(tokyo, path, calls, f"error={error}"):
        for number in range(50):
            before_s = time.monotonic()
            client.write(number % 16 * BLOCK, data_of(number + 1))
            slowest_s = max(slowest_s, time.monotonic() - before_s)
        wait_for(lambda: tokyo.status().state == RvgState.FAIL, "FAIL", CHECKPOINT_WAIT_S)
    client.close()
    status = tokyo.status()
    assert status.kstate == KState.DISABLED
    assert path in status.reason or what in status.reason
    assert status.links[0].state == (LinkState.PAUSE if what == "srl" else LinkState.FAIL)
    assert "rvg_fail" in event_types(tokyo)
    wait_for(lambda: not rds.primary.status().links[0].connected, "the Primary has noticed")
    assert "rlk_disconnect" in event_types(rds.primary)
    state, flag = (LinkState.PAUSE, "secondary_log_err") if what == "srl" else (LinkState.FAIL, "fail")
    wait_for(lambda: rds.primary.status().links[0].state == state, "the Primary knows why")
    assert flag in rds.primary.status().links[0].flags
    assert status.reason.split()[0] in rds.primary.status().links[0].reason
    assert slowest_s < 2.0, f"the application waited {slowest_s:.1f} s"
    wait_for(lambda: rds.primary.status().links[1].behind_bytes == 0, "paris")
    wait_for(lambda: paris.data(0) == rds.primary.data(0), "paris has it all")
    tokyo.kill()
    tokyo.start()
    rds.wait_up_to_date()
    assert tokyo.data(0) == rds.primary.data(0)


def write_until_error(client: NbdClient, completed: dict[int, int]) -> tuple[int, OSError]:
    """The number that was refused, and how."""
    for number in range(1, 10_000):
        try:
            client.write(number % 16 * BLOCK, data_of(number))
        except OSError as error:
            return number, error
        completed[number % 16] = number
    raise AssertionError("no write failed")


def test_a_primary_whose_log_fails_completes_nothing_and_recovers_what_it_completed(
        make_rds: Callable[..., Rds]) -> None:
    rds = make_rds(volumes=[MIB])
    rds.startrep("blank")
    rds.wait_up_to_date()
    london, tokyo = rds.primary, rds.secondaries[0]
    client, other = NbdClient(london.uri()), NbdClient(london.uri())
    completed: dict[int, int] = {}
    for number in range(1, 101):
        client.write(number % 16 * BLOCK, data_of(number))
        completed[number % 16] = number
    with failing(london, london.srl["path"], "pwritev2", "error=EIO"):
        refused, error = write_until_error(other, completed)
    assert (refused, error.errno) == (1, errno.EIO)
    with pytest.raises(OSError, match="NBD error") as again:  # for good, also when the disk works again
        client.write(0, data_of(7))
    assert again.value.errno == errno.EIO
    with pytest.raises(OSError, match="NBD error"):
        client.read(0, BLOCK)
    status = london.status()
    assert (status.state, status.kstate) == (RvgState.FAIL, KState.DISABLED)
    assert "VR-1510" in status.reason
    assert "rvg_fail" in event_types(london)
    client.close()
    other.close()
    london.kill()
    london.start()
    found = london.data(0)
    for block, number in completed.items():
        assert found[block * BLOCK:(block + 1) * BLOCK] in (data_of(number), data_of(refused) if block == 1 else b"")
    assert london.status().state == RvgState.ACTIVE
    rds.wait_up_to_date()
    assert tokyo.data(0) == london.data(0)


@pytest.mark.parametrize(("what", "calls"), [("srl", "pwritev2"), ("dv00", "fdatasync")])
def test_a_primary_whose_checkpoint_fails_is_in_fail_and_lives(make_rds: Callable[..., Rds], what: str,
                                                               calls: str) -> None:
    rds = make_rds(volumes=[MIB], secondaries=0)
    london = rds.primary
    client = NbdClient(london.uri())
    client.write(0, data_of(1))
    path = london.path_of(what)
    with failing(london, path, calls, "error=EIO"):
        wait_for(lambda: london.status().state == RvgState.FAIL, "FAIL", CHECKPOINT_WAIT_S)
    with pytest.raises(OSError, match="NBD error"):
        client.write(0, data_of(2))
    client.close()
    london.stop()
    london.start()
    assert london.data(0)[:BLOCK] == data_of(1)


@pytest.mark.parametrize(("what", "calls"), [("dv00", "fdatasync"), ("dv00", "pwritev2"), ("srl", "fdatasync"),
                                             ("srl", "preadv2"), ("srl", "pwritev2")])
def test_a_disk_that_fails_during_recovery_is_named_and_the_next_start_finds_everything(
        make_rds: Callable[..., Rds], what: str, calls: str) -> None:
    rds = make_rds(volumes=[MIB], secondaries=0)
    london = rds.primary
    client = NbdClient(london.uri())
    client.write(0, data_of(1))
    client.close()
    london.kill()
    program, path = london.program, london.path_of(what)
    london.program = program_failing(program, path, calls, "error=EIO:when=1+", london.dir / "strace.log")
    london.start()
    # what was replayed is synced by the first checkpoint, behind the start
    wait_for(lambda: london.status().state == RvgState.FAIL, "london to be in FAIL")
    status = london.status()
    assert path in status.reason or what in status.reason
    london.kill()
    london.program = program
    london.start()
    assert london.status().state == RvgState.ACTIVE
    assert london.data(0)[:BLOCK] == data_of(1)
