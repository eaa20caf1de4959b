"""Hooks: programs of the administrator that move an application with the Primary role.

    /etc/volrep/hooks/pre-demote.d/10-postgresql  EVENT DG RVG ROLE PEER

Every program of the event's directory is run in the order of the names, one at a time, directly (no shell), with a
clean environment, within a time limit. Who may write a program decides what the engine's user does, so only what this
user or root owns and nobody else can write is run; anything else counts as failed, not as absent.

Knows files and processes. Must not know what a role change is made of, nor the control API.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from volrep.model.hooks import HookEvent, HookReport, HookResult
from volrep.ports.clock import Clock

TIMEOUT_S = 300.0  # a database that writes its last checkpoint may take minutes
GRACE_S = 10.0  # between SIGTERM and SIGKILL
PROGRAMS_MAX = 32  # of one event: more is a directory gone wrong
SAID_MAX_BYTES = 1000  # of a program's output, for events and the operator; all of it is in the log file
LOG_MAX_BYTES = 1 << 20  # then the log file begins anew, the old one is kept once
_NAME = re.compile(r"[A-Za-z0-9_-]+")  # as run-parts: no editor's backup, nothing a package manager left


@dataclass(frozen=True, slots=True)
class Found:
    """A name in the directory of an event; with a `problem` it cannot be run."""

    path: Path
    problem: str = ""


def find(hooks: Path, event: HookEvent) -> list[Found]:
    """What there is to run, in order. No directory: nothing."""
    folder = hooks / f"{event.value}.d"
    for path in (hooks, folder):
        try:
            if problem := _unsafe(path.lstat(), directory=True):
                return [Found(path, problem)]
        except FileNotFoundError:
            return []
        except OSError as error:
            return [Found(path, error.strerror or str(error))]
    found = [Found(path, _program_problem(path)) for path in sorted(folder.iterdir()) if _NAME.fullmatch(path.name)]
    if len(found) > PROGRAMS_MAX:
        return [Found(folder, f"{len(found)} programs are more than {PROGRAMS_MAX}")]
    return found


def _program_problem(path: Path) -> str:
    try:
        found = path.lstat()
    except OSError as error:
        return error.strerror or str(error)
    return _unsafe(found, directory=False) or ("" if found.st_mode & 0o100 else "it is not executable")


def _unsafe(found: os.stat_result, *, directory: bool) -> str:
    """Why somebody else could decide what is run, or ""."""
    if not (stat.S_ISDIR(found.st_mode) if directory else stat.S_ISREG(found.st_mode)):
        return f"it is no {'directory' if directory else 'regular file'} (links are not followed)"
    if found.st_uid not in (0, os.geteuid()):
        return f"it belongs to user {found.st_uid}, neither root nor the engine's"
    return "others than its owner may write it" if found.st_mode & 0o022 else ""


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of one engine. `environment` is what every program finds beside what it is told."""

    directory: Path
    log_path: Path
    clock: Clock
    environment: Mapping[str, str]
    timeout_s: float = TIMEOUT_S

    async def run(self, event: HookEvent, arguments: Mapping[str, str]) -> HookReport:
        """All programs of an event. `arguments` (dg, rvg, role, peer, ...) become VOLREP_DG and so on.

        Before a change the first failure ends it; after one every program is run. Cancelled, it ends what it started.
        """
        results = []
        for found in find(self.directory, event):
            result = await self._run_one(found, event, arguments)
            results.append(result)
            if result.problem and event.decides:
                break
        return HookReport(event=event, results=results)

    async def _run_one(self, found: Found, event: HookEvent, arguments: Mapping[str, str]) -> HookResult:
        name = found.path.name
        if found.problem:
            return HookResult(name=name, seconds=0.0, problem=f"not run: {found.problem}")
        began_s = self.clock.monotonic_s()
        log = self._open_log()
        try:
            os.write(log, f"--- {event.value} {name} {' '.join(arguments.values())}\n".encode())
            at = os.lseek(log, 0, os.SEEK_END)
            problem = await self._process(found.path, event, arguments, log)
            said = os.pread(log, SAID_MAX_BYTES, max(at, os.fstat(log).st_size - SAID_MAX_BYTES))
        finally:
            os.close(log)
        return HookResult(name=name, seconds=round(self.clock.monotonic_s() - began_s, 3), problem=problem,
                          said=said.decode(errors="replace").strip())

    def _open_log(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            if self.log_path.stat().st_size > LOG_MAX_BYTES:
                self.log_path.replace(self.log_path.with_suffix(".log.1"))
        return os.open(self.log_path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    async def _process(self, path: Path, event: HookEvent, arguments: Mapping[str, str], log: int) -> str:
        """Run it to its end; "" or what went wrong. Output goes to a file, which what it leaves running may keep."""
        words = [event.value, *(arguments[key] for key in ("dg", "rvg", "role", "peer"))]
        told = {f"VOLREP_{key.upper()}": value for key, value in arguments.items()}
        try:
            process = await asyncio.create_subprocess_exec(
                path, *words, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                start_new_session=True, env={**self.environment, **told, "VOLREP_EVENT": event.value})
        except OSError as error:
            return f"it cannot be started: {error.strerror or error}"
        try:
            status = await asyncio.wait_for(process.wait(), self.timeout_s)
        except TimeoutError:
            await _end(process)
            return f"it took longer than {self.timeout_s:g} s and was ended"
        except asyncio.CancelledError:
            await _end(process)
            raise
        if status < 0:
            return f"it was ended by signal {signal.Signals(-status).name}"
        return f"it ended with status {status}" if status else ""


async def _end(process: asyncio.subprocess.Process) -> None:
    """Politely, then for certain: the program and all that it started in its own group."""
    for how, patience_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), patience_s)


def environment(state_dir: Path, hooks: Path, host: str) -> dict[str, str]:
    """`volrep` in a hook is this program and speaks with this engine alone: no inventory, so no other host is asked."""
    return {"PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/", "LANG": "C.UTF-8", "VOLREP_HOST": host, "VOLREP_STATE": str(state_dir),
            "VOLREP_CONFIG_DIR": str(hooks)}
