"""What a contender is: a thing that can be started on a folder, written to over NBD, and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.load import fill, fio_target

START_DEADLINE_S = 30.0
STOP_DEADLINE_S = 30.0


class Contender(ABC):
    """One server under test. `start` makes fresh files of `size_bytes` in `folder`; `stop` ends all it started.

    `durability`: what a completed write has been promised. `readable`: it takes part in loads that read, too.
    """

    readable = False

    def __init__(self, name: str, durability: str) -> None:
        self.name = name
        self.durability = durability
        self.uri = ""
        self.folder = Path()
        self.size_bytes = 0
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self.size_bytes = size_bytes
        self.uri = self._start()

    @abstractmethod
    def _start(self) -> str:
        """Start everything; returns the NBD URI to write to."""

    def target(self) -> Sequence[str]:
        """What fio needs to reach the volume."""
        return fio_target(self.uri)

    def fill(self) -> None:
        """Write the whole volume once."""
        fill(self.target(), self.size_bytes)

    def enter(self) -> None:  # noqa: B027 - most have nothing to switch
        """Its turn comes: whatever has to be switched, and does not count, is done on return."""

    def settle_s(self) -> float:
        """Seconds until the copy has all that was completed so far (0 when there is no copy)."""
        return 0.0

    def copies(self) -> Sequence[Path]:
        """Files that must be equal once settled; empty when there is no copy."""
        return ()

    def pids(self) -> list[int]:
        """Every process that works for this contender."""
        return [process.pid for process in self._started]

    def stop(self) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_DEADLINE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(STOP_DEADLINE_S)
        self._started.clear()

    def launch(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program in the foreground, its output in the folder's log; `stop` ends it."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder)
        self._started.append(process)
        return process

    def await_socket(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        """Until something accepts on the unix socket."""

        def accepts() -> bool:
            with socket.socket(socket.AF_UNIX) as probe:
                return path.exists() and probe.connect_ex(str(path)) == 0

        self.await_(accepts, process, f"a listener on {path}")

    def await_(self, ready: Callable[[], bool], process: subprocess.Popen[bytes], what: str) -> None:
        end_s = time.monotonic() + START_DEADLINE_S
        while not ready():
            if process.poll() is not None or time.monotonic() > end_s:
                raise BenchError(f"{self.name}: waited in vain for {what}\n{self.log_tail()}")
            time.sleep(0.02)

    def log_tail(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""


def make_file(path: Path, size_bytes: int) -> Path:
    """An empty volume. The preparation of a round writes all of it, so nobody is measured allocating."""
    with path.open("wb") as file:
        os.truncate(file.fileno(), size_bytes)
    return path


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
