"""System calls of a worker that fail, by strace: on one file, from one call on or once."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.system.pair import Host, wait_for


def is_traced(pid: int) -> bool:
    tracers = [line for task in Path(f"/proc/{pid}/task").iterdir()
               for line in (task / "status").read_text().splitlines() if line.startswith("TracerPid:")]
    return not any(line.split()[1] == "0" for line in tracers)


def strace(path: str, calls: str, inject: str, log: Path | str = "/dev/null") -> list[str]:
    """The command up to what is traced; `inject` is strace's, as in "error=EIO:when=3+"."""
    return ["strace", "-f", "-qq", "-o", str(log), "-P", path, "-e", f"trace={calls}", "-e", f"inject={calls}:{inject}"]


def program_failing(program: Sequence[str], path: str, calls: str, inject: str, log: Path, *more: str) -> list[str]:
    """As `failing`, from the program's start on. The tracer is a grandchild: the process started is the program."""
    command = strace(path, calls, inject, log)
    return [command[0], "-D", *more, *command[1:], *program]


def injected(log: Path) -> int:
    """How many calls were made to fail."""
    return log.read_text(errors="replace").count("(INJECTED)") if log.exists() else 0


@contextmanager
def failing(host: Host, path: str, calls: str, inject: str, log: Path | str = "/dev/null") -> Iterator[None]:
    """These system calls of the worker on this file fail, or take longer, from now on: `inject` is strace's."""
    assert host.process is not None
    pid = host.process.pid
    tracer = subprocess.Popen([*strace(path, calls, inject, log), "-p", str(pid)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: is_traced(pid), "strace is attached")
        yield
    finally:
        tracer.terminate()
        tracer.wait()
