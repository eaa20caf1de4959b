"""What is dirty goes to the disk in portions: all of it, with pauses, unless somebody waits or time is up."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random

import pytest

from volrep.ports.clock import SystemClock
from volrep.ports.disk import DiskFile
from volrep.volume.writeback import ENOUGH_BYTES, GENTLE_MAX_S, PORTION_BYTES_MIN, write_back_gently

PAGE_BYTES = 4096
SIZE = 256 << 20


class Disk(DiskFile):
    """A volume whose dirty pages a test names; writing one takes as long as it says, by the test's clock."""

    def __init__(self, clock: Clock, pages: set[int], page_s: float, path: Path) -> None:
        super().__init__(-1, str(path), SIZE, is_device=False)
        self.clock, self.pages, self.page_s = clock, pages, page_s
        self.portions: list[int] = []

    def dirty_bytes(self, offset: int, length: int) -> int:
        assert 0 <= offset < offset + length <= SIZE
        return len(self._pages(offset, length)) * PAGE_BYTES

    def write_back(self, offset: int, length: int) -> None:
        found = self._pages(offset, length)
        self.pages -= found
        self.portions.append(len(found) * PAGE_BYTES)
        self.clock.now_s += len(found) * self.page_s

    def _pages(self, offset: int, length: int) -> set[int]:
        return {page for page in self.pages if offset <= page * PAGE_BYTES < offset + length}


class Clock(SystemClock):
    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s


class Hurry:
    def __init__(self, clock: Clock, after_s: float = 1e9) -> None:
        self._clock, self._after_s, self.paused_s = clock, after_s, 0.0

    def is_set(self) -> bool:
        return self._clock.now_s >= self._after_s

    def wait(self, timeout: float) -> bool:
        self._clock.now_s += timeout
        self.paused_s += timeout
        return self.is_set()


def _scattered(count: int) -> set[int]:
    return set(Random(1).sample(range(SIZE // PAGE_BYTES), count))


def test_all_goes_in_portions_and_the_disk_is_free_half_of_the_time(tmp_path: Path) -> None:
    clock = Clock()
    disk, hurry = Disk(clock, _scattered(3000), 5e-6, tmp_path), Hurry(clock)
    write_back_gently(disk, clock, hurry)
    assert not disk.pages
    assert hurry.paused_s == pytest.approx(clock.now_s / 2)
    assert max(disk.portions) <= 200 * PAGE_BYTES  # of 5 us each: a millisecond


def test_a_few_pages_are_left_to_the_sync(tmp_path: Path) -> None:
    clock = Clock()
    disk = Disk(clock, _scattered(ENOUGH_BYTES // PAGE_BYTES), 5e-6, tmp_path)
    write_back_gently(disk, clock, Hurry(clock))
    assert disk.portions == []


def test_a_slow_disk_gets_the_smallest_portions_for_so_long(tmp_path: Path) -> None:
    clock = Clock()
    disk = Disk(clock, _scattered(2000), 0.005, tmp_path)
    write_back_gently(disk, clock, Hurry(clock))
    assert max(disk.portions) <= PORTION_BYTES_MIN
    assert GENTLE_MAX_S <= clock.now_s < GENTLE_MAX_S + 1


def test_who_waits_for_the_checkpoint_ends_it(tmp_path: Path) -> None:
    clock = Clock()
    disk = Disk(clock, _scattered(2000), 1e-4, tmp_path)
    write_back_gently(disk, clock, Hurry(clock, after_s=0.05))
    assert 0.05 <= clock.now_s < 0.1
    assert disk.pages


def test_pages_of_a_real_file_become_clean(tmp_path: Path) -> None:
    (tmp_path / "volume").write_bytes(bytes(16 << 20))
    file = DiskFile.open(tmp_path / "volume")
    file.sync()
    for page in range(0, 4096, 5):
        file.write([b"x" * PAGE_BYTES], page * PAGE_BYTES)
    if not file.dirty_bytes(0, file.size_bytes):
        pytest.skip("this kernel cannot tell what is dirty (cachestat, Linux 6.5), or this file system has no disk")
    write_back_gently(file, SystemClock(), threading.Event())
    assert file.dirty_bytes(0, file.size_bytes) == 0
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.write_back(0, 1)
    assert file.dirty_bytes(0, 1) == 0  # where the system cannot tell
