"""Pages of an SRL that the disk cannot read: damage at their place, by the same verbs; never a torn end."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.log.support import Log, a_write
from volrep.log.record import Record
from volrep.log.recovery import UNREADABLE_MAX, scan_past_damage
from volrep.log.ring import PAGE_BYTES, SLOT_BYTES
from volrep.log.srl import Srl
from volrep.model.errors import VolrepError
from volrep.ports.disk import DiskFile

BLOCK = 4 * PAGE_BYTES


class BadDisk(DiskFile):
    """Reads that touch `bad` (file offsets, each of a page) fail with EIO, `patience` of them."""

    bad: frozenset[int] = frozenset()
    patience = 1 << 30

    def read_into(self, buffers: Sequence[memoryview], offset: int) -> int:
        end = offset + sum(map(len, buffers))
        if self.patience and any(offset < page + PAGE_BYTES and page < end for page in self.bad):
            self.patience -= 1
            raise OSError(errno.EIO, "Input/output error", self.path)
        return super().read_into(buffers, offset)


def reopen(log: Log, *bad: int, patience: int = 1 << 30) -> None:
    """With pages at these file offsets gone bad."""
    log.srl.close()
    file = BadDisk.open(log.path, exclusive=True)
    assert isinstance(file, BadDisk)
    file.bad, file.patience = frozenset(offset // PAGE_BYTES * PAGE_BYTES for offset in bad), patience
    log.srl = Srl.open(file)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "srl")


def offset_of(log: Log, lsn: int) -> int:
    return log.srl.ring.offset(lsn)


def test_an_unreadable_page_below_what_is_proved_durable_is_damage_that_can_be_given_up(log: Log) -> None:
    first, second, _ = (log.append(a_write(0, bytes([n]) * BLOCK)) for n in (1, 2, 3))
    reopen(log, offset_of(log, second) + 2 * PAGE_BYTES)
    with pytest.raises(VolrepError, match=f"VR-1502.*LSN {second} is damaged.*the disk cannot read it"):
        log.recover()
    found: list[int] = []

    def on_batch(view: memoryview, records: list[Record]) -> None:
        found.extend(view[record[4]] for record in records)

    end, gaps = scan_past_damage(log.srl, first, on_batch)
    assert found == [1, 3]
    (gap,) = gaps
    assert gap.from_lsn == second
    assert gap.header is not None
    assert end.records == 2


def test_an_unreadable_last_record_is_never_taken_for_a_torn_end(log: Log) -> None:
    """Nothing behind it proves that it was durable, but it may have been answered, and a torn write can be read."""
    log.append(a_write(0, b"kept"))
    last = log.append(a_write(0, b"x" * BLOCK))
    for place in (last, last + 2 * PAGE_BYTES):
        reopen(log, offset_of(log, place))
        with pytest.raises(VolrepError, match="VR-1502"):
            log.recover()


def test_unreadable_pages_behind_the_end_of_the_log_do_not_matter(log: Log) -> None:
    log.append(a_write(0, b"kept"))
    reopen(log, offset_of(log, log.srl.end_lsn + 10 * PAGE_BYTES))
    assert log.recover()[1] == [b"kept"]


def test_a_page_that_can_be_read_the_second_time_is_not_damaged(log: Log) -> None:
    lsn = log.append(a_write(0, bytes(BLOCK)))
    reopen(log, offset_of(log, lsn), patience=1)
    assert log.recover()[0].records == 1


def test_a_disk_that_reads_nothing_is_not_a_damaged_log(log: Log) -> None:
    lsn = log.append(a_write(0, bytes(BLOCK)))
    at = offset_of(log, lsn)
    reopen(log, *(at + n * PAGE_BYTES for n in range(UNREADABLE_MAX + 1)))
    with pytest.raises(VolrepError, match="VR-1507"):
        log.recover()


@pytest.mark.parametrize("slot", [0, 1])
def test_one_header_slot_that_cannot_be_read_is_no_error_and_both_are(log: Log, slot: int) -> None:
    log.append(a_write(0, b"kept"))
    reopen(log, slot * SLOT_BYTES)
    assert log.recover()[1] == [b"kept"]
    with pytest.raises(VolrepError, match="VR-1507"):
        reopen(log, 0, SLOT_BYTES)
