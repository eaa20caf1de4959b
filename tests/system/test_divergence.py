"""Two logs that differ in spite of equal histories: noticed when the hosts meet, left to the operator."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, Rds, rds_maker, wait_for
from volrep.model.status import LinkState, LinkStatus

MIB = 1 << 20
BLOCK = 4096


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
