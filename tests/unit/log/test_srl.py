"""The SRL on a real file: preparing, appending across the edge, header slots, failing disks."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.log.support import Log, a_header, a_write
from volrep.log.header import decode_slot
from volrep.log.ring import HEADER_AREA_BYTES, SLOT_BYTES, SRL_MIN_BYTES
from volrep.log.srl import Srl, split
from volrep.model.errors import VolrepError
from volrep.model.units import FIRST_LSN, Reign
from volrep.ports.disk import DiskFile
from volrep.ports.streams import Buffer


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "srl")


class Failing(DiskFile):
    """A disk that fails on demand, having written the first `keep` bytes."""

    keep = -1

    def write(self, buffers: Sequence[Buffer], offset: int, *, durable: bool = False) -> None:
        if self.keep >= 0:
            super().write([b"".join(buffers)[:self.keep]], offset)
            raise OSError(errno.EIO, "Input/output error")
        super().write(buffers, offset, durable=durable)

    def sync(self) -> None:
        if self.keep >= 0:
            raise OSError(errno.EIO, "Input/output error")
        super().sync()


def failing(log: Log) -> Failing:
    log.srl.close()
    file = Failing.open(log.path)
    assert isinstance(file, Failing)
    end_lsn = log.srl.end_lsn
    log.srl = Srl.open(file)
    log.srl.resume_at(end_lsn)
    return file


def test_a_new_srl_is_all_allocated_and_starts_at_the_first_lsn(log: Log) -> None:
    assert log.srl.end_lsn == FIRST_LSN
    assert log.srl.header.history == [Reign(1, FIRST_LSN)]
    assert log.srl.header.capacity_bytes == log.srl.free_bytes == 16 << 20
    assert log.path.stat().st_blocks * 512 >= SRL_MIN_BYTES
    log.reopen()
    assert (log.srl.header.rvg, log.srl.header.incarnation, log.srl.header.tail_lsn) == ("hr_rvg", 1, FIRST_LSN)


def test_preparing_reports_progress(tmp_path: Path) -> None:
    path, seen = tmp_path / "srl", list[tuple[int, int]]()
    path.write_bytes(b"\xaa" * SRL_MIN_BYTES)
    Srl.create(DiskFile.open(path), a_header(), lambda done, of: seen.append((done, of))).close()
    assert seen[-1] == (SRL_MIN_BYTES, SRL_MIN_BYTES)
    assert not any(path.read_bytes()[HEADER_AREA_BYTES:])


def test_a_log_made_over_another_keeps_its_header_until_the_new_one_stands(tmp_path: Path) -> None:
    path = tmp_path / "srl"
    path.write_bytes(bytes(SRL_MIN_BYTES))
    Srl.create(DiskFile.open(path), a_header()).close()

    def dies(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    for on_progress, end_lsn in ((dies, FIRST_LSN), (None, FIRST_LSN + 4096)):
        over = Srl.open(DiskFile.open(path))
        try:
            Srl.create(over.file, a_header(), on_progress, first_lsn=FIRST_LSN + 4096, over=over)
        except KeyboardInterrupt:
            assert on_progress is not None
        over.file.close()
        found = Srl.open(DiskFile.open(path))
        assert found.header.durable_lsn == end_lsn
        found.file.close()


def test_too_small_a_file_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "srl"
    path.write_bytes(b"\xaa" * (SRL_MIN_BYTES - 1))
    with pytest.raises(VolrepError) as caught:
        Srl.create(DiskFile.open(path), a_header())
    assert caught.value.id == "VR-1500"
    assert set(path.read_bytes()) == {0xAA}


def test_a_full_disk_is_said_when_preparing(tmp_path: Path) -> None:
    file = DiskFile(os.open("/dev/full", os.O_RDWR), "/dev/full", SRL_MIN_BYTES, is_device=False)
    with pytest.raises(VolrepError, match="No space left") as caught:
        Srl.create(file, a_header())
    assert caught.value.id == "VR-1506"


def test_the_stream_goes_across_the_edge_of_the_ring_for_many_laps(log: Log) -> None:
    """Every byte comes back as written, in all three shapes of a batch at the edge."""
    block, written = os.urandom(1 << 20), 0
    for lap in range(40):
        size = (1 << 20) - 8 * lap
        while log.srl.free_bytes < size + 64 + 16:
            log.checkpoint()
        lsn = log.append(a_write(lap, block[:size]), a_write(lap, b"tail"))
        back = bytearray(64 + size)
        log.srl.read_into(memoryview(back), lsn)
        assert bytes(back[64:]) == block[:size]
        written += log.srl.end_lsn - lsn
        assert sum(length for _, length in log.srl.spans(lsn, size)) == size
    assert written > 2 * log.srl.header.capacity_bytes


def test_the_rest_of_the_page_behind_the_end_is_zeroed(log: Log) -> None:
    """What an earlier lap left there must not pass for the next record."""
    for size in (100, 4096 - 64, 3967 - 64, 4032 - 64 - 8):
        lsn = log.srl.end_lsn
        log.poke(lsn, b"\xaa" * 16384)
        log.append(a_write(0, bytes(size)))
        back = bytearray(64)
        log.srl.read_into(memoryview(back), log.srl.end_lsn)
        assert not any(back)


def test_the_tail_is_never_overwritten(log: Log) -> None:
    capacity = log.srl.header.capacity_bytes
    first = log.append(a_write(0, b"first record"))
    while log.srl.free_bytes > (1 << 20) + 128:
        log.append(a_write(0, bytes(1 << 20)))
    last = log.srl.free_bytes - 64
    log.append(a_write(0, b"\x01" * last))
    assert log.srl.free_bytes == 0
    assert log.srl.end_lsn == first + capacity
    back = bytearray(76)
    log.srl.read_into(memoryview(back), first)
    assert back[64:] == b"first record"
    with pytest.raises(AssertionError):
        log.append(a_write(0, b""))
    log.srl.header.tail_lsn = log.srl.header.applied_lsn = log.srl.end_lsn
    with pytest.raises(AssertionError):  # the header on disk still counts on the old tail
        log.append(a_write(0, b""))
    log.srl.write_header()
    log.append(a_write(0, b""))


def test_both_slots_say_the_same(log: Log) -> None:
    """Whichever of them rots: nothing of the newest header is lost."""
    for _ in range(3):
        log.append(a_write(0, b"x"))
        log.checkpoint()
        image = log.path.read_bytes()[:HEADER_AREA_BYTES]
        (first, one), (second, other) = (decode_slot(s, "/srl") for s in (image[:SLOT_BYTES], image[SLOT_BYTES:]))
        assert one == other
        assert abs(first - second) == 1


@pytest.mark.parametrize("keep", [0, 1, 24, 100, 300])
def test_a_crash_while_a_header_is_written_leaves_the_one_before(log: Log, keep: int) -> None:
    log.append(a_write(0, b"x"))
    log.checkpoint()
    good = log.srl.header.tail_lsn
    file = failing(log)
    log.append(a_write(0, b"y"))
    file.keep = keep
    with pytest.raises(VolrepError):
        log.checkpoint()
    log.reopen()
    assert log.srl.header.tail_lsn == good
    for _ in range(2):  # and the damaged slot is the next to be written
        log.srl.resume_at(log.srl.header.applied_lsn)
        log.checkpoint()
        log.reopen()


@pytest.mark.parametrize("slot", [0, 1])
def test_one_damaged_slot_does_not_matter_two_do(log: Log, slot: int) -> None:
    log.checkpoint()
    with log.path.open("r+b") as file:
        file.seek(slot * SLOT_BYTES + 30)
        file.write(b"\xff\xff")
        file.flush()
        log.reopen()
        assert log.srl.header.rvg == "hr_rvg"
        file.seek((1 - slot) * SLOT_BYTES)
        file.write(b"junk")
    with pytest.raises(VolrepError) as caught:
        log.reopen()
    assert caught.value.id == "VR-1501"


@pytest.mark.parametrize("size_bytes", [SRL_MIN_BYTES - 4096, SLOT_BYTES, 10, 0])
def test_a_file_cut_short_is_not_opened(log: Log, size_bytes: int) -> None:
    os.truncate(log.path, size_bytes)
    with pytest.raises(VolrepError) as caught:
        log.reopen()
    assert caught.value.id == "VR-1501"


def test_after_a_failed_write_nothing_is_appended_any_more(log: Log) -> None:
    file = failing(log)
    file.keep = 8
    with pytest.raises(VolrepError, match="Input/output error") as caught:
        log.append(a_write(0, b"lost"))
    assert caught.value.id == "VR-1510"
    file.keep = -1  # the disk says it is fine again: no matter
    for action in (lambda: log.append(a_write(0, b"x")), log.srl.sync, log.srl.write_header):
        with pytest.raises(VolrepError, match="failed before"):
            action()


def test_a_failed_sync_is_final(log: Log) -> None:
    file = failing(log)
    file.keep = 0
    with pytest.raises(VolrepError):
        log.srl.sync()
    file.keep = -1
    with pytest.raises(VolrepError, match="failed before"):
        log.append(a_write(0, b"x"))


def test_reading_what_is_not_there_is_an_error(log: Log) -> None:
    os.truncate(log.path, HEADER_AREA_BYTES)
    with pytest.raises(VolrepError) as caught:
        log.srl.read_into(memoryview(bytearray(8)), FIRST_LSN)
    assert caught.value.id == "VR-1507"


def test_split_cuts_without_losing_a_byte() -> None:
    buffers: list[Buffer] = [b"abc", b"", memoryview(b"defg"), bytearray(b"h")]
    for at in range(9):
        head, rest = split(buffers, at)
        assert (b"".join(head), b"".join(rest)) == (b"abcdefgh"[:at], b"abcdefgh"[at:])
