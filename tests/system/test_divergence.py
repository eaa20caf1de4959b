"""Two logs that differ in spite of equal histories: noticed when the hosts meet, left to the operator."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, Rds, rds_maker, wait_for
from tests.system.rolling import RollingRds, rolling_maker
from volrep.model.status import LinkState, LinkStatus

MIB = 1 << 20
BLOCK = 4096
REGION = (256 << 10) // BLOCK  # in blocks


@pytest.fixture
def rds(tmp_path: Path) -> Iterator[Rds]:
    with rds_maker(Rds, tmp_path, volumes=[MIB], srl_bytes=17 * MIB) as make:
        yield make()


def write(host: Host, blocks: range, byte: int) -> None:
    client = NbdClient(host.uri())
    for block in blocks:
        client.write(block * BLOCK, bytes([byte]) * BLOCK)
    client.close()


def image(host: Host, folder: Path) -> None:
    folder.mkdir()
    for volume in (host.srl, *host.volumes):
        shutil.copyfile(volume["path"], folder / volume["name"])


def put_back(host: Host, folder: Path) -> None:
    for volume in (host.srl, *host.volumes):
        shutil.copyfile(folder / volume["name"], volume["path"])


@pytest.mark.parametrize("more", [0, 5], ids=["as much as before", "more than before"])
def test_a_primary_put_back_to_an_older_state_that_wrote_on_overwrites_nothing(rds: Rds, tmp_path: Path,
                                                                               more: int) -> None:
    london, tokyo = rds.primary, rds.secondaries[0]
    rds.startrep("blank")
    write(london, range(4), 0x11)
    rds.wait_up_to_date()
    london.kill()  # an image of running disks, as a snapshot of a virtual machine is: nothing says it was closed
    image(london, tmp_path / "image")
    london.start()
    write(london, range(4, 8), 0x22)
    rds.wait_up_to_date()
    london.stop()
    tokyo.stop()
    put_back(london, tmp_path / "image")
    london.start()
    write(london, range(4, 8 + more), 0x33)  # the same LSNs, other writes
    tokyo.start()
    before = tokyo.data(0)

    def stale() -> LinkStatus | None:
        (link,) = london.status().links
        return link if link.state == LinkState.STALE else None

    link = wait_for(stale, "the link to be STALE")
    assert "the logs differ between LSN" in link.reason
    assert tokyo.data(0) == before
    assert tokyo.status().consistent


def test_a_secondary_put_back_to_a_state_amid_its_copy_is_not_taken_for_equal(tmp_path: Path) -> None:
    """Nothing is written, so that its log ends where it did: only the count of what was copied shows it."""
    with rds_maker(Rds, tmp_path, volumes=[192 * MIB], srl_bytes=17 * MIB) as make:
        rds = make()
        london, tokyo = rds.primary, rds.secondaries[0]
        subprocess.run(["qemu-io", "-f", "raw", "-c", "write -P 5 0 192M", london.uri()], check=True,
                       capture_output=True)
        rds.startrep("autosync")
        wait_for(lambda: (sync := london.status().links[0].sync) is not None and sync.done_bytes, "a part is copied")
        tokyo.kill()
        image(tokyo, tmp_path / "image")
        tokyo.start()
        assert not tokyo.status().consistent, "the copy was over before the image"
        rds.wait_up_to_date()
        wait_for(lambda: london.status().links[0].consistent, "copied")
        tokyo.kill()
        put_back(tokyo, tmp_path / "image")
        assert tokyo.data(0) != london.data(0)
        tokyo.start()
        (link,) = wait_for(lambda: [at for at in london.status().links if at.state == LinkState.STALE], "STALE")
        assert "pieces of the copy that it had acknowledged: it went back to an older state" in link.reason
        assert not tokyo.status().consistent
        rds.startrep("autosync")
        rds.wait_up_to_date()
        wait_for(lambda: london.status().links[0].consistent, "copied again")
        assert tokyo.data(0) == london.data(0)


@pytest.fixture
def rolling(tmp_path: Path) -> Iterator[RollingRds]:
    for make in rolling_maker(tmp_path):
        yield make(volumes=[4 * MIB], srl_bytes=17 * MIB)


def part_before_the_fork(rds: RollingRds, folder: Path, beyond: int) -> None:
    """London is put back and writes on alone under the same reign; tokyo, which has the original writes, takes over.

    Original writes in region 1, other ones of the same size in region 2, `beyond` (blocks) longer, tokyo's own in 4.
    """
    london, tokyo = rds.everybody
    write(london, range(4), 0x11)
    rds.wait_up_to_date()
    london.kill()
    image(london, folder)
    london.start()
    write(london, range(REGION, REGION + 4), 0x22)
    rds.wait_up_to_date()
    fork_lsn = london.status().srl.end_lsn
    london.kill()
    tokyo.kill()
    put_back(london, folder)
    london.start()
    write(london, range(2 * REGION, 2 * REGION + 4 + beyond), 0x33)
    assert (london.status().srl.end_lsn > fork_lsn) == (beyond > 0)
    london.kill()
    tokyo.start()
    rds.promote(tokyo, "takeover")
    assert tokyo.status().history[-1].start_lsn == fork_lsn
    rds.follow()
    write(tokyo, range(4 * REGION, 4 * REGION + 4), 0x44)
    london.start()


def wait_stale(rds: RollingRds, host: Host, reason: str) -> None:
    def stale() -> bool:
        link = rds.link_status(rds.primary, host)
        return link.state == LinkState.STALE and reason in link.reason

    wait_for(stale, f"the link is STALE: {reason}")


@pytest.mark.parametrize("beyond", [3, 0, -2], ids=["beyond the fork", "as far as the fork", "not as far"])
def test_what_differs_before_the_fork_is_noticed_before_anything_is_overwritten(rolling: RollingRds, tmp_path: Path,
                                                                                beyond: int) -> None:
    london, tokyo = rolling.everybody
    part_before_the_fork(rolling, tmp_path / "image", beyond)
    if beyond > 0:
        wait_stale(rolling, london, "that this Primary lacks")
        before = london.data(0)
        rolling.start_link(london, "failback")
    wait_stale(rolling, london, "the logs differ between LSN")
    if beyond > 0:
        assert london.data(0) == before
    rolling.start_link(london, "autosync")
    rolling.assert_equal()
    assert tokyo.data(0)[REGION * BLOCK:][:BLOCK] == b"\x22" * BLOCK
