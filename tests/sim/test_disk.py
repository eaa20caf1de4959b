"""The simulated disk itself, and recovery on a disk whose cache shows what it never got."""

from __future__ import annotations

from random import Random

from tests.sim.disk import SimDisk, SimFile
from volrep.log.header import SrlHeader
from volrep.log.record import BatchEncoder, RecordType
from volrep.log.recovery import scan
from volrep.log.ring import HEADER_AREA_BYTES, SRL_MIN_BYTES
from volrep.log.srl import Srl
from volrep.model.units import FIRST_LSN


def a_file(size_bytes: int = 1 << 16) -> SimFile:
    return SimFile(SimDisk("d", size_bytes, Random(1)), -1, lambda _: False)


def test_power_takes_what_was_not_synced_sector_by_sector() -> None:
    file = a_file()
    file.write([b"a" * 4096], 0)
    file.sync()
    file.write([b"b" * 4096], 0)
    found = {bytes(file.disk.after_power_loss(Random(seed))[:4096]) for seed in range(50)}
    assert b"a" * 4096 in found
    assert b"b" * 4096 in found
    assert len(found) > 2, "torn ones, too"
    assert all(set(image) <= set(b"ab") for image in found)


def test_a_durable_write_is_durable_alone() -> None:
    file = a_file()
    file.write([b"x" * 512], 512)
    file.write([b"y" * 512], 1024, durable=True)
    images = [file.disk.after_power_loss(Random(seed)) for seed in range(20)]
    assert {bytes(i[1024:1536]) for i in images} == {b"y" * 512}
    assert {bytes(i[512:1024]) for i in images} == {b"x" * 512, bytes(512)}


def test_recovery_does_not_believe_the_page_cache_after_a_failed_write() -> None:
    """Linux calls the pages clean; a sync succeeds, and the cache shows a record that the disk never got."""
    file = a_file(SRL_MIN_BYTES)
    Srl.create(file, SrlHeader(rds_id="r", rvg_id="v", dg="dg", rvg="rvg", host="h", role="primary", generation=1,
                               capacity_bytes=0))
    buffers, _ = BatchEncoder().encode([(int(RecordType.WRITE), 0, 0, 4, memoryview(b"lost"))], lsn=FIRST_LSN,
                                       generation=1, incarnation=1, timestamp_ns=0, durable_lsn=FIRST_LSN)
    file.write(buffers, HEADER_AREA_BYTES + FIRST_LSN)
    file.disk._dirty.clear()  # a failed sync: the pages are clean, and the disk has nothing of them
    assert scan(Srl.open(file), FIRST_LSN, lambda *_: None).end_lsn == FIRST_LSN
