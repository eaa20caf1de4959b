"""Engine processes for tests: started the way an init system starts them, watched, killed by pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.system.waiting import wait_for

PROGRAM = Path(sys.executable).parent / "volrep"  # the one installed beside this interpreter
START_DEADLINE_S = 20  # an engine is ready in well under one second; two busy cores and recovery take longer
STOP_DEADLINE_S = 20


class EngineProcess:
    """One `volrep engine run`. Ready when it said so by sd_notify, which systemd would wait for too."""

    def __init__(self, name: str, state_dir: Path, log: Path, *, enter: Sequence[str] = (),
                 env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.state_dir = state_dir
        self.log = log
        self._enter = tuple(enter)
        self._env = dict(env) if env is not None else dict(os.environ)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"engine {self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *arguments: str) -> None:
        """Start it and wait until it is ready; the log is shown when it ends instead."""
        assert self._process is None or self._process.poll() is not None, f"engine {self.name} is running"
        ready_path = self.state_dir.parent / f"{self.name}.notify"
        ready_path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self.log.open("ab") as log:
            ready.bind(str(ready_path))
            ready.setblocking(False)
            argv = [*self._enter, str(PROGRAM), "engine", "run", "--state", str(self.state_dir),
                    "--name", self.name, *arguments]
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             env=self._env | {"NOTIFY_SOCKET": str(ready_path)},
                                             start_new_session=True)
            wait_for(lambda: self._said_ready(ready), START_DEADLINE_S, f"engine {self.name} to be ready")
        ready_path.unlink()

    def _said_ready(self, ready: socket.socket) -> bool:
        assert self._process is not None
        status = self._process.poll()
        assert status is None, f"engine {self.name} ended with {status}:\n{self.log.read_text()[-4000:]}"
        try:
            return b"READY=1" in ready.recv(4096)
        except BlockingIOError:
            return False

    def kill(self) -> None:
        """SIGKILL to the engine alone: its workers must not notice."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as an init system does it."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(STOP_DEADLINE_S)
