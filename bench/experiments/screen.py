"""What an operator waits for: a command, the console's first menu, a key. With one idle pair."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.contenders.volrep import DG, RVG, Pair
from bench.errors import BenchError
from bench.experiments.base import Experiment
from bench.rounds import Plan
from bench.sample import Row, Sample
from tests.system.engines import PROGRAM

VOLUME_BYTES = 16 << 20
SRL_BYTES = 64 << 20  # nothing is written
FIRST_MENU = b"Volume Replication"
KEYS = (b"\x1b[B", b"\x1b[A")  # down, up: the cursor moves, which is the least that shows
KEY_PRESSES = 20
SHOW_DEADLINE_S = 20.0
QUIET_S = 0.3  # nothing more is drawn when nothing came for so long


class Screen(Experiment):
    rows = (
        Row("verb", "volrep repstatus: two engines asked, start of Python included", "s", "volrep",
            less_is_better=True),
        Row("console-start", "volrep console: until its first menu shows", "s", "volrep", less_is_better=True),
        Row("console-key", "console: from a key to the first change of the screen", "ms", "volrep",
            less_is_better=True),
    )

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        pair = Pair()
        try:
            pair.start(folder, VOLUME_BYTES, {"synchronous": "off", "encryption": "off"}, SRL_BYTES)
            pair.settle_s()
            assert pair.site is not None
            env = os.environ | {"VOLREP_CONFIG_DIR": str(folder / "config"), "TERM": "xterm-256color"}
            for number in range(1, plan.rounds + 1):
                start_s = time.monotonic()
                pair.site.show("-g", DG, "repstatus", RVG)
                yield Sample("verb", "volrep", number, time.monotonic() - start_s)
                started_s, key_s = _console(env)
                yield Sample("console-start", "volrep", number, started_s)
                yield Sample("console-key", "volrep", number, key_s * 1000)
        finally:
            pair.stop()


def _console(env: dict[str, str]) -> tuple[float, float]:
    """Seconds until the first menu, and the median from a key to what it draws. Raises BenchError."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    start_s = time.monotonic()
    console = subprocess.Popen([str(PROGRAM), "console"], stdin=theirs, stdout=theirs, stderr=theirs, env=env,
                               start_new_session=True)
    os.close(theirs)
    try:
        _read_until(ours, FIRST_MENU)
        started_s = time.monotonic() - start_s
        _drain(ours)
        taken = []
        for press in range(KEY_PRESSES):
            pressed_s = time.monotonic()
            os.write(ours, KEYS[press % len(KEYS)])
            _read_until(ours, b"")
            taken.append(time.monotonic() - pressed_s)
            _drain(ours)
        return started_s, sorted(taken)[len(taken) // 2]
    finally:
        console.send_signal(signal.SIGTERM)
        os.close(ours)
        with suppress(subprocess.TimeoutExpired):
            console.wait(5)
        console.kill()
        console.wait()


def _read_until(fd: int, wanted: bytes) -> None:
    """Until `wanted` has come; anything at all when it is empty."""
    seen, end_s = b"", time.monotonic() + SHOW_DEADLINE_S
    while not seen or wanted not in seen:
        if not select.select([fd], [], [], max(0.0, end_s - time.monotonic()))[0]:
            raise BenchError(f"the console did not show {wanted!r} within {SHOW_DEADLINE_S:g} s, but {seen[-500:]!r}")
        try:
            seen += os.read(fd, 1 << 16)
        except OSError as error:
            raise BenchError(f"the console ended: {seen[-500:]!r}") from error


def _drain(fd: int) -> None:
    while select.select([fd], [], [], QUIET_S)[0]:
        os.read(fd, 1 << 16)
