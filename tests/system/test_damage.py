"""Damaged or exchanged parts of an RVG, found by real workers: FAIL, and nothing changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, Rds, rds_maker, wait_for
from volrep.log.srl import Srl
from volrep.model.status import KState, LinkState, RvgState
from volrep.ports.disk import DiskFile

MIB = 1 << 20
BLOCK = 4096

MakeRds = Callable[..., Rds]


@pytest.fixture
def make_rds(tmp_path: Path) -> Iterator[MakeRds]:
    with rds_maker(Rds, tmp_path, srl_bytes=17 * MIB) as make:
        yield make


def block_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * (BLOCK // 8)


def lsn_of(host: Host, number: int) -> int:
    """Of the record that carries `block_of(number)`."""
    file = DiskFile.open(host.srl["path"])
    try:
        srl = Srl.open(file)
        content = bytearray(srl.ring.capacity_bytes)
        file.read_into([memoryview(content)], srl.ring.offset(0))
        return content.index(block_of(number)) - 64  # less than one lap is written here: LSN and offset are the same
    finally:
        file.close()


def rot(host: Host, lsn: int) -> None:
    """One byte of the record at `lsn` changes on the disk."""
    file = DiskFile.open(host.srl["path"])
    try:
        offset = Srl.open(file).ring.offset(lsn) + 70
        byte = bytearray(1)
        file.read_into([memoryview(byte)], offset)
        file.write([bytes([byte[0] ^ 0xFF])], offset, durable=True)
    finally:
        file.close()


def assert_fail(host: Host, vr_id: str) -> None:
    status = host.status()
    assert (status.state, status.kstate) == (RvgState.FAIL, KState.DISABLED), status
    assert vr_id in status.reason, status.reason


def written(host: Host, count: int) -> None:
    """Blocks 0, 1, ... `count` - 1, all to block 0, then killed: the log has what the header does not know."""
    client = NbdClient(host.uri())
    for number in range(1, count + 1):
        client.write(0, block_of(number))
    client.close()
    host.kill()


def test_a_damaged_log_leaves_the_volumes_as_they_are(make_rds: MakeRds) -> None:
    """They may hold what lies behind the damage; replaying only what lies before it would take them back."""
    london = make_rds(volumes=[MIB], secondaries=0).primary
    written(london, 5)
    before = london.data(0)
    assert before[:BLOCK] in (block_of(4), block_of(5))  # the last one may have been answered and not applied yet
    rot(london, lsn_of(london, 3))
    london.start()
    assert_fail(london, "VR-1502")
    assert london.data(0) == before


def test_the_log_of_another_rvg_is_not_replayed(make_rds: MakeRds) -> None:
    ours, other = (make_rds(volumes=[MIB], secondaries=0).primary for _ in range(2))
    written(ours, 1)
    written(other, 2)
    before = ours.data(0)
    shutil.copyfile(other.srl["path"], ours.srl["path"])
    ours.start()
    assert_fail(ours, "VR-1503")
    assert ours.data(0) == before


def test_nothing_is_replayed_onto_a_file_that_is_not_the_volume(make_rds: MakeRds) -> None:
    london = make_rds(volumes=[MIB], secondaries=0).primary
    written(london, 1)
    path = Path(london.volumes[0]["path"])
    path.rename(path.with_name("aside"))
    foreign = bytes(range(256)) * (MIB // 256)
    path.write_bytes(foreign)
    london.start()
    assert_fail(london, "VR-1532")
    assert path.read_bytes() == foreign
    path.unlink()
    path.with_name("aside").rename(path)
    london.kill()
    london.start()
    assert london.status().state == RvgState.ACTIVE


def test_a_secondary_whose_volumes_are_named_otherwise_pauses_the_link_until_that_is_right(tmp_path: Path) -> None:
    rds = Rds(tmp_path / "rds", srl_bytes=17 * MIB, volumes=[MIB])
    try:
        tokyo = rds.secondaries[0]
        tokyo.volumes[0]["name"] = "other"
        rds.start()
        rds.startrep("blank")
        wait_for(lambda: rds.primary.status().links[0].state == LinkState.PAUSE, "the link is paused")
        link = rds.primary.status().links[0]
        assert "secondary_config_err" in link.flags
        assert "volume 0 is dv00 on london but other here" in link.reason
        client = NbdClient(rds.primary.uri())
        client.write(0, block_of(1))
        client.close()
        tokyo.stop()
        tokyo.volumes[0]["name"] = "dv00"
        tokyo.start()
        rds.wait_up_to_date()
        assert tokyo.data(0) == rds.primary.data(0)
        assert tokyo.data(0)[:BLOCK] == block_of(1)
    finally:
        rds.close()
