"""The data path on real workers, files and sockets: durability, order, slow and lost Secondaries."""

from __future__ import annotations

import random
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, Rds, rds_maker, wait_for
from tests.system.stamped import BLOCK, StampedWrites, stamp
from volrep.model.config import RvgConfig
from volrep.model.status import LinkState
from volrep.ports.disk import DiskFile
from volrep.rvg.opening import open_rvg

MIB = 1 << 20
SLOTS = 64
FREEZES = 200
KILLS = 100

MakeRds = Callable[..., Rds]


@pytest.fixture
def make_rds(tmp_path: Path) -> Iterator[MakeRds]:
    with rds_maker(Rds, tmp_path) as make:
        yield make


class Counter(threading.Thread):
    """Writes 1, 2, 3 ... to A and then to B, each number in block number % SLOTS; B only after A completed."""

    def __init__(self, rds: Rds) -> None:
        super().__init__(daemon=True)
        self.a, self.b = NbdClient(rds.primary.uri(0)), NbdClient(rds.primary.uri(1))
        self.number = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            self.number += 1
            offset = self.number % SLOTS * BLOCK
            self.a.write(offset, stamp(self.number))
            self.b.write(offset, stamp(self.number))

    def stop(self) -> None:
        self.stopping.set()
        self.join()
        self.a.close()
        self.b.close()


def recovered_numbers(frozen: Host, copy: Path) -> list[list[int]]:
    """Copy the files of a stopped worker, recover the copy, and read the numbers of each volume."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    config = RvgConfig.from_data(frozen.config())
    for named in [config.srl, *config.volumes]:
        source, named.path = named.path, str(copy / named.name)
        shutil.copyfile(source, named.path)
    config.accept = "volume_changed:" + ",".join(v.name for v in config.volumes)  # copies are other files
    opened = open_rvg(config, DiskFile.open)
    try:
        found = []
        for volume in opened.volumes:
            assert volume is not None
            data = bytearray(SLOTS * BLOCK)
            volume.file.read_into([memoryview(data)], 0)
            numbers = [struct.unpack_from("<Q", data, slot * BLOCK)[0] for slot in range(SLOTS)]
            assert all(bytes(data[s * BLOCK : (s + 1) * BLOCK]) == stamp(n) for s, n in enumerate(numbers)), "torn"
            found.append(numbers)
    finally:
        for volume in opened.volumes:
            assert volume is not None
            volume.file.close()
        opened.srl.close()
    return found


def expected_numbers(last: int) -> list[int]:
    return [last - (last - slot) % SLOTS if last - (last - slot) % SLOTS > 0 else 0 for slot in range(SLOTS)]


@pytest.mark.parametrize("attributes", [{}, {"synchronous": "override", "encryption": "off"}])
def test_a_secondary_frozen_at_any_instant_recovers_to_a_prefix(make_rds: MakeRds, tmp_path: Path,
                                                                attributes: dict[str, str]) -> None:
    rds = make_rds(volumes=[MIB, MIB], srl_bytes=17 * MIB, secondaries=2, attributes=attributes)
    rds.startrep("blank")
    rds.wait_up_to_date()
    writer = Counter(rds)
    writer.start()
    pause = threading.Event()
    instants = random.Random(7)
    seen = set()
    for _ in range(FREEZES // 2):
        pause.wait(instants.uniform(0.001, 0.02))
        frozen = instants.choice(rds.secondaries)
        assert frozen.process is not None
        frozen.process.send_signal(signal.SIGSTOP)
        try:
            a, b = recovered_numbers(frozen, tmp_path / "copy")
        finally:
            frozen.process.send_signal(signal.SIGCONT)
        last_a, last_b = max(a), max(b)
        assert last_b in (last_a, last_a - 1), f"{frozen.name}: B is at {last_b}, A at {last_a}"
        assert a == expected_numbers(last_a)
        assert b == expected_numbers(last_b)
        seen.add(last_a)
    writer.stop()
    assert len(seen) > FREEZES // 8, "the writer hardly moved between freezes"
    rds.wait_up_to_date()
    for secondary in rds.secondaries:
        assert [rds.primary.data(i) == secondary.data(i) for i in range(2)] == [True, True]


def test_a_completed_write_survives_sigkill_at_any_moment(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[MIB], srl_bytes=17 * MIB, secondaries=0)
    writes = StampedWrites(seed=11)
    for _ in range(KILLS):
        writes.write_until_killed(rds.primary.uri(0), rds.primary.kill)
        rds.primary.start()
        writes.check(rds.primary.data(0))
    assert writes.last > KILLS * 16


def test_a_full_srl_detaches_the_lost_secondary_alone_and_autosync_brings_it_back(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[32 * MIB], srl_bytes=17 * MIB, secondaries=2)
    rds.startrep("blank")
    rds.wait_up_to_date()
    lost, well = rds.secondaries
    lost.reachable = False
    lost.kill()
    client = NbdClient(rds.primary.uri(0))
    slowest_s = 0.0
    for number in range(60):
        before = time.monotonic()
        client.write(number % 32 * MIB, stamp(number + 1) * 256)
        slowest_s = max(slowest_s, time.monotonic() - before)
        if number % 4 == 3:  # the SRL is small: a Secondary that is well must be given the time to be
            wait_for(lambda: rds.primary.status().links[1].behind_bytes == 0, "paris follows")
    client.close()
    states = {link.remote_host: link for link in rds.primary.status().links}
    assert states["tokyo"].state == LinkState.STALE
    assert states["tokyo"].reason == "the SRL overflowed"
    assert states["paris"].state == LinkState.ACTIVE
    assert "srl_overflow" in [e["type"] for e in rds.primary.events]
    assert slowest_s < 2.0, f"the application waited {slowest_s:.1f} s"
    wait_for(lambda: rds.primary.status().links[1].behind_bytes == 0, "paris")
    assert rds.primary.data(0) == well.data(0)
    lost.reachable = True
    lost.start()
    rds.primary.call("link.start", {"link_id": states["tokyo"].link_id, "method": "autosync"})
    rds.wait_up_to_date()
    assert rds.primary.data(0) == lost.data(0)


def fio(uri: str, *extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["fio", "--name=load", "--ioengine=nbd", f"--uri={uri}", "--rw=randwrite", "--bs=4k", "--iodepth=32",
         "--size=64m", "--eta=never", *extra], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("encryption", ["tls", "off"])
def test_autosync_under_load_survives_cuts_and_kills(make_rds: MakeRds, encryption: str) -> None:
    rds = make_rds(volumes=[192 * MIB, 64 * MIB], srl_bytes=256 * MIB, attributes={"encryption": encryption})
    tokyo = rds.secondaries[0]
    subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 5 100M 40M", rds.primary.uri(0)], check=True,
                   capture_output=True)
    load = fio(rds.primary.uri(1), "--time_based", "--runtime=4", "--rate_iops=4000")
    rds.startrep("autosync")
    for _ in range(2):
        wait_for(lambda: rds.primary.status().links[0].connected, "connected")
        tokyo.kill()
        tokyo.start()
    output, _ = load.communicate(timeout=60)
    assert load.returncode == 0, output
    rds.primary.kill()
    rds.primary.start()
    rds.wait_up_to_date()
    assert [rds.primary.data(i) == tokyo.data(i) for i in range(2)] == [True, True]
    assert tokyo.status().consistent


def test_a_paused_link_keeps_its_place(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[8 * MIB], srl_bytes=64 * MIB)
    rds.startrep("blank")
    rds.wait_up_to_date()
    link = {"link_id": rds.primary.links[0]["link_id"]}
    rds.primary.call("link.pause", link)
    client = NbdClient(rds.primary.uri(0))
    for number in range(100):
        client.write(number * BLOCK, stamp(number + 1))
    client.close()
    status = rds.primary.status().links[0]
    assert (status.state, status.behind_writes) == (LinkState.PAUSE, 100)
    with pytest.raises(RuntimeError, match="VR-1400"):
        rds.primary.call("link.start", {**link, "method": "autosync"})
    rds.primary.call("link.resume", link)
    rds.wait_up_to_date()
    assert rds.primary.data(0) == rds.secondaries[0].data(0)


@pytest.mark.parametrize("touched", ["london", "tokyo"])
def test_a_volume_changed_behind_the_worker_s_back_no_longer_counts_as_equal(make_rds: MakeRds, touched: str) -> None:
    rds = make_rds(volumes=[8 * MIB], srl_bytes=17 * MIB)
    rds.startrep("blank")
    rds.wait_up_to_date()
    for host in rds.hosts:
        host.stop()
    host = next(h for h in rds.hosts if h.name == touched)
    with Path(host.volumes[0]["path"]).open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"an intruder")
    for host in rds.hosts:
        host.start()
    wait_for(lambda: rds.primary.status().links[0].state == LinkState.STALE, "the link is STALE")
    assert not rds.primary.status().links[0].consistent
    rds.startrep("autosync")
    rds.wait_up_to_date()
    assert rds.primary.data(0) == rds.secondaries[0].data(0)


def test_a_clean_stop_and_start_goes_on_where_it_was(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[8 * MIB], srl_bytes=17 * MIB)
    rds.startrep("blank")
    rds.wait_up_to_date()
    for host in rds.hosts:
        host.stop()
    for host in rds.hosts:
        host.start()
    rds.wait_up_to_date()
    assert rds.primary.status().links[0].state == LinkState.ACTIVE
    assert not any(event["type"] == "volume_changed" for host in rds.hosts for event in host.events)


def test_holes_and_zeroes_are_not_sent_as_data(make_rds: MakeRds) -> None:
    rds = make_rds(volumes=[256 * MIB], srl_bytes=17 * MIB)
    client = NbdClient(rds.primary.uri(0))
    client.write(64 * MIB, stamp(1) * 256)
    client.write(128 * MIB, bytes(MIB))
    client.close()
    rds.startrep("autosync")
    rds.wait_up_to_date()
    assert rds.primary.data(0) == rds.secondaries[0].data(0)
    assert rds.primary.status().links[0].sent_bytes < 2 * MIB
    blocks = Path(rds.secondaries[0].volumes[0]["path"]).stat().st_blocks * 512
    assert blocks < 2 * MIB, f"the Secondary allocated {blocks} bytes"
