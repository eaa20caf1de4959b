"""Disks that lie in memory and fail as disks do.

A disk shows its readers one image (`shown`, the page cache) and keeps another through a loss of power (`durable`).
What was written and not synced lies between: for each sector the versions it had since its last sync, of which a loss
of power leaves any one, or none. So unsynced writes are lost or kept in any subset and torn between any two sectors.

`SimFile` is `volrep.ports.files.BlockFile` over a disk for one process.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from volrep.ports.streams import Buffer

SECTOR_BYTES = 512
_ZERO_SECTOR = bytes(SECTOR_BYTES)
_VERSIONS_MAX = 4  # of one sector between two syncs; older ones are as good as the first


class Crash(BaseException):
    """The process ends here, in the middle of a system call. No handler of the code under test may stop it."""


@dataclass(slots=True)
class Trouble:
    """What the next calls meet. Counts run down to zero; 0: none."""

    write_errors: int = 0
    write_errno: int = errno.EIO
    sync_errors: int = 0
    read_errors: int = 0
    misdirect: int = 0  # a write lands elsewhere and says that all is well
    cold: float = 0.1  # part of reads that the page cache does not have


@dataclass(slots=True)
class SimDisk:
    """One volume of a host. `damaged`: ranges whose durable bytes are not what was written there."""

    path: str
    size_bytes: int
    random: Random
    inode: int = 1
    trouble: Trouble = field(default_factory=Trouble)
    shown: bytearray = field(init=False)
    durable: bytearray = field(init=False)
    damaged: list[tuple[int, int]] = field(default_factory=list)
    changes: int = 0  # stands for the time of the last change
    syncs: int = 0
    holder: SimFile | None = None
    _dirty: dict[int, list[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.size_bytes % SECTOR_BYTES == 0
        self.shown = bytearray(self.size_bytes)
        self.durable = bytearray(self.size_bytes)

    def put(self, offset: int, data: bytes, *, durable: bool) -> None:
        """Take the bytes; with `durable` they are through to the medium."""
        end = offset + len(data)
        self.shown[offset:end] = data
        self.changes += 1
        self._mend(offset, end)
        first, last = offset // SECTOR_BYTES, -(-end // SECTOR_BYTES)
        if durable:
            whole = slice(first * SECTOR_BYTES, last * SECTOR_BYTES)
            self.durable[whole] = self.shown[whole]
            if self._dirty:
                for sector in range(first, last):
                    self._dirty.pop(sector, None)
            return
        for sector in range(first, last):
            versions = self._dirty.setdefault(sector, [])
            versions.append(bytes(self.shown[sector * SECTOR_BYTES:(sector + 1) * SECTOR_BYTES]))
            if len(versions) > _VERSIONS_MAX:
                del versions[0]

    def _mend(self, offset: int, end: int) -> None:
        """Whole new bytes over a damaged place: the damage is gone."""
        if self.damaged:
            self.damaged = [(s, e) for s, e in self.damaged if not (offset <= s and e <= end)]

    def sync(self) -> None:
        self.syncs += 1
        for sector, versions in self._dirty.items():
            self.durable[sector * SECTOR_BYTES:(sector + 1) * SECTOR_BYTES] = versions[-1]
        self._dirty.clear()

    def fail_sync(self) -> None:
        """What Linux does: the pages are clean afterwards, whether they reached the disk or not."""
        for sector, versions in self._dirty.items():
            if self.random.random() < 0.5:
                self.durable[sector * SECTOR_BYTES:(sector + 1) * SECTOR_BYTES] = versions[-1]
        self._dirty.clear()

    def lose_power(self, random: Random) -> None:
        """Unsynced sectors keep any version or none."""
        self.durable = self.after_power_loss(random)
        self.shown = bytearray(self.durable)
        self._dirty.clear()

    def after_power_loss(self, random: Random) -> bytearray:
        """What a reader would find after a loss of power now."""
        found = bytearray(self.durable)
        kept = random.choice((0.0, 0.0, 0.5, 0.9, 1.0))
        for sector, versions in self._dirty.items():
            if random.random() < kept:
                found[sector * SECTOR_BYTES:(sector + 1) * SECTOR_BYTES] = (
                    versions[-1] if random.random() < 0.7 else random.choice(versions))
        return found

    def copy_after_power_loss(self, random: Random) -> SimDisk:
        copy = SimDisk(self.path, self.size_bytes, random, self.inode)
        copy.durable = self.after_power_loss(random)
        copy.shown = bytearray(copy.durable)
        copy.damaged = list(self.damaged)
        copy.trouble.cold = 0.0
        return copy

    def replace(self, data: bytearray) -> None:
        """Everything at once: an image was put back."""
        self.durable, self.shown = data, bytearray(data)
        self._dirty.clear()
        self.damaged.clear()
        self.changes += 1

    def drop_cache(self) -> None:
        """Clean pages are read from the medium again."""
        if self._dirty:
            for sector in range(self.size_bytes // SECTOR_BYTES):
                if sector not in self._dirty:
                    at = slice(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES)
                    self.shown[at] = self.durable[at]
        else:
            self.shown[:] = self.durable

    def rot(self, offset: int, bit: int) -> None:
        """One bit of the medium turns. Where unsynced bytes cover it, they are still to come and mend it."""
        if offset // SECTOR_BYTES in self._dirty:
            return
        self.durable[offset] ^= 1 << bit
        self.shown[offset] = self.durable[offset]
        self.damaged.append((offset, offset + 1))


class SimFile:
    """`BlockFile` of one process. `step` is asked before each call whether the process dies in it."""

    def __init__(self, disk: SimDisk, fd: int, step: Callable[[bool], bool]) -> None:
        self.disk = disk
        self.path = disk.path
        self.size_bytes = disk.size_bytes
        self._fd = fd
        self._step = step
        self._closed = False
        disk.holder = self

    def fileno(self) -> int:
        return self._fd

    def read_into(self, buffers: Sequence[memoryview], offset: int) -> int:
        self._begin()
        trouble = self.disk.trouble
        if trouble.read_errors:
            trouble.read_errors -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.path)
        done = 0
        for buffer in buffers:
            step = min(len(buffer), self.size_bytes - offset - done)
            if step <= 0:
                break
            buffer[:step] = self.disk.shown[offset + done:offset + done + step]
            done += step
        return done

    def read_nowait(self, buffers: Sequence[memoryview], offset: int) -> int:
        if self.disk.random.random() < self.disk.trouble.cold:
            return -1
        return self.read_into(buffers, offset)

    def is_cached(self, offset: int, length: int) -> bool:
        return self.disk.random.random() >= self.disk.trouble.cold

    def write(self, buffers: Sequence[Buffer], offset: int, *, durable: bool = False) -> None:
        data = b"".join(buffers)
        assert 0 <= offset <= self.size_bytes - len(data), f"{self.path}: write beyond the end"
        self._change([(offset, data)], durable=durable)

    def zero(self, offset: int, length: int, *, unmap: bool) -> None:
        assert 0 <= offset <= self.size_bytes - length, f"{self.path}: zeroes beyond the end"
        if length > 0:
            self._change([(offset, bytes(length))], durable=False)

    def _change(self, pieces: list[tuple[int, bytes]], *, durable: bool) -> None:
        disk, trouble = self.disk, self.disk.trouble
        (offset, data), = pieces
        if self._begin(may_tear=True):
            self._tear(offset, data)
            raise Crash(f"{self.path}: in the middle of a write")
        if trouble.write_errors:
            trouble.write_errors -= 1
            self._tear(offset, data)
            if durable:
                disk.fail_sync()
            raise OSError(trouble.write_errno, os.strerror(trouble.write_errno), self.path)
        if trouble.misdirect and len(data) >= SECTOR_BYTES:
            trouble.misdirect -= 1
            elsewhere = disk.random.randrange(0, (disk.size_bytes - len(data)) // SECTOR_BYTES + 1) * SECTOR_BYTES
            disk.put(elsewhere, data, durable=True)
            disk.damaged += [(offset, offset + len(data)), (elsewhere, elsewhere + len(data))]
            return
        disk.put(offset, data, durable=durable)

    def _tear(self, offset: int, data: bytes) -> None:
        """Some of the write's sectors arrive in the page cache: a killed or failed call gets as far as it gets."""
        random = self.disk.random
        end = offset + len(data)
        kept = random.choice((0.0, 0.5, 1.0))
        whole = random.random() < 0.2
        at = offset
        while at < end:
            stop = min(end, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
            if whole or random.random() < kept:
                self.disk.put(at, data[at - offset:stop - offset], durable=False)
            at = stop

    def prefetch(self, offset: int, length: int) -> None:
        """There is no time to gain here."""

    def uncache(self, offset: int, length: int) -> None:
        """Reads show what the disk has, as far as it was synced."""

    def dirty_bytes(self, offset: int, length: int) -> int:
        return 0  # what is written early makes nothing durable, and there is no time to gain here

    def write_back(self, offset: int, length: int) -> None:
        """Nothing that is not dirty."""

    def sync(self) -> None:
        disk, trouble = self.disk, self.disk.trouble
        self._begin()
        if trouble.sync_errors:
            trouble.sync_errors -= 1
            disk.fail_sync()
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.path)
        disk.sync()

    def drop_cache(self) -> None:
        self.disk.drop_cache()

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int, bool]]:
        """Sectors that are all zero count as holes, whole runs at a time.

        Not those whose zeroes a failed sync has lost: a file system keeps holes in its journal, and a page of zeroes
        counts as data.
        """
        end, shown = offset + length, self.disk.shown
        while offset < end:
            is_data = self._is_data(shown, offset, end)
            stop = min(end, (offset // SECTOR_BYTES + 1) * SECTOR_BYTES)
            while stop < end and self._is_data(shown, stop, end) == is_data:
                stop = min(end, stop + SECTOR_BYTES)
            yield offset, stop - offset, is_data
            offset = stop

    def _is_data(self, shown: bytearray, offset: int, end: int) -> bool:
        sector, disk = offset // SECTOR_BYTES, self.disk
        stop = min(end, (sector + 1) * SECTOR_BYTES)
        zeroes = _ZERO_SECTOR[:stop - offset]
        return shown[offset:stop] != zeroes or (sector not in disk._dirty and disk.durable[offset:stop] != zeroes)

    def identity(self) -> tuple[int, int]:
        return self.disk.inode, self.disk.changes

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self.disk.holder is self:
                self.disk.holder = None

    def _begin(self, *, may_tear: bool = False) -> bool:
        assert not self._closed, f"{self.path} is used after close"
        if not self._step(may_tear):
            return False
        if may_tear:
            return True
        raise Crash(self.path)
