"""`BlockFile` and `Folder` over real files and block devices, and the one way to replace a small file.

Knows the system calls: vectored positional reads and writes, RWF_NOWAIT and RWF_DSYNC, fallocate,
SEEK_DATA, flock. Must not know what the bytes mean.

Nothing here retries a failed sync or hides an error: after EIO the kernel may have dropped the
pages, so a second fdatasync that succeeds proves nothing.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from volrep.ports.streams import IOV_MAX, Buffer

_FALLOC_KEEP_SIZE, _FALLOC_PUNCH_HOLE, _FALLOC_ZERO_RANGE = 0x01, 0x02, 0x10
_WRITE_AND_WAIT = 0x02 | 0x04  # SYNC_FILE_RANGE_WRITE, _WAIT_AFTER
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS)

# Longer writes to the page cache are cut at multiples of this. A file system with large folios (ext4 since Linux 6.16,
# XFS) keeps what one write brought as one folio, and walks all blocks of a folio at every later write into it: 4 KiB
# into a folio of 2 MiB took 17 us of CPU, into one of 32 KiB 3 us (docs/performance.md).
CACHED_WRITE_BYTES = 32 << 10

_CACHE_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# Zeroes are written from this block where the file system cannot zero a range itself. 1 MiB: large
# enough that the call costs nothing beside the copy, small enough to stay in the cache.
ZERO_BLOCK = bytes(1 << 20)


class DiskFile:
    """A regular file or block device of fixed size (`volrep.ports.files.BlockFile`)."""

    def __init__(self, fd: int, path: str, size_bytes: int, *, is_device: bool) -> None:
        self._fd = fd
        self.path = path
        self.size_bytes = size_bytes
        self.is_device = is_device
        self._nowait_known = True  # until the file system says otherwise
        self._dsync_known = True
        self._cachestat_known = True
        self._unsupported_modes: set[int] = set()  # fallocate modes; at most two

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, writable: bool = True, exclusive: bool = False) -> DiskFile:
        """Open an existing file or block device.

        `exclusive`: at most one holder on this machine, until `close` or the end of the process;
        raises BlockingIOError when there is one (a block device that is mounted has one too).
        Raises OSError; ValueError for anything but a regular file or block device.
        """
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC
        # O_EXCL means "not in use by the kernel" for block devices, and nothing at all for files.
        is_device = stat.S_ISBLK(os.stat(path).st_mode)
        try:
            fd = os.open(path, flags | (os.O_EXCL if is_device and exclusive else 0))
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise BlockingIOError(errno.EBUSY, os.strerror(errno.EBUSY), str(path)) from error
            raise
        try:
            return cls._opened(fd, os.fspath(path), exclusive=exclusive)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def _opened(cls, fd: int, path: str, *, exclusive: bool) -> DiskFile:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise ValueError(f"{path} is neither a regular file nor a block device")
        if exclusive:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # SEEK_END gives what BLKGETSIZE64 gives, for devices and files alike.
        return cls(fd, path, os.lseek(fd, 0, os.SEEK_END), is_device=stat.S_ISBLK(mode))

    def fileno(self) -> int:
        return self._fd

    def read_into(self, buffers: Sequence[memoryview], offset: int) -> int:
        """Fill the buffers; returns the bytes read, short only at the end of the file. Raises OSError."""
        wanted = sum(map(len, buffers))
        done = 0
        while done < wanted:
            left = buffers if done == 0 else skip(buffers, done)
            got = os.preadv(self._fd, left[:IOV_MAX], offset + done)
            if got == 0:
                break
            done += got
        return done

    def read_nowait(self, buffers: Sequence[memoryview], offset: int) -> int:
        """Bytes read from the page cache (short where the rest is on disk), -1 when the disk must be asked."""
        if self._nowait_known:
            try:
                return os.preadv(self._fd, buffers[:IOV_MAX], offset, os.RWF_NOWAIT)
            except BlockingIOError:
                return -1
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
                self._nowait_known = False
        return self.read_into(buffers, offset)

    def is_cached(self, offset: int, length: int) -> bool:
        """See `BlockFile`. Pages that are being read in count as cached; the last of a range is the last to come."""
        if not self._cachestat_known:
            return False
        first, last = offset // _CACHE_PAGE_BYTES, (offset + length - 1) // _CACHE_PAGE_BYTES
        cached, _ = self._cache_state(offset, length, _loops_area)
        return cached > last - first and self.read_nowait([_probe], offset + length - 1) == 1

    def dirty_bytes(self, offset: int, length: int) -> int:
        """See `BlockFile`; for any thread."""
        if not self._cachestat_known:
            return 0
        return self._cache_state(offset, length, ctypes.create_string_buffer(_CACHE_AREA_BYTES))[1] * _CACHE_PAGE_BYTES

    def _cache_state(self, offset: int, length: int, area: ctypes.Array[ctypes.c_char]) -> tuple[int, int]:
        """Pages of the range in the page cache, and how many of them are dirty."""
        _CACHE_RANGE.pack_into(area, 0, offset, length)
        place = ctypes.addressof(area)
        if _LIBC.syscall(_CACHESTAT, self._fd, place, place + _CACHE_RANGE.size, 0) != 0:
            self._cachestat_known = False
            return 0, 0
        cached, dirty = _CACHE_PAGES.unpack_from(area, _CACHE_RANGE.size)
        return cached, dirty

    def write(self, buffers: Sequence[Buffer], offset: int, *, durable: bool = False) -> None:
        """Write all of it; `durable`: on stable storage on return. Raises OSError.

        One call with RWF_DSYNC where all buffers fit one call; beyond that a sync for each call would
        cost more than one at the end.
        """
        if not durable and len(buffers) == 1 and len(buffers[0]) <= CACHED_WRITE_BYTES:  # most writes to a volume
            done = os.pwritev(self._fd, buffers, offset, 0)
            if done == len(buffers[0]):
                return
            buffers, offset = skip(buffers, done), offset + done
        if durable and len(buffers) <= IOV_MAX and self._dsync_known:
            try:
                self._write(buffers, offset, os.RWF_DSYNC)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:
                    raise
                self._dsync_known = False  # and written again below, with a sync of its own
            else:
                return
        self._write_cached(buffers, offset)
        if durable:
            os.fdatasync(self._fd)

    def _write_cached(self, buffers: Sequence[Buffer], offset: int) -> None:
        """To the page cache, in pieces of CACHED_WRITE_BYTES; most writes are shorter."""
        if sum(map(len, buffers)) <= CACHED_WRITE_BYTES:
            self._write(buffers, offset, 0)
            return
        piece: list[Buffer] = []
        piece_bytes, room = 0, CACHED_WRITE_BYTES - offset % CACHED_WRITE_BYTES
        for buffer in buffers:
            view = memoryview(buffer)
            while len(view) >= room:
                piece.append(view[:room])
                self._write(piece, offset, 0)
                offset += piece_bytes + room
                view = view[room:]
                piece, piece_bytes, room = [], 0, CACHED_WRITE_BYTES
            if view:
                piece.append(view)
                piece_bytes += len(view)
                room -= len(view)
        if piece:
            self._write(piece, offset, 0)

    def _write(self, buffers: Sequence[Buffer], offset: int, flags: int) -> None:
        wanted = sum(map(len, buffers))
        left: Sequence[Buffer] = buffers
        while wanted:
            # Every part that a short write leaves is written with the same flags: each is durable.
            done = os.pwritev(self._fd, left[:IOV_MAX], offset, flags)
            if done == 0:
                raise OSError(errno.EIO, "wrote nothing", self.path)
            wanted -= done
            offset += done
            if wanted:
                left = skip(left, done)

    def prefetch(self, offset: int, length: int) -> None:
        """See `BlockFile`."""
        os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_WILLNEED)

    def uncache(self, offset: int, length: int) -> None:
        """The next read of the range comes from the disk; what was not synced yet stays in the page cache."""
        os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_DONTNEED)

    def write_back(self, offset: int, length: int) -> None:
        """See `BlockFile`."""
        while _LIBC.sync_file_range(self._fd, offset, length, _WRITE_AND_WAIT) != 0:
            code = ctypes.get_errno()
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code), self.path)

    def sync(self) -> None:
        """Everything written so far is on stable storage on return. Raises OSError; never retry it."""
        os.fdatasync(self._fd)

    def zero(self, offset: int, length: int, *, unmap: bool) -> None:
        """The range reads as zeroes afterwards; with `unmap` its space may be given back. Raises OSError."""
        if length <= 0:
            return
        mode = _FALLOC_KEEP_SIZE | (_FALLOC_PUNCH_HOLE if unmap else _FALLOC_ZERO_RANGE)
        if not self._fallocate(mode, offset, length):
            self._write_zeroes(offset, length)

    def _fallocate(self, mode: int, offset: int, length: int) -> bool:
        """False where this file system or device cannot (do) it: unaligned ranges of devices included."""
        if mode in self._unsupported_modes:
            return False
        while _LIBC.fallocate(self._fd, mode, offset, length) != 0:
            code = ctypes.get_errno()
            if code in _UNSUPPORTED:
                self._unsupported_modes.add(mode)
                return False
            if code == errno.EINVAL and self.is_device:
                return False
            if code != errno.EINTR:
                raise OSError(code, os.strerror(code), self.path)
        return True

    def _write_zeroes(self, offset: int, length: int) -> None:
        block = memoryview(ZERO_BLOCK)
        while length:
            step = min(length, len(block))
            self._write_cached((block[:step],), offset)
            offset += step
            length -= step

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int, bool]]:
        """(offset, length, is_data) covering the range in order; a hole reads as zeroes. Raises OSError.

        Where the file system cannot tell (and on block devices) the whole range is data.
        """
        end = offset + length
        while offset < end:
            data = end if self.is_device else self._seek(offset, os.SEEK_DATA, end)
            if self.is_device or data == offset:
                hole = end if self.is_device else self._seek(offset, os.SEEK_HOLE, end)
                yield offset, hole - offset, True
                offset = hole
            else:
                yield offset, data - offset, False
                offset = data

    def _seek(self, offset: int, whence: int, end: int) -> int:
        """Next data or hole at or after `offset`, at most `end`."""
        try:
            return min(os.lseek(self._fd, offset, whence), end)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end of the file
                return end
            if error.errno == errno.EINVAL or error.errno in _UNSUPPORTED:  # it cannot tell
                return offset if whence == os.SEEK_DATA else end
            raise

    def drop_cache(self) -> None:
        """See `BlockFile`. Unsynced pages stay: sync first."""
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def identity(self) -> tuple[int, int]:
        """See `BlockFile`."""
        if self.is_device:
            return 0, 0
        found = os.fstat(self._fd)
        return found.st_ino, found.st_mtime_ns

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    libc.fallocate.restype = ctypes.c_int
    libc.syscall.argtypes = (ctypes.c_long, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint)
    libc.syscall.restype = ctypes.c_long
    libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    libc.sync_file_range.restype = ctypes.c_int
    return libc


_LIBC = _libc()

# cachestat(fd, range, state, flags), Linux 6.5, the same number on all architectures; libc has no name for it yet. The
# range and the state (five numbers, of which two count here) lie in one area.
_CACHESTAT = 451
_CACHE_RANGE, _CACHE_PAGES = struct.Struct("=QQ"), struct.Struct("=QQ")
_CACHE_AREA_BYTES = 16 + 5 * 8
_loops_area = ctypes.create_string_buffer(_CACHE_AREA_BYTES)  # for `is_cached`, which only the loop asks
_probe = memoryview(bytearray(1))


def skip(buffers: Sequence[Buffer], count: int) -> list[memoryview]:
    """What remains of the buffers behind their first `count` bytes, without a copy."""
    for index, buffer in enumerate(buffers):
        if count < len(buffer):
            return [memoryview(buffer)[count:], *(memoryview(later) for later in buffers[index + 1:])]
        count -= len(buffer)
    return []


def save_file(path: str | os.PathLike[str], data: bytes, mode: int = 0o600) -> None:
    """Replace a small file as a whole: after a crash it holds the old bytes or the new ones. Raises OSError."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, mode)  # whatever the umask says
            file.write(data)
            file.flush()
            os.fsync(fd)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)
    _drop_left_over(target)


def _drop_left_over(target: Path) -> None:
    """What writers of this file left that were killed before they had replaced it."""
    for path in target.parent.glob(f".{glob.escape(target.name)}.*.new"):
        writer = path.name.removesuffix(".new").rpartition(".")[2]
        if writer.isdecimal() and not os.path.exists(f"/proc/{writer}"):
            path.unlink(missing_ok=True)


class DiskFolder:
    """`volrep.ports.files.Folder` over a directory, which is made (0700) when it is first written to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def save(self, name: str, data: bytes) -> None:
        target = self._path / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        save_file(target, data)

    def remove(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)
        _drop_left_over(self._path / name)


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Names created, replaced or removed in the directory are on stable storage on return. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
