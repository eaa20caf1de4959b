"""Two engines on this machine for the demo, and all that is made with them: started, driven by the command line, ended.

Knows its own processes and files, and ends only those. Must not know how a plan is made or a link works.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from volrep.cli.demo_writer import Writer, file_writer, nbd_writer
from volrep.engine import attach
from volrep.engine.blockdev import DeviceBusy
from volrep.engine.paths import StateDir
from volrep.engine.tools import ToolFailed
from volrep.model.errors import VolrepError
from volrep.model.messages import rds as messages

PRIMARY, SECONDARY = "london", "tokyo"
DG, RVG, SRL = "demodg", "demo_rvg", "demo_srl"
VOLUMES = ("demo_dv01", "demo_dv02")
VOLUME_SIZE, SRL_SIZE = "256m", "128m"
COMMAND = (sys.executable, "-m", "volrep.cli.main")
_COMMAND_DEADLINE_S = 120.0
_START_DEADLINE_S = 30.0
_END_DEADLINE_S = 30.0
_TOOL_DEADLINE_S = 30.0  # an umount waits for the volume
_POLL_S = 0.2
_TEMP_MAX_CHARS = 40  # 107 of a socket's path, less run/nbd/DG.VOLUME.sock and our own two directories
_COMPARE_BYTES = 1 << 20


class Pair:
    """Everything lies in `root`. Call `close` in all cases; it may be called at any point."""

    def __init__(self, *, keep: bool) -> None:
        parent = tempfile.gettempdir()
        self.root = Path(tempfile.mkdtemp(prefix="vr-", dir=parent if len(parent) <= _TEMP_MAX_CHARS else "/var/tmp"))
        self.keep = keep
        self.notes: list[str] = []
        self.writers: list[Writer] = []
        self.environ = dict(os.environ, VOLREP_CONFIG_DIR=str(self.root / "config"),
                            VOLREP_STATE=str(self.root / PRIMARY))
        self._engines: dict[str, subprocess.Popen[bytes]] = {}
        self._attached = False
        self._mounted = False

    # ---- the command line

    def volrep(self, *argv: str) -> str:
        """What the verb prints. Raises VR-1340."""
        done = subprocess.run([*COMMAND, "-g", DG, *argv], env=self.environ, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=_COMMAND_DEADLINE_S, check=False)
        if done.returncode:
            raise self.failed(f"volrep {' '.join(argv)}: {' '.join(done.stderr.split())}")
        return done.stdout

    def show(self, *argv: str) -> Any:
        return json.loads(self.volrep("--json", *argv))

    def failed(self, reason: object) -> VolrepError:
        return VolrepError(messages.DEMO_STEP, reason=reason, kept=self.kept)

    @property
    def kept(self) -> str:
        return f"its files are in {self.root}" if self.keep else "keep its files with --keep to look at them"

    # ---- making

    def start_engines(self) -> None:
        for name in (PRIMARY, SECONDARY):
            state = self.root / name
            state.mkdir(mode=0o700)
            with (self.root / f"{name}.log").open("wb") as log:
                # a session of its own: Ctrl-C on the terminal is the demo's, which ends the engines in order
                self._engines[name] = subprocess.Popen(
                    [*COMMAND, "engine", "run", "--state", str(state), "--name", name, "--listen", "127.0.0.1",
                     "--port", "0"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environ,
                    start_new_session=True)
            self.volrep("host", "add", name, f"local={state}", "address=127.0.0.1")
        deadline_s = time.monotonic() + _START_DEADLINE_S
        for name in (PRIMARY, SECONDARY):
            self._wait_answers(name, deadline_s)

    def _wait_answers(self, name: str, deadline_s: float) -> None:
        while True:
            try:
                self.volrep("-H", name, "engine", "status")
                return
            except VolrepError as error:
                ended = self._engines[name].poll()
                if ended is not None or time.monotonic() > deadline_s:
                    log = (self.root / f"{name}.log").read_text(errors="replace").strip()
                    raise self.failed(f"the engine of {name} does not answer: {log[-500:] or error.text}") from error
                time.sleep(_POLL_S)

    def make_rds(self) -> None:
        for host in (PRIMARY, SECONDARY):
            for volume in VOLUMES:
                self.volrep("-H", host, "volume", "create", volume, VOLUME_SIZE)
            self.volrep("-H", host, "volume", "create", SRL, SRL_SIZE)
        self.volrep("-H", PRIMARY, "createpri", RVG, ",".join(VOLUMES), SRL)
        self.volrep("addsec", RVG, PRIMARY, SECONDARY)

    def start_writers(self) -> None:
        """A file system on the first volume where a block device can be had, else NBD; NBD on the second."""
        folder = self._mount()
        self.writers = [file_writer(folder) if folder is not None else self._nbd(VOLUMES[0]), self._nbd(VOLUMES[1])]
        for writer in self.writers:
            writer.start()

    def _nbd(self, volume: str) -> Writer:
        try:
            return nbd_writer(self.volrep("-H", PRIMARY, "export", volume).strip())
        except OSError as error:
            raise self.failed(f"{volume} cannot be written to over NBD: {error}") from error

    def _mount(self) -> Path | None:
        """ext4 on the first volume; None, with a note, where this machine or user cannot."""
        if os.geteuid() != 0 or not _tool("mkfs.ext4") or not _tool("mount"):
            self.notes.append("no file system: that takes root, mkfs.ext4 and mount; both volumes are written over NBD")
            return None
        folder = self.root / "mnt"
        folder.mkdir()
        try:
            device = self.volrep("-H", PRIMARY, "attach", VOLUMES[0]).strip()
            self._attached = True
            _do("mkfs.ext4", "-q", "-F", device)
            _do("mount", device, str(folder))
            self._mounted = True
        except (VolrepError, subprocess.CalledProcessError) as error:
            said = error.stderr if isinstance(error, subprocess.CalledProcessError) else error.text
            self.notes.append(f"no file system: {' '.join(said.split())}")
            self.release()
            return None
        return folder

    # ---- looking

    def status(self) -> dict[str, Any]:
        """The Secondary's row of repstatus."""
        (row,) = self.show("repstatus", RVG)["secondaries"]
        assert isinstance(row, dict)
        return row

    def differences(self) -> list[str]:
        """Volumes whose files differ, with the first byte that does. Reads every byte of both sides."""
        rows = self.show("volume", "list")["volumes"]
        paths = {(row["host"], row["name"]): Path(row["path"]) for row in rows}
        found = []
        for volume in VOLUMES:
            at = first_difference(paths[PRIMARY, volume], paths[SECONDARY, volume])
            if at is not None:
                found.append(f"{volume} differs between {PRIMARY} and {SECONDARY} from byte {at}")
        return found

    # ---- ending

    def stop_writers(self) -> None:
        """Raises VR-1340 when one of them failed before."""
        for writer in self.writers:
            writer.stop()
        failed = [f"{writer.name}: {writer.error}" for writer in self.writers if writer.error is not None]
        if failed:
            raise self.failed(f"a write failed: {'; '.join(failed)}")

    def release(self) -> None:
        """Unmount and detach. Raises VR-1340."""
        if self._mounted:
            try:
                _do("umount", str(self.root / "mnt"))
            except subprocess.CalledProcessError as error:
                raise self.failed(error.stderr.strip()) from error
            self._mounted = False
        if self._attached:
            self.volrep("-H", PRIMARY, "detach", VOLUMES[0])
            self._attached = False

    def close(self) -> list[str]:
        """End everything, in order; what could not be ended, in words (its files stay then)."""
        left = []
        for end in (self.stop_writers, self.release, self._tear_down, self._end_engines, self._end_orphans):
            try:
                end()
            except VolrepError as error:
                left.append(error.text)
            except (OSError, ToolFailed, DeviceBusy, subprocess.SubprocessError) as error:
                left.append(f"{type(error).__name__}: {error}")
        if not self.keep and not self._mounted and not self._attached and not self._processes():
            shutil.rmtree(self.root)
        return left

    def _tear_down(self) -> None:
        """What `release` could not undo, because its engine is gone: by hand, as an engine would do it."""
        if self._mounted:
            _do("umount", "--lazy", str(self.root / "mnt"))
            self._mounted = False
        if self._attached:
            attach.detach(StateDir(self.root / PRIMARY).attach_dir(DG, VOLUMES[0]), "", "")
            self._attached = False

    def _end_engines(self) -> None:
        """They stop their workers, then end. Raises VR-1340."""
        for engine in self._engines.values():
            engine.terminate()
        for name, engine in self._engines.items():
            try:
                engine.wait(_END_DEADLINE_S)
            except subprocess.TimeoutExpired as error:
                raise self.failed(f"the engine of {name} (process {engine.pid}) did not end") from error

    def _end_orphans(self) -> None:
        """Workers outlive an engine that was killed: that is what they are for, but not here. Raises VR-1340."""
        for pid in self._processes():
            os.kill(pid, signal.SIGTERM)
        deadline_s = time.monotonic() + _END_DEADLINE_S
        while left := self._processes():
            if time.monotonic() > deadline_s:
                raise self.failed(f"processes {', '.join(map(str, left))} did not end")
            time.sleep(_POLL_S)

    def _processes(self) -> list[int]:
        """Engines and workers of this demo: those that were told a path in its own directory."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                argv = (entry / "cmdline").read_bytes() if entry.name.isdecimal() else b""
            except (FileNotFoundError, ProcessLookupError, PermissionError):  # it ended, or is somebody else's
                continue
            if os.fsencode(f"{self.root}/") in argv and b"volrep." in argv and int(entry.name) != os.getpid():
                found.append(int(entry.name))
        return found


def first_difference(left: Path, right: Path) -> int | None:
    """Offset of the first byte that differs; None: the files are equal."""
    at = 0
    with left.open("rb", buffering=0) as one, right.open("rb", buffering=0) as other:
        while True:
            a, b = one.read(_COMPARE_BYTES), other.read(_COMPARE_BYTES)
            if a != b:
                return at + next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            if not a:
                return None
            at += len(a)


def _tool(name: str) -> str | None:
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")


def _do(tool: str, *argv: str) -> None:
    """Raises CalledProcessError, TimeoutExpired."""
    subprocess.run([_tool(tool) or tool, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
                   timeout=_TOOL_DEADLINE_S)
