"""Moments at which something becomes durable in a process, found by strace, and a SIGKILL at any one of them.

strace counts calls for each system call and each thread apart, so "the n-th call" is no moment of a process: a walk
by n alone would pass by most of them. First one run is recorded, every thread on its own; then each call that it made
is one point: (process, thread, system call, its number). The signal comes on entry, before the call is done.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.system.waiting import POLL_S, wait_for

DURABLE = ("fdatasync", "fsync", "rename", "renameat", "renameat2", "unlink", "unlinkat", "ftruncate", "fallocate",
           "pwritev2", "mkdir", "mount", "umount2")
TOLD = ("sendto", "sendmsg")  # an answer: in the engine's main thread, what comes behind a durable call is a point too
ATTACH_DEADLINE_S = 20
PATIENCE_S = 1.0  # a copy of the small volumes of a walk takes less

_CALL = re.compile(r"^\d+ +(\w+)\(")


@dataclass(frozen=True, slots=True)
class Tracee:
    """`process` is one that the caller finds again in another run: "london engine", "tokyo worker".

    `thread`: its place among the threads of the process, in the order of their ids; -1: processes that it starts, as
    far as they touch `paths`.
    """

    process: str
    thread: int


@dataclass(frozen=True, slots=True)
class Point:
    """The `number`-th `call` of a thread, counted from 1 since the verb began."""

    tracee: Tracee
    call: str
    number: int

    def __str__(self) -> str:
        thread = f"thread {self.tracee.thread}" if self.tracee.thread >= 0 else "a process that it starts"
        return f"{self.tracee.process}, {thread}, {self.call} {self.number}"


def threads(pid: int) -> list[int]:
    return sorted(int(path.name) for path in Path(f"/proc/{pid}/task").iterdir())


def _command(pid: int, thread: int, paths: Sequence[Path], log: Path) -> list[str]:
    """strace up to its -e; "?" before a name: calls that this machine does not have are passed over."""
    if thread >= 0:
        return ["strace", "-qq", "-o", str(log), "-p", str(threads(pid)[thread])]
    chosen = [word for path in paths for word in ("-P", str(path))]
    return ["strace", "-f", "-qq", "-o", str(log), *chosen, "-p", str(pid)]


@contextlib.contextmanager
def _tracing(pid: int, thread: int, paths: Sequence[Path], log: Path, *expressions: str) -> Iterator[None]:
    log.unlink(missing_ok=True)
    words = [word for expression in expressions for word in ("-e", expression)]
    attached = threads(pid) if thread < 0 else [threads(pid)[thread]]
    tracer = subprocess.Popen([*_command(pid, thread, paths, log), *words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: all(_is_traced(tid) for tid in attached), ATTACH_DEADLINE_S, f"strace on {pid}")
        yield
    finally:
        tracer.terminate()
        tracer.wait()


def _is_traced(tid: int) -> bool:
    try:
        return "TracerPid:\t0\n" not in Path(f"/proc/{tid}/status").read_text()
    except FileNotFoundError:
        return True  # it has ended


# ---- recording


@contextlib.contextmanager
def recording(pids: dict[str, int], paths: Sequence[Path], log: Path) -> Iterator[list[Point]]:
    """Every thread of these processes; the points are there behind the block.

    Processes that they start are not seen here (a thread has one tracer): `recording_started` does that.
    """
    points: list[Point] = []
    logs: list[tuple[Tracee, Path]] = []
    with contextlib.ExitStack() as stack:
        for process, pid in pids.items():
            for thread in range(len(threads(pid))):
                path = log.with_name(f"{log.name}.{len(logs)}")
                logs.append((Tracee(process, thread), path))
                stack.enter_context(_tracing(pid, thread, paths, path, f"trace={_set(DURABLE + TOLD)}"))
        yield points
    for tracee, path in logs:
        points += points_of(tracee, _lines(path), answers=tracee.process.endswith("engine"))


@contextlib.contextmanager
def recording_started(pids: dict[str, int], paths: Sequence[Path], log: Path) -> Iterator[list[Point]]:
    """What processes do that these start, to `paths`."""
    points: list[Point] = []
    logs: list[tuple[str, Path, list[int]]] = []
    with contextlib.ExitStack() as stack:
        for process, pid in pids.items():
            path = log.with_name(f"{log.name}.{len(logs)}")
            logs.append((process, path, threads(pid)))
            stack.enter_context(_tracing(pid, -1, paths, path, f"trace={_set(DURABLE)}"))
        yield points
    for process, path, known in logs:
        by_thread: dict[int, list[str]] = {}
        for line in _lines(path):
            by_thread.setdefault(int(line.split()[0]), []).append(line)
        found = {point for tid, lines in by_thread.items() if tid not in known
                 for point in points_of(Tracee(process, -1), lines, answers=False)}
        points += sorted(found, key=lambda point: (point.call, point.number))


def _lines(log: Path) -> list[str]:
    """Of calls, each with its thread; strace writes no thread for a single one."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [line if line[:1].isdigit() else f"0 {line}" for line in lines]


def points_of(tracee: Tracee, lines: Sequence[str], *, answers: bool) -> list[Point]:
    """One for each durable call; with `answers` also for each message behind the first of them. Pure."""
    counts: Counter[str] = Counter()
    found: list[Point] = []
    for line in lines:
        if (match := _CALL.match(line)) is None:
            continue
        call = match[1]
        if call not in DURABLE + TOLD:
            continue  # strace lets through what is newer than it is
        counts[call] += 1
        if call in TOLD and not (answers and found):
            continue
        if call == "pwritev2" and "RWF_DSYNC" not in line:
            continue
        found.append(Point(tracee, call, counts[call]))
    return found


def _set(calls: Sequence[str]) -> str:
    return ",".join(f"?{call}" for call in calls)


# ---- killing


@contextlib.contextmanager
def killing(pid: int, point: Point, paths: Sequence[Path], log: Path) -> Iterator[list[str]]:
    """SIGKILL at the point, which may come a little behind the block's end: what a verb has begun goes on.

    Then the lines of the trace that say so are there; none when the point was not reached.
    """
    hit: list[str] = []
    if point.tracee.thread >= len(threads(pid)):
        yield hit
        return
    inject = f"inject={point.call}:signal=KILL:when={point.number}"
    with _tracing(pid, point.tracee.thread, paths, log, f"trace={point.call}", inject):
        yield hit
        end_s = time.monotonic() + PATIENCE_S
        while not hit and time.monotonic() < end_s:
            hit += [line for line in _lines(log) if "INJECTED" in line or "killed by SIGKILL" in line]
            time.sleep(POLL_S)
