"""The continuous verifier on real workers: both logs are proved equal, and rot on either disk is found and named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, Rds, rds_maker, wait_for
from tests.system.test_log_integrity import link_of, rot
from volrep.log.record import HEADER_BYTES, BatchEncoder, read_header
from volrep.log.ring import HEADER_AREA_BYTES
from volrep.model.status import LinkState

MIB = 1 << 20


@pytest.fixture
def rds(tmp_path: Path) -> Iterator[Rds]:
    with rds_maker(Rds, tmp_path, volumes=[4 * MIB], srl_bytes=17 * MIB) as make:
        made = make()
        made.startrep("blank")
        yield made


def write_mib(host: Host, count: int, byte: int) -> None:
    client = NbdClient(host.uri())
    for number in range(count):
        client.write(number * MIB, bytes([byte]) * MIB)
    client.close()


def wait_proved(rds: Rds) -> None:
    wait_for(lambda: link_of(rds.primary).proved_lsn == rds.primary.status().srl.end_lsn,
             "both logs to be proved equal")


def test_both_logs_are_proved_equal_up_to_the_end(rds: Rds) -> None:
    london, tokyo = rds.primary, rds.secondaries[0]
    rds.wait_up_to_date()
    begin_lsn = london.status().srl.end_lsn
    for byte in (1, 2):
        write_mib(london, 3, byte)
        wait_proved(rds)
        assert link_of(london).proved_from_lsn == begin_lsn
        assert link_of(tokyo).proved_lsn == link_of(london).proved_lsn
    tokyo.kill()
    write_mib(london, 1, 3)
    tokyo.start()  # it reads everything that it still has once more
    wait_proved(rds)
    london.kill()
    london.start()
    write_mib(london, 1, 4)
    wait_proved(rds)
    assert link_of(london).verify_problem == ""


@pytest.mark.parametrize("where", ["london", "tokyo"])
def test_rot_on_either_disk_is_found_and_named_and_replication_goes_on(rds: Rds, where: str) -> None:
    london, tokyo = rds.primary, rds.secondaries[0]
    rds.wait_up_to_date()
    begin_lsn = london.status().srl.end_lsn
    write_mib(london, 3, 1)
    wait_proved(rds)
    tokyo.stop()
    rotten = london if where == "london" else tokyo
    capacity = london.status().srl.capacity_bytes
    rot(rotten, begin_lsn + (MIB + 64) + 500, capacity)  # in the second record
    tokyo.start()
    wait_for(lambda: link_of(london).verify_problem, "the difference to be explained")
    lsn = begin_lsn + MIB + 64
    assert f"damaged at LSN {lsn} (payload CRC)" in link_of(london).verify_problem or where == "tokyo"
    assert f"the log of tokyo is damaged at LSN {lsn}" in link_of(london).verify_problem or where == "london"
    assert "log_damaged" in [event["type"] for event in london.events]
    write_mib(london, 2, 5)
    rds.wait_up_to_date()
    assert link_of(london).state == LinkState.ACTIVE
    assert tokyo.data(0) == london.data(0)


def rewrite(host: Host, lsn: int, capacity: int) -> None:
    """The record at `lsn` says something else, and every checksum agrees with it: another write, not damage."""
    with Path(host.srl["path"]).open("r+b") as file:
        at = HEADER_AREA_BYTES + lsn % capacity
        file.seek(at)
        old = read_header(file.read(HEADER_BYTES), 0)
        assert old is not None
        payload = bytes([0xEE]) * old.length
        buffers, _ = BatchEncoder().encode(
            [(old.type_byte, old.volume, old.offset, old.length, memoryview(payload))], lsn=old.lsn,
            generation=old.generation, incarnation=old.incarnation, timestamp_ns=old.timestamp_ns,
            durable_lsn=old.durable_lsn)
        file.seek(at)
        file.write(b"".join(buffers))


@pytest.mark.parametrize("where", ["london", "tokyo"])
def test_logs_that_are_both_intact_and_differ_part_the_link_and_overwrite_nothing(rds: Rds, where: str) -> None:
    london, tokyo = rds.primary, rds.secondaries[0]
    rds.wait_up_to_date()
    lsn = london.status().srl.end_lsn
    write_mib(london, 3, 1)  # the last MiB is compared when they meet; what lies before, only by the verifier
    wait_proved(rds)
    capacity = london.status().srl.capacity_bytes
    tokyo.stop()
    rewrite(london if where == "london" else tokyo, lsn, capacity)
    before = tokyo.data(0)
    tokyo.start()
    wait_for(lambda: link_of(london).state == LinkState.STALE, "the link to part")
    link = link_of(london)
    assert "the logs differ between LSN" in link.reason
    assert "every record is intact here and on tokyo" in link.reason
    assert link.proved_lsn <= lsn
    write_mib(london, 2, 5)  # the application notices nothing
    assert tokyo.data(0) == before
    assert tokyo.status().consistent
    rds.startrep("autosync")
    rds.wait_up_to_date()
    assert tokyo.data(0) == london.data(0)
