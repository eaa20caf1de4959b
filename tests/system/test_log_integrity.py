"""Nothing damaged is acknowledged, kept or applied: bytes changed on the way, and rot on the Primary's own disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, Rds, rds_maker, wait_for
from tests.system.proxy import Proxy
from volrep.log.ring import HEADER_AREA_BYTES
from volrep.model.status import LinkState, LinkStatus

MIB = 1 << 20
BLOCK = 4096
FLIPS = 5
HANDSHAKE_BYTES = 4096  # hello line, proofs, HELLO and START of a small RVG are shorter

MakeRds = Callable[..., Rds]


@pytest.fixture
def make_rds(tmp_path: Path) -> Iterator[MakeRds]:
    with rds_maker(Rds, tmp_path, volumes=[4 * MIB], srl_bytes=17 * MIB, attributes={"encryption": "off"}) as make:
        yield make


def write(host: Host, blocks: range, byte: int) -> None:
    client = NbdClient(host.uri())
    for block in blocks:
        client.write(block * BLOCK, bytes([byte]) * BLOCK)
    client.close()


def link_of(host: Host) -> LinkStatus:
    (link,) = host.status().links
    return link


def test_bits_flipped_on_the_way_are_counted_told_and_fetched_again(make_rds: MakeRds) -> None:
    rds = make_rds()
    london, tokyo = rds.primary, rds.secondaries[0]

    def change(number: int, passed: int, data: bytes) -> bytes:
        """One bit per connection, for the first few, where payloads are."""
        if number > FLIPS or passed < HANDSHAKE_BYTES or len(data) < BLOCK or change.flipped == number:  # type: ignore[attr-defined]
            return data
        change.flipped = number  # type: ignore[attr-defined]
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1:]

    change.flipped = 0  # type: ignore[attr-defined]
    proxy = Proxy(tokyo.port, change)
    try:
        london.links[0]["remote_port"] = proxy.port
        london.configure()
        rds.startrep("blank")
        rds.wait_up_to_date()

        def all_flipped() -> bool:
            if link_of(london).connected:  # otherwise nothing flips, and what is written only fills the SRL
                write(london, range(64), 0x40 + proxy.connections)
            return proxy.connections > FLIPS

        wait_for(all_flipped, "a flip in each of the first connections", 60)
        rds.wait_up_to_date()
    finally:
        proxy.close()
    assert tokyo.data(0) == london.data(0)
    assert link_of(tokyo).mismatches >= FLIPS
    tokyo.status()  # brings events along
    told = [event["message"] for event in tokyo.events if event["type"] == "log_mismatch"]
    assert len(told) >= FLIPS
    assert any("is damaged" in message or "checksum" in message for message in told)
    london.status()
    assert "log_mismatch" in [event["type"] for event in london.events]
    assert link_of(london).state == LinkState.ACTIVE


def rot(host: Host, lsn: int, capacity: int) -> None:
    """One bit of the SRL, as a disk changes it: behind the worker's back."""
    fd = os.open(host.srl["path"], os.O_RDWR)
    try:
        at = HEADER_AREA_BYTES + lsn % capacity
        os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 4]), at)
    finally:
        os.close(fd)


def test_rot_in_the_primary_s_own_log_ends_the_link_with_the_place_and_the_remedy_not_the_application(
        make_rds: MakeRds) -> None:
    rds = make_rds()
    london, tokyo = rds.primary, rds.secondaries[0]
    rds.startrep("blank")
    write(london, range(4), 0x11)
    rds.wait_up_to_date()
    london.call("link.pause", {"link_id": london.links[0]["link_id"]})
    start_lsn = london.status().srl.end_lsn
    write(london, range(4, 8), 0x22)
    rot(london, start_lsn + 2 * (64 + BLOCK) + 100, london.status().srl.capacity_bytes)  # in the third record
    london.call("link.resume", {"link_id": london.links[0]["link_id"]})
    wait_for(lambda: link_of(london).state == LinkState.STALE, "the link to end")
    damaged_lsn = start_lsn + 2 * (64 + BLOCK)
    assert f"the log of this Primary is damaged at LSN {damaged_lsn}" in link_of(london).reason
    assert "startrep" in link_of(london).reason
    write(london, range(8, 12), 0x33)  # the application goes on
    assert tokyo.data(0)[6 * BLOCK:] == bytes(4 * MIB - 6 * BLOCK), "nothing damaged was applied"
    assert tokyo.data(0)[4 * BLOCK:6 * BLOCK] == b"\x22" * BLOCK * 2, "what came before it was"
    assert tokyo.status().consistent
    assert "log_damaged" in [event["type"] for event in london.events]
    rds.startrep("autosync")
    rds.wait_up_to_date()
    assert tokyo.data(0) == london.data(0)
