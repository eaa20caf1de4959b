"""Block devices as the kernel shows them: loop devices and what is mounted where."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from volrep.engine.tools import run

_LOOP_CLR_FD = 0x4C01
_DEADLINE_S = 5.0
_POLL_S = 0.02


class DeviceBusy(Exception):
    """A device is in use and stays."""

    def __init__(self, device: str, by: str) -> None:
        super().__init__(f"{device}: {by}")
        self.device, self.by = device, by


def mount_points(device: str) -> list[str]:
    """Where a device is mounted."""
    return [words[1] for words in _mounts() if words[0] == device]


def is_mount_point(path: Path) -> bool:
    """Also of a mount whose server is gone, which cannot be looked into."""
    return any(words[1] == str(path) for words in _mounts())


def _mounts() -> list[list[str]]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [[_plain(word) for word in line.split()] for line in lines]


def _plain(word: str) -> str:
    for code, char in ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\")):
        word = word.replace(code, char)
    return word


def loops_of(image: Path) -> list[str]:
    """Loop devices on a file, by its path: the file itself may be unreachable."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # it went away while looking
            if backing.read_text().rstrip("\n") == str(image):
                found.append(f"/dev/{backing.parts[3]}")
    return sorted(found)


def attach_loop(image: Path) -> str:
    """A loop device on a file. Raises ToolFailed.

    Without --direct-io: on a FUSE file of QEMU 7.2 it lost writes (8 of 10 file systems that mke2fs made were
    damaged; without it none of 20). QEMU's files are not cached by the kernel anyway.
    """
    return run("losetup", "-f", "--show", str(image))


def detach_loop(device: str, *, flush: bool = True) -> None:
    """Write out what it holds and take it away. Raises DeviceBusy while something has it open.

    Without `flush` for a device whose backing is gone: nobody can take what it holds, and trying fails with EIO.
    """
    try:
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC | os.O_EXCL)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise DeviceBusy(device, "a mount, swap or another device holds it") from error
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return
        raise DeviceBusy(device, error.strerror or str(error)) from error
    try:
        if flush:
            os.fsync(fd)
        fcntl.ioctl(fd, _LOOP_CLR_FD)
    except OSError as error:
        if error.errno != errno.ENXIO:  # it is gone, which is what was wanted
            raise DeviceBusy(device, error.strerror or str(error)) from error
    finally:
        os.close(fd)
    # The kernel lets go when the last one closes it: soon (udev looks at devices), or when that process ends.
    end_s = time.monotonic() + _DEADLINE_S
    while Path(f"/sys/block/{Path(device).name}/loop/backing_file").exists():
        if time.monotonic() > end_s:
            raise DeviceBusy(device, "a process has it open; it goes when that process closes it")
        time.sleep(_POLL_S)
