"""What a round stands on: file systems and devices made for it, and taken away whatever happened.

Knows loop devices, mkfs, mount and error layers under a file. Must not know what stands on them.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.system.waiting import wait_for
from volrep.engine.blockdev import attach_loop, detach_loop, is_mount_point
from volrep.engine.tools import run

MIB = 1 << 20
GROUND_BYTES = 512 * MIB  # sparse; XFS refuses less than 300 MiB
READY_S = 10.0
FILE_SYSTEMS = ("ext4", "xfs")
_MKFS = {"ext4": ("mkfs.ext4", "-q", "-F"), "xfs": ("mkfs.xfs", "-q", "-f")}


def make_file(path: Path, size_bytes: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


def make_file_system(device: str, fs: str) -> None:
    run(*_MKFS[fs], device)


class Undo:
    """What was made, taken away in reverse order; every step is tried, the first failure is raised at the end."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def add(self, step: Callable[[], object]) -> None:
        self._steps.append(step)

    def close(self) -> None:
        first: Exception | None = None
        while self._steps:
            try:
                self._steps.pop()()
            except Exception as error:  # noqa: BLE001  # raised below, once all steps were tried
                first = first or error
        if first is not None:
            raise first


class Ground:
    """A file system on a loop device, mounted at `root`; files, devices and failing files on it."""

    def __init__(self, place: Path, fs: str, size_bytes: int = GROUND_BYTES) -> None:
        self.place, self.fs = place, fs
        self.root = place / "m"
        self.undo = Undo()
        self.triggers: dict[str, Path] = {}
        self._ballast = self.root / "ballast"
        try:
            device = attach_loop(make_file(place / "ground.img", size_bytes))
            self.undo.add(lambda: detach_loop(device))
            make_file_system(device, fs)
            self.mount(device)
        except BaseException:
            self.close()
            raise

    def mount(self, device: str) -> None:
        self.root.mkdir(exist_ok=True)
        run("mount", device, str(self.root))
        self.undo.add(lambda: run("umount", str(self.root)))

    def file(self, host: str, name: str, size_bytes: int) -> Path:
        return make_file(self.root / "volumes" / f"{host}-{name}", size_bytes)

    def device(self, host: str, name: str, size_bytes: int) -> Path:
        """A loop device on a file of this file system."""
        device = attach_loop(self.file(host, name, size_bytes))
        self.undo.add(lambda: detach_loop(device, flush=False))  # its last writes may be among those made to fail
        return Path(device)

    def failing_file(self, host: str, name: str, size_bytes: int) -> Path:
        """A file served by nbdkit over nbdfuse: writes fail while its trigger (`triggers[host-name]`) exists."""
        backing = self.file(host, name, size_bytes)
        key = f"{host}-{name}"
        trigger = self.triggers[key] = self.place / f"{key}.fail"
        served = self.place / f"{key}.served"
        socket = self.place / f"{key}.sock"
        make_file(served, 0)
        server = self._start("nbdkit", "-f", "-U", str(socket), "--filter=error", "file", str(backing),
                             "error-pwrite=EIO", "error-pwrite-rate=100%", f"error-pwrite-file={trigger}")
        wait_for(socket.exists, READY_S, f"nbdkit, which ended with {server.poll()}")
        self._start("nbdfuse", str(served), f"nbd+unix:///?socket={socket}")
        wait_for(lambda: is_mount_point(served), READY_S, "nbdfuse to mount")
        self.undo.add(lambda: run("fusermount3", "-u", str(served)))
        return served

    def _start(self, *argv: str) -> subprocess.Popen[bytes]:
        with (self.place / "helpers.log").open("ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.undo.add(lambda: end(process))
        return process

    def fill(self) -> None:
        """Leave no free block: sparse files can take nothing more."""
        with self._ballast.open("ab") as file, contextlib.suppress(OSError):
            free = os.statvfs(self.root)
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
            for piece in (MIB, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(file.fileno(), bytes(piece))

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        self.undo.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL to what does not listen."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(READY_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
