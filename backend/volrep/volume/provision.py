"""Volumes come and go: creating file volumes, adopting what exists, destroying.

Knows files, block devices, free space and who else may be using them. Must not know disk groups,
RVGs or the configuration: the engine decides whether a volume may be touched at all.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from volrep.model.errors import VolrepError
from volrep.model.messages import volumes as messages
from volrep.model.units import SECTOR_BYTES
from volrep.ports.disk import DiskFile, sync_directory

MOUNTS = Path("/proc/self/mounts")
SWAPS = Path("/proc/swaps")
LOOP_DEVICES = Path("/sys/block")


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A volume as found or made."""

    path: str
    size_bytes: int
    is_device: bool


def create_volume(name: str, path: str | os.PathLike[str], size_bytes: int, *, allocate: bool = False) -> Provisioned:
    """A new file of exactly `size_bytes`, all zeroes, durable in its directory.

    Sparse, so it may be larger than what is free now; `allocate` takes the space at once (an SRL,
    which is written all over). Raises VR-1200, VR-1201, VR-1202, VR-1205; nothing is left behind then.
    """
    check_size(name, size_bytes)
    target = Path(path)
    try:
        fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise VolrepError(messages.VOLUME_EXISTS, name=name, path=target) from error
    except OSError as error:
        raise _not_made(name, target, error) from error
    try:
        try:
            if allocate:
                check_space(name, target.parent, size_bytes)
                os.posix_fallocate(fd, 0, size_bytes)
            os.ftruncate(fd, size_bytes)
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_directory(target.parent)
    except VolrepError:
        target.unlink(missing_ok=True)
        raise
    except OSError as error:
        target.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise _no_space(name, target.parent, size_bytes) from error
        raise _not_made(name, target, error) from error
    return Provisioned(str(target), size_bytes, is_device=False)


def is_blank(path: str | os.PathLike[str]) -> bool:
    """Whether nothing was ever written into this file: `create_volume` has made it, or was about to.

    Raises OSError.
    """
    if not Path(path).is_file():
        return False
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(fd, 0, os.SEEK_DATA) < 0
    except OSError as error:
        if error.errno != errno.ENXIO:  # no data behind this place
            raise
        return True
    finally:
        os.close(fd)


def check_size(name: str, size_bytes: int) -> None:
    """Raises VR-1200 unless `size_bytes` is a positive number of sectors."""
    if size_bytes <= 0 or size_bytes % SECTOR_BYTES:
        rounded = max(1, -(-size_bytes // SECTOR_BYTES)) * SECTOR_BYTES
        raise VolrepError(messages.BAD_VOLUME_SIZE, name=name, size_bytes=size_bytes, sector_bytes=SECTOR_BYTES,
                          rounded_bytes=rounded)


def check_space(name: str, directory: str | os.PathLike[str], size_bytes: int) -> None:
    """Raises VR-1202 when the file system of `directory` has less than `size_bytes` free."""
    if size_bytes > _free_bytes(directory):
        raise _no_space(name, directory, size_bytes)


def adopt_volume(name: str, path: str | os.PathLike[str]) -> Provisioned:
    """Look at an existing file or block device that is to become a volume; nothing is changed.

    Raises VR-1200, VR-1203, VR-1204 (another worker, a mount, swap, a loop device or the kernel holds it).
    """
    real = os.path.realpath(path)
    try:
        mode = os.stat(real).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise VolrepError(messages.NO_SUCH_DEVICE, name=name, path=path,
                              reason="neither a regular file nor a block device")
        # Before the kernel is asked: it names the place, where EBUSY does not.
        if (holder := held_by(real)) is not None:
            raise VolrepError(messages.VOLUME_IN_USE, name=name, path=path, by=holder)
        file = DiskFile.open(real, exclusive=True)
    except BlockingIOError as error:
        raise VolrepError(messages.VOLUME_IN_USE, name=name, path=path, by="another process holds it") from error
    except OSError as error:
        raise VolrepError(messages.NO_SUCH_DEVICE, name=name, path=path,
                          reason=error.strerror or str(error)) from error
    try:
        if file.size_bytes == 0:
            raise VolrepError(messages.NO_SUCH_DEVICE, name=name, path=path, reason="its size is 0")
        check_size(name, file.size_bytes)
        return Provisioned(real, file.size_bytes, is_device=file.is_device)
    finally:
        file.close()


def held_by(path: str) -> str | None:
    """What of this machine uses the device or file: a mount, swap, a loop device; None when nothing does."""
    wanted = _device_number(path)
    for table in (MOUNTS, SWAPS):
        for line in _lines(table):
            source, *rest = line.split()
            if source == path or (wanted is not None and source.startswith("/") and _device_number(source) == wanted):
                return f"mounted on {rest[0]}" if table is MOUNTS else "swap"
    for backing in sorted(LOOP_DEVICES.glob("loop*/loop/backing_file")):
        if _lines(backing)[:1] == [path]:
            return f"loop device /dev/{backing.parts[-3]}"
    return None


def destroy_volume(name: str, path: str | os.PathLike[str]) -> None:
    """Remove a file volume, durably; a block device is left as it is; one that is gone already is fine.

    Raises VR-1204 when a worker still holds it, VR-1206.
    """
    target = Path(path)
    try:
        if not target.exists() or not target.is_file():
            return
        holder = DiskFile.open(target, exclusive=True)
        try:
            target.unlink()
        finally:
            holder.close()
        sync_directory(target.parent)
    except BlockingIOError as error:
        raise VolrepError(messages.VOLUME_IN_USE, name=name, path=target, by="another process holds it") from error
    except OSError as error:
        raise VolrepError(messages.VOLUME_NOT_DESTROYED, name=name, path=target,
                          reason=error.strerror or str(error)) from error


def _lines(table: Path) -> list[str]:
    return table.read_text().splitlines() if table.exists() else []


def _device_number(path: str) -> int | None:
    try:
        found = os.stat(path)
    except OSError:  # a source that is no path, or not ours to see: then it is not this device either
        return None
    return found.st_rdev if stat.S_ISBLK(found.st_mode) else None


def _free_bytes(directory: str | os.PathLike[str]) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def _no_space(name: str, directory: str | os.PathLike[str], size_bytes: int) -> VolrepError:
    return VolrepError(messages.NO_SPACE, name=name, directory=directory, size_bytes=size_bytes,
                       free_bytes=_free_bytes(directory))


def _not_made(name: str, path: Path, error: OSError) -> VolrepError:
    return VolrepError(messages.VOLUME_NOT_MADE, name=name, path=path, reason=error.strerror or str(error))
