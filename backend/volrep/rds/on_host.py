"""What `host install` runs on the host itself: looks what is there, puts volrep in place, starts its engine.

Carried over SSH as text and run by the host's own Python (3.11 or newer) before any volrep is there: standard
library only, nothing of volrep may be imported. Says its answer as one JSON line. Idempotent; what fails halfway
is undone, in reverse, by this process itself, so that a connection that breaks leaves no half of an installation.

    BASE = /opt/volrep or ~/.local/share/volrep
    BASE/releases/VERSION-DIGEST/   pyvenv.cfg, bin/python (a link), bin/volrep, lib/ (volrep and all it imports)
    BASE/current                    link to the release in use, switched atomically
    BASE/bin                        link to current/bin
    LINK_DIR/volrep                 link to BASE/bin/volrep
    UNIT                            where systemd runs and the user is root

A release is an environment as PEP 405 defines it, made by hand: neither pip nor ensurepip need be there.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ANSWER_DEADLINE_S = 30.0  # an engine answers well under one second; a slow machine imports for several
STOP_DEADLINE_S = 300.0  # each worker of the old engine writes a checkpoint: as TimeoutStopSec of the unit
COMMAND_TIMEOUT_S = 330.0  # a restart by systemd includes that stop
LOG_MAX_BYTES = 8 << 20  # looked at when the engine starts; the part before goes to engine.log.1
LOCK_DEADLINE_S = 60.0
POLL_S = 0.1
UNIT_NAME = "volrep.service"


class Failed(Exception):
    """An installation that cannot go on; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything goes on this host."""

    base: Path
    link: Path  # the command that users find
    state: Path
    unit: Path | None  # None: no systemd, or not root
    systemctl: str = "systemctl"

    @property
    def lib(self) -> str:
        """Inside a release: where an environment's Python looks by itself."""
        return f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

    @property
    def log(self) -> Path:
        return self.state / "log" / "engine.log"


def places() -> Places:
    """For root the system's, for others the user's own."""
    state = os.environ.get("VOLREP_STATE")
    if os.geteuid() == 0:
        has_systemd = Path("/run/systemd/system").is_dir() and shutil.which("systemctl") is not None
        return Places(Path("/opt/volrep"), Path("/usr/local/bin/volrep"), Path(state or "/var/lib/volrep"),
                      Path("/etc/systemd/system") / UNIT_NAME if has_systemd else None)
    local = Path.home() / ".local"
    state_home = Path(os.environ.get("XDG_STATE_HOME") or local / "state")
    return Places(local / "share/volrep", local / "bin/volrep", Path(state or state_home / "volrep"), None)


# ---- what is there


def probe(where: Places) -> dict[str, Any]:
    """All that decides what must be carried to this host."""
    libc, version = _libc()
    folder = where.base
    while not folder.exists():
        folder = folder.parent
    current = where.base / "current"
    return {"system": platform.system(), "machine": platform.machine(), "python": list(sys.version_info[:2]),
            "implementation": sys.implementation.name, "libc": libc, "libc_version": version,
            "base": str(where.base), "state": str(where.state), "systemd": where.unit is not None,
            "release": os.readlink(current).rpartition("/")[2] if current.is_symlink() else "",
            "free_bytes": shutil.disk_usage(folder).free, "free_in": str(folder)}


def _libc() -> tuple[str, list[int]]:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (OSError, ValueError):  # not GNU's
        name, version = "", ""
    if name == "glibc":
        return name, [int(part) for part in version.split(".")[:2]]
    if list(Path("/lib").glob("ld-musl-*")):
        return "musl", [1, 2]  # the oldest that Python 3.11 is built with
    return name or "unknown", [0, 0]


# ---- changing it, and taking that back


class Work:
    """Steps done so far and how each is taken back."""

    def __init__(self) -> None:
        self.step = "looking around"
        self.notes: list[str] = []
        self._undo: list[tuple[str, Callable[[], None]]] = []

    def done(self, what: str, undo: Callable[[], None]) -> None:
        self._undo.append((what, undo))

    def at_last(self, what: str, undo: Callable[[], None]) -> None:
        """Undone after everything else, when all is as it was before."""
        self._undo.insert(0, (what, undo))

    def take_back(self) -> list[str]:
        """What could not be undone, with the reason."""
        left = []
        for what, undo in reversed(self._undo):
            try:
                undo()
            except (OSError, Failed, subprocess.SubprocessError) as error:
                left.append(f"{what}: {error}")
        return left


def install(where: Places, archive: Path, release: str, name: str, unit_text: str) -> dict[str, Any]:
    """The answer for the operator: {"ok": true, ...}, or {"ok": false, "step", "reason", "left"}."""
    work = Work()
    try:
        where.base.parent.mkdir(parents=True, exist_ok=True)
        with _locked(where.base, work):
            return _install(where, archive, release, name, unit_text, work)
    except (OSError, Failed, tarfile.TarError, subprocess.SubprocessError) as error:
        return {"ok": False, "step": work.step, "reason": str(error), "left": work.take_back()}
    except BaseException:  # a bug of ours must not leave half of an installation either
        work.take_back()
        raise


def _install(where: Places, archive: Path, release: str, name: str, unit_text: str, work: Work) -> dict[str, Any]:
    folder = where.base / "releases" / release
    current = where.base / "current"
    before = os.readlink(current) if current.is_symlink() else ""
    work.step = "unpacking"
    new = not folder.exists()
    if new:
        _unpack(where, archive, folder, work)
    work.step = "switching to the new version"
    linked = [_point(current, f"releases/{release}", work), _point(where.base / "bin", "current/bin", work)]
    where.link.parent.mkdir(parents=True, exist_ok=True)
    _check_ours(where)
    linked.append(_point(where.link, str(where.base / "bin" / "volrep"), work))
    engine = _engine(where, folder, name, unit_text, work)
    work.step = "removing older versions"
    _remove_old(where, {folder.name, before.rpartition("/")[2]}, work)
    return {"ok": True, "release": release, "before": before.rpartition("/")[2],
            "changed": new or any(linked) or engine["how"] != "kept", "engine": engine, "log": str(where.log),
            "command": str(where.link), "state": str(where.state), "systemd": where.unit is not None,
            "notes": work.notes}


@contextlib.contextmanager
def _locked(base: Path, work: Work) -> Iterator[None]:
    """One installation at a time. A base that was not there before is removed when it fails."""
    work.step = f"making {base}"
    if not base.exists():
        work.done(f"directory {base}", lambda: shutil.rmtree(base))
        base.mkdir(parents=True, mode=0o755)
    fd = os.open(base / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _until(lambda: _try_lock(fd), LOCK_DEADLINE_S):
            raise Failed(f"another installation has been running for {LOCK_DEADLINE_S:g} s")
        yield
    finally:
        os.close(fd)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(true: Callable[[], bool], deadline_s: float) -> bool:
    end_s = time.monotonic() + deadline_s
    while not true():
        if time.monotonic() > end_s:
            return False
        time.sleep(POLL_S)
    return True


def _unpack(where: Places, archive: Path, folder: Path, work: Work) -> None:
    """The release, under its name only when it is complete and on the disk."""
    for left in folder.parent.glob(".new-*"):  # of an installation that was killed
        shutil.rmtree(left)
    part = folder.with_name(f".new-{os.getpid()}")
    work.done(f"directory {part}", lambda: shutil.rmtree(part) if part.exists() else None)
    (part / "bin").mkdir(parents=True)
    with tarfile.open(archive) as tar:
        # Debian 12's Python knows no filters yet; what is in the archive is the operator's own
        if hasattr(tarfile, "data_filter"):
            tar.extractall(part / where.lib, filter="data")
        else:
            tar.extractall(part / where.lib)
    python = Path(getattr(sys, "_base_executable", "") or sys.executable)
    (part / "pyvenv.cfg").write_text(f"home = {python.parent}\ninclude-system-site-packages = false\n"
                                     f"version = {platform.python_version()}\n")
    (part / "bin/python").symlink_to(python)
    launcher = part / "bin/volrep"
    # The shell finds the interpreter: a path in a #! line may be neither long nor have spaces
    launcher.write_text(f'#!/bin/sh\nexec {shlex.quote(str(folder / "bin/python"))} -P -m volrep.cli.main "$@"\n')
    launcher.chmod(0o755)
    tried = subprocess.run([part / "bin/python", "-c", "import volrep.engine.daemon, volrep.cli.main"],
                           capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False, cwd="/",
                           env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")})
    if tried.returncode:
        raise Failed(f"it does not run here: {_last_line(tried.stderr) or f'status {tried.returncode}'}")
    os.sync()
    part.rename(folder)
    work.done(f"directory {folder}", lambda: shutil.rmtree(folder))


def _point(link: Path, target: str, work: Work) -> bool:
    """Make or switch a link, atomically. Whether it was changed."""
    before = os.readlink(link) if link.is_symlink() else None
    if before == target:
        return False

    def put(where_to: str) -> None:
        part = link.with_name(f".{link.name}.{os.getpid()}")
        part.unlink(missing_ok=True)
        part.symlink_to(where_to)
        part.replace(link)

    work.done(f"link {link}", link.unlink if before is None else lambda: put(before))
    try:
        put(target)
    except OSError as error:
        raise Failed(f"{link}: {error.strerror}") from error
    return True


def _check_ours(where: Places) -> None:
    """Nothing that somebody else put there is replaced."""
    link = where.link
    if not link.is_symlink() and not link.exists():
        return
    target = Path(os.path.join(link.parent, os.readlink(link))) if link.is_symlink() else link
    if where.base not in target.parents:
        raise Failed(f"{link} is there already and was not made by an installation in {where.base}; move it away")


def _remove_old(where: Places, keep: set[str], work: Work) -> None:
    """All but the release in use and the one before: what fails here does not make the installation fail."""
    for folder in (where.base / "releases").iterdir():
        if folder.name not in keep:
            try:
                shutil.rmtree(folder)
            except OSError as error:
                work.notes.append(f"{folder} could not be removed: {error.strerror}")


# ---- the engine


def _engine(where: Places, folder: Path, name: str, unit_text: str, work: Work) -> dict[str, Any]:
    """{"how": kept | started | restarted, "pid", "name", "version", "port"}. Raises Failed."""
    work.step = "looking at the engine"
    pid = _running(where.state)
    outdated = pid is not None and not _argv0(pid).startswith(f"{folder}/")
    new_state = not where.state.exists()
    if new_state:
        work.done(f"state directory {where.state}",
                  lambda: shutil.rmtree(where.state) if where.state.exists() else None)
    if where.unit is not None:
        work.step = "setting up the systemd unit"
        outdated = _unit(where, where.unit, unit_text, work) or outdated
    how = "kept"
    if pid is None or outdated:
        how = "started" if pid is None else "restarted"
        work.step = "starting the engine"
        if where.unit is not None:
            _start_unit(where, name, pid, work)
        else:
            _start_detached(where, folder, name, pid, work)
    said = _ask(where.state)
    if said.get("name") != name:
        raise Failed(f"the engine of {where.state} is named {said.get('name')}, not {name}; "
                     f"add the host under the name of its engine")
    return {"how": how, **{key: said[key] for key in ("pid", "name", "version", "port")}}


def _running(state: Path) -> int | None:
    """The pid of the engine that holds the lock of a state directory."""
    try:
        fd = os.open(state / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try_lock(fd) else int(os.read(fd, 20))
    except ValueError as error:
        raise Failed(f"{state / 'lock'} is held, but says not by whom") from error
    finally:
        os.close(fd)


def _argv0(pid: int) -> str:
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0", 1)[0])
    except FileNotFoundError:
        return ""  # it ended meanwhile


def _unit(where: Places, path: Path, text: str, work: Work) -> bool:
    """Write and enable the unit; whether it was changed."""
    before = path.read_text() if path.exists() else None
    if before == text:
        return False

    def put(content: str | None) -> None:
        if content is None:
            _systemctl(where, "disable", path.name)
            path.unlink(missing_ok=True)
        else:
            path.write_text(content)
        _systemctl(where, "daemon-reload")

    work.done(f"unit {path}", lambda: put(before))
    put(text)
    _systemctl(where, "enable", path.name)
    return True


def _systemctl(where: Places, *arguments: str) -> None:
    done = subprocess.run([where.systemctl, "--no-ask-password", *arguments], capture_output=True, text=True,
                          timeout=COMMAND_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed(f"systemctl {' '.join(arguments)}: {_last_line(done.stderr) or f'status {done.returncode}'}")


def _start_unit(where: Places, name: str, before: int | None, work: Work) -> None:
    """Restart covers start. An engine that was started by hand is ended first: systemd does not know it."""
    if before is not None and _main_pid(where) == before:
        work.at_last("engine", lambda: _systemctl(where, "restart", UNIT_NAME))
    else:
        if before is not None:
            old = Path(_argv0(before)).parent / "volrep"
            work.at_last("engine", lambda: _spawn_again(where, old, name))
            _stop(where.state, before)
        work.done("engine", lambda: _systemctl(where, "stop", UNIT_NAME))
    try:
        _systemctl(where, "restart", UNIT_NAME)
    except Failed as error:
        words = subprocess.run(["journalctl", "-u", UNIT_NAME, "-n", "20", "-o", "cat", "--no-pager"],
                               capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
        raise Failed(_told(words.stdout) or str(error)) from error


def _main_pid(where: Places) -> int:
    """Of the unit; 0 when it does not run."""
    done = subprocess.run([where.systemctl, "show", "--property=MainPID", "--value", UNIT_NAME],
                          capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    return int(done.stdout.strip() or 0)


def _start_detached(where: Places, folder: Path, name: str, before: int | None, work: Work) -> None:
    if before is not None:
        old = Path(_argv0(before)).parent / "volrep"
        work.at_last("engine", lambda: _spawn_again(where, old, name))
        _stop(where.state, before)
    process = _spawn(where, folder / "bin/volrep", name)
    work.done("engine", lambda: _stop_child(process))
    if not _until(lambda: _answers(where.state) or process.poll() is not None, ANSWER_DEADLINE_S):
        raise Failed(f"it did not answer within {ANSWER_DEADLINE_S:g} s")
    if process.poll() is not None:
        raise Failed(_told(where.log.read_text(errors="replace")) or f"it ended with status {process.returncode}")


def _spawn(where: Places, program: Path, name: str) -> subprocess.Popen[bytes]:
    """In a session of its own, holding nothing of the connection that this runs over."""
    where.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    where.state.chmod(0o700)
    if where.log.exists() and where.log.stat().st_size > LOG_MAX_BYTES:
        where.log.replace(where.log.with_name("engine.log.1"))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SSH_", "PYTHON")) and k != "NOTIFY_SOCKET"}
    with where.log.open("ab") as log:
        return subprocess.Popen([program, "engine", "run", "--state", where.state, "--name", name],
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=env,
                                start_new_session=True)


def _spawn_again(where: Places, program: Path, name: str) -> None:
    if not program.exists():
        raise Failed(f"the engine that ran before came from {program}, which is gone")
    _spawn(where, program, name)
    if not _until(lambda: _answers(where.state), ANSWER_DEADLINE_S):
        raise Failed("the engine that ran before does not answer")


def _stop_child(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(STOP_DEADLINE_S)


def _stop(state: Path, pid: int) -> None:
    """End the engine cleanly, its workers with it."""
    os.kill(pid, signal.SIGTERM)
    if not _until(lambda: _running(state) is None, STOP_DEADLINE_S):
        raise Failed(f"the engine that ran before (pid {pid}) did not end within {STOP_DEADLINE_S:g} s")


def _answers(state: Path) -> bool:
    try:
        return bool(_ask(state))
    except Failed:
        return False


def _ask(state: Path) -> dict[str, Any]:
    """What the engine says to `hello`: its name, version, pid, port. Raises Failed."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(ANSWER_DEADLINE_S)
            sock.connect(str(state / "control.sock"))
            sock.sendall(b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"client":"host install"}}\n')
            with sock.makefile("rb") as answer:
                return dict(json.loads(answer.readline())["result"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failed(f"the engine does not answer: {error}") from error


def _told(log: str) -> str:
    """The last error that the engine printed for its operator, else its last line."""
    lines = [line for line in log.splitlines() if line.startswith("VR-")]
    return lines[-1] if lines else _last_line(log)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""


# ---- as a program


def _interrupted(number: int, _frame: FrameType | None) -> None:
    raise Failed(f"interrupted by signal {signal.Signals(number).name}")


def main(argv: list[str]) -> int:
    """`probe`, or `install ARCHIVE RELEASE NAME UNIT_TEXT`."""
    where = places()
    if argv[:1] == ["probe"]:
        answer = probe(where)
    else:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, _interrupted)
        os.umask(0o022)  # the program is for every user of the host; its state is not, and is made so
        _, archive, release, name, unit_text = argv
        answer = install(where, Path(archive), release, name, unit_text)
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more; what was done is done
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
