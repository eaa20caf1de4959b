"""DiskFile on real files: vectored I/O beyond one call's limits, zeroing, holes, exclusiveness."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from volrep.ports.disk import CACHED_WRITE_BYTES, DiskFile, DiskFolder, save_file, skip
from volrep.ports.streams import IOV_MAX

SIZE = 4 << 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    with made.open("wb") as file:
        file.truncate(SIZE)
    return made


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("count", [1, IOV_MAX, IOV_MAX + 1, 3 * IOV_MAX + 5])
def test_any_number_of_buffers_is_written_in_order(path: Path, count: int, durable: bool) -> None:
    buffers = [n.to_bytes(8, "little") for n in range(count)]
    file = DiskFile.open(path)
    file.write(buffers, 4096, durable=durable)
    assert path.read_bytes()[4096:4096 + 8 * count] == b"".join(buffers)
    into = [memoryview(bytearray(8)) for _ in range(count)]
    assert file.read_into(into, 4096) == 8 * count
    assert [bytes(view) for view in into] == buffers
    file.close()


def test_short_writes_and_reads_are_continued(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwritev, preadv = os.pwritev, os.preadv

    def short_write(fd: int, buffers: list[bytes], offset: int, flags: int = 0) -> int:
        return pwritev(fd, [bytes(buffers[0])[:3]], offset, flags)

    def short_read(fd: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        return preadv(fd, [buffers[0][:3]], offset, flags)

    monkeypatch.setattr(os, "pwritev", short_write)
    monkeypatch.setattr(os, "preadv", short_read)
    file = DiskFile.open(path)
    file.write([b"abcdefgh", b"", b"ijklm"], 100, durable=True)
    into = memoryview(bytearray(13))
    assert file.read_into([into[:5], into[5:]], 100) == 13
    assert bytes(into) == b"abcdefghijklm"
    file.close()


@pytest.mark.parametrize("offset", [0, 1, 4096, CACHED_WRITE_BYTES - 1, CACHED_WRITE_BYTES, CACHED_WRITE_BYTES + 512])
@pytest.mark.parametrize("lengths", [[3 * CACHED_WRITE_BYTES], [4096] * 40, [1, CACHED_WRITE_BYTES, 7, 200_000, 4096]])
def test_a_long_cached_write_goes_in_pieces_that_no_later_write_pays_for(
        path: Path, monkeypatch: pytest.MonkeyPatch, offset: int, lengths: list[int]) -> None:
    pieces: list[tuple[int, int]] = []
    pwritev = os.pwritev

    def seen(fd: int, buffers: list[bytes], at: int, flags: int = 0) -> int:
        pieces.append((at, sum(map(len, buffers))))
        return pwritev(fd, buffers, at, flags)

    monkeypatch.setattr(os, "pwritev", seen)
    file = DiskFile.open(path)
    buffers = [os.urandom(length) for length in lengths]
    file.write(buffers, offset)
    assert path.read_bytes()[offset:offset + sum(lengths)] == b"".join(buffers)
    assert all(at // CACHED_WRITE_BYTES == (at + length - 1) // CACHED_WRITE_BYTES for at, length in pieces)
    assert len(pieces) <= sum(lengths) // CACHED_WRITE_BYTES + 2
    file.close()


def test_a_durable_write_asks_for_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call with RWF_DSYNC, or plain calls with one fdatasync behind them; never plain calls alone."""
    calls: list[object] = []
    pwritev, fdatasync = os.pwritev, os.fdatasync

    def written(fd: int, buffers: list[bytes], offset: int, flags: int = 0) -> int:
        calls.append(flags)
        return pwritev(fd, buffers, offset, flags)

    def synced(fd: int) -> None:
        calls.append("sync")
        fdatasync(fd)

    monkeypatch.setattr(os, "pwritev", written)
    monkeypatch.setattr(os, "fdatasync", synced)
    file = DiskFile.open(path)
    file.write([b"x"], 0, durable=True)
    assert calls == [os.RWF_DSYNC]
    calls.clear()
    file.write([b"x"] * (IOV_MAX + 1), 0, durable=True)
    assert calls == [0, 0, "sync"]
    file.close()


def test_reading_stops_at_the_end_of_the_file(path: Path) -> None:
    file = DiskFile.open(path, writable=False)
    assert file.read_into([memoryview(bytearray(100))], SIZE - 30) == 30
    assert file.read_into([memoryview(bytearray(100))], SIZE + 30) == 0
    file.close()


def test_read_nowait_gives_cached_bytes_or_says_that_it_cannot(path: Path) -> None:
    file = DiskFile.open(path)
    file.write([b"cached"], 0)
    into = memoryview(bytearray(6))
    assert file.read_nowait([into], 0) == 6
    assert bytes(into) == b"cached"
    file.sync()
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    assert file.read_nowait([into], 0) in (-1, 6)  # the kernel may keep a page all the same
    file.close()


def test_a_range_counts_as_cached_when_all_of_it_is(path: Path) -> None:
    file = DiskFile.open(path)
    file.write([b"x" * SIZE], 0)
    if not file.is_cached(0, SIZE):
        pytest.skip("this kernel cannot tell what the page cache has (cachestat, Linux 6.5)")
    assert file.is_cached(1, 1)
    file.sync()
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # reads bring what they ask for and no more
    file.read_into([memoryview(bytearray(4096))], 4096)
    assert file.is_cached(4096, 4096)
    assert file.is_cached(5000, 1)
    assert not file.is_cached(4095, 2)
    assert not file.is_cached(8191, 2)
    file.close()


def test_nothing_counts_as_cached_where_the_system_cannot_tell(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = DiskFile.open(path)
    file.write([b"x" * SIZE], 0)
    monkeypatch.setattr("volrep.ports.disk._CACHESTAT", 1 << 20)  # no such call
    assert not file.is_cached(0, 1)
    file.close()


def test_read_nowait_reads_normally_where_it_is_not_supported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preadv = os.preadv

    def unsupported(fd: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if flags:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", unsupported)
    file = DiskFile.open(path)
    file.write([b"abc"], 0)
    into = memoryview(bytearray(3))
    assert file.read_nowait([into], 0) == 3
    assert bytes(into) == b"abc"
    file.close()


@pytest.mark.parametrize("supported", [True, False])
@pytest.mark.parametrize("unmap", [True, False])
@pytest.mark.parametrize(("offset", "length"), [(0, SIZE), (4096, 8192), (4097, 3), (1000, 2 << 20)])
def test_a_zeroed_range_reads_as_zeroes_and_nothing_else_changes(
        path: Path, monkeypatch: pytest.MonkeyPatch, offset: int, length: int, *, unmap: bool, supported: bool) -> None:
    if not supported:
        monkeypatch.setattr(DiskFile, "_fallocate", lambda *_: False)
    path.write_bytes(b"\xaa" * SIZE)
    file = DiskFile.open(path)
    file.zero(offset, length, unmap=unmap)
    expected = bytearray(b"\xaa" * SIZE)
    expected[offset:offset + length] = bytes(length)
    assert path.read_bytes() == expected
    assert path.stat().st_size == SIZE
    file.close()


def test_extents_cover_the_range_in_order_and_tell_holes(path: Path) -> None:
    file = DiskFile.open(path)
    assert list(file.extents(0, SIZE)) == [(0, SIZE, False)]
    file.write([b"\x01" * 65536], 1 << 20)
    file.sync()
    assert list(file.extents(0, SIZE)) == [(0, 1 << 20, False), (1 << 20, 65536, True),
                                           ((1 << 20) + 65536, SIZE - (1 << 20) - 65536, False)]
    assert list(file.extents((1 << 20) + 512, 1024)) == [((1 << 20) + 512, 1024, True)]
    assert list(file.extents(4096, 0)) == []
    file.close()


def test_extents_are_all_data_where_the_file_system_cannot_tell(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = DiskFile.open(path)

    def unsupported(fd: int, offset: int, whence: int) -> int:
        raise OSError(errno.EINVAL, "cannot tell")

    monkeypatch.setattr(os, "lseek", unsupported)
    assert list(file.extents(512, 4096)) == [(512, 4096, True)]
    monkeypatch.undo()
    file.close()


def test_two_exclusive_holders_cannot_be(path: Path) -> None:
    first = DiskFile.open(path, exclusive=True)
    with pytest.raises(BlockingIOError):
        DiskFile.open(path, exclusive=True)
    first.close()
    DiskFile.open(path, exclusive=True).close()


def test_only_files_and_devices_are_opened(tmp_path: Path) -> None:
    with pytest.raises((ValueError, IsADirectoryError)):
        DiskFile.open(tmp_path, writable=False)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="neither"):
        DiskFile.open(tmp_path / "fifo")


def test_an_error_of_the_disk_is_raised() -> None:
    full = os.open("/dev/full", os.O_RDWR)
    file = DiskFile(full, "/dev/full", 4096, is_device=False)
    with pytest.raises(OSError, match="No space left") as caught:
        file.write([b"x"], 0, durable=True)
    assert caught.value.errno == errno.ENOSPC
    file.close()


def test_skip_drops_bytes_not_buffers() -> None:
    assert [bytes(view) for view in skip([b"abc", b"", b"de"], 2)] == [b"c", b"", b"de"]
    assert [bytes(view) for view in skip([b"abc", b"", b"de"], 3)] == [b"de"]
    assert skip([b"abc"], 3) == []


def test_a_saved_file_is_the_old_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "key"
    save_file(target, b"old", 0o640)
    assert target.read_bytes() == b"old"
    assert target.stat().st_mode & 0o777 == 0o640

    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        save_file(target, b"new and longer")
    assert target.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_what_a_killed_writer_left_goes_with_the_next_one_and_a_living_writer_keeps_its_own(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    others = {".key.1.new", ".key.x.new", f".other.{ended.pid}.new"}  # pid 1 lives everywhere
    for name in (f".key.{ended.pid}.new", *others):
        (tmp_path / name).write_bytes(b"half")
    save_file(tmp_path / "key", b"new")
    assert {entry.name for entry in tmp_path.iterdir()} == {"key", *others}
    folder = DiskFolder(tmp_path)
    (tmp_path / f".key.{ended.pid}.new").write_bytes(b"half")
    folder.remove("key")
    assert {entry.name for entry in tmp_path.iterdir()} == others


def test_a_folder_keeps_small_files(tmp_path: Path) -> None:
    folder = DiskFolder(tmp_path / "engine")
    with pytest.raises(FileNotFoundError):
        folder.read("maps/x.map")
    folder.remove("maps/x.map")
    folder.save("maps/x.map", b"old")
    folder.save("maps/x.map", b"new")
    assert folder.read("maps/x.map") == b"new"
    assert (tmp_path / "engine/maps").stat().st_mode & 0o777 == 0o700
    folder.remove("maps/x.map")
    assert list((tmp_path / "engine/maps").iterdir()) == []


def test_without_its_cache_a_file_is_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "v"
    path.write_bytes(bytes(1 << 20))
    file = DiskFile.open(str(path))
    file.write([b"kept"], 4096)
    file.sync()
    file.drop_cache()
    view = memoryview(bytearray(4))
    assert file.read_into([view], 4096) == 4
    assert bytes(view) == b"kept"
    file.close()
