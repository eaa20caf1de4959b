"""Verb: demo. A pair that replicates on this machine, with a writer, and the console on it or a measured check of it.

Knows the order of the demonstration and the words of its report; volrep.cli.demo_pair knows how each step is done.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from types import FrameType

from volrep.cli.demo_pair import COMMAND, PRIMARY, RVG, SECONDARY, SRL_SIZE, VOLUME_SIZE, VOLUMES, Pair
from volrep.cli.out import Out, pairs
from volrep.cli.run import Run
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import rds as messages

SECONDS = 20
_POLL_S = 0.3
_UP_TO_DATE_DEADLINE_S = 300.0  # 2 x 256 MiB are synchronized at 2 MB/s even then
_EQUAL_DEADLINE_S = 10.0  # what was acknowledged may still be on its way into a file
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
# What a console that was killed cannot do: leave the alternate screen, show the cursor, mouse and paste modes off
SCREEN_RESET = b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?2004l\x1b[?25h\x1b[?1049l"


def demo(run: Run) -> int:
    """With a terminal the console, else the check. Raises VR-1018, VR-1340, VR-1341; nothing is left running then."""
    seconds = run.number("seconds", SECONDS)
    headless = bool(run.option("headless")) or not (sys.stdin.isatty() and sys.stdout.isatty())
    before = {number: signal.signal(number, _ended) for number in _SIGNALS}
    pair = Pair(keep=bool(run.option("keep")))
    code = int(Exit.FAILED)
    try:
        started_s = _begin(pair, run.out)
        if headless:
            code = _check(pair, run.out, seconds, started_s)
        else:
            code = _console(pair, plain=bool(run.option("plain")))
    except _Ended:
        code = int(Exit.FAILED)
    finally:
        left = _end(pair, run.out)
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return Exit.FAILED if left else code


def _end(pair: Pair, out: Out) -> list[str]:
    """End it all, whatever happens to signals and to the terminal meanwhile; what could not be ended."""
    for number in (signal.SIGINT, *_SIGNALS):  # a second Ctrl-C must not leave engines behind
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # the terminal may be what has gone
        out.say("ending what the demo started ...")
    left = pair.close()
    with contextlib.suppress(OSError):
        for problem in left:
            out.say(f"warning: {problem}")
        if pair.root.exists():
            out.say(f"its files are in {pair.root}")
    return left


class _Ended(BaseException):
    """A signal other than Ctrl-C: for `finally`, and for nobody else. Its own class, since nothing may be said any
    more where a KeyboardInterrupt is: the terminal may be what has gone.
    """


def _ended(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def _begin(pair: Pair, out: Out) -> float:
    """All of it, with its writers going and the synchronization started; when that was."""
    out.say(f"two engines on this machine: {PRIMARY} and {SECONDARY}")
    pair.start_engines()
    out.say(f"RVG {RVG}: {len(VOLUMES)} volumes of {VOLUME_SIZE}, SRL of {SRL_SIZE}; {PRIMARY} is the Primary")
    pair.make_rds()
    pair.start_writers()
    for note in pair.notes:
        out.say(f"note: {note}")
    out.say(f"writing on {PRIMARY}: {', '.join(writer.name for writer in pair.writers)}; synchronizing {SECONDARY}")
    pair.volrep("-a", "startrep", RVG, SECONDARY)
    return time.monotonic()


def _console(pair: Pair, *, plain: bool) -> int:
    """The console as a user starts it, in a process of its own: what becomes of it, this one cleans up.

    Ctrl-C is the console's (in line mode; else the terminal sends none).
    """
    settings = termios.tcgetattr(sys.stdin)
    environ = dict(pair.environ, XDG_STATE_HOME=str(pair.root / "console"))
    console = subprocess.Popen([*COMMAND, "console", *(["--plain"] if plain else [])], env=environ)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return console.wait()
    finally:
        if console.returncode != 0:
            console.kill()
            console.wait()
            with contextlib.suppress(OSError, termios.error):  # the terminal may be what has gone
                os.write(sys.stdout.fileno(), SCREEN_RESET)
                termios.tcsetattr(sys.stdin, termios.TCSANOW, settings)


# ---- without a terminal


@dataclass
class Seen:
    """What repstatus said over time. None: not seen."""

    sync_s: float | None = None
    looks: int = 0
    behind_writes: int = 0
    behind_bytes: int = 0

    def look(self, pair: Pair, started_s: float) -> bool:
        """Look once; whether the Secondary is connected, consistent and lacks nothing."""
        row = pair.status()
        self.looks += 1
        behind = row["behind"]
        self.behind_writes = max(self.behind_writes, behind["writes"] or 0)
        self.behind_bytes = max(self.behind_bytes, behind["bytes"] or 0)
        consistent = bool(row["connected"]) and row["sync"] is None and row["data_status"].startswith("consistent")
        if consistent and self.sync_s is None:
            self.sync_s = time.monotonic() - started_s
        return consistent and behind["writes"] == 0


def _check(pair: Pair, out: Out, seconds: int, started_s: float) -> int:
    seen = Seen()
    while time.monotonic() < started_s + seconds:
        seen.look(pair, started_s)
        time.sleep(_POLL_S)
    pair.stop_writers()
    wrote_s = time.monotonic() - started_s
    pair.release()  # writes what the file system still holds
    stopped_s = time.monotonic()
    while not seen.look(pair, started_s):
        if time.monotonic() > stopped_s + _UP_TO_DATE_DEADLINE_S:
            raise pair.failed(f"{SECONDARY} was not up to date {_UP_TO_DATE_DEADLINE_S:.0f} s after the last write")
        time.sleep(_POLL_S)
    caught_up_s = time.monotonic() - stopped_s
    differences = pair.differences()
    deadline_s = time.monotonic() + _EQUAL_DEADLINE_S
    while differences and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
        differences = pair.differences()
    _report(pair, out, seen, wrote_s, caught_up_s, equal=not differences)
    if differences:
        raise VolrepError(messages.DEMO_DIFFERS, what="; ".join(differences), kept=pair.kept)
    return Exit.DONE


def _report(pair: Pair, out: Out, seen: Seen, wrote_s: float, caught_up_s: float, *, equal: bool) -> None:
    rows: list[tuple[str, object]] = []
    for volume, writer in zip(VOLUMES, pair.writers, strict=True):
        ran_s = writer.ran_s or 1.0  # nothing written: no time either
        rows.append((volume, f"{writer.writes} writes, {writer.bytes / 1e6:.1f} MB through {writer.name} "
                             f"({writer.writes / ran_s:.0f} writes/s, {writer.bytes / ran_s / 1e6:.2f} MB/s, "
                             "paced by the demo)"))
    assert seen.sync_s is not None, "up to date without ever being consistent"
    during = "while the writers ran" if seen.sync_s < wrote_s else "after the writers had stopped"
    rows += [
        ("synchronized", f"{seen.sync_s:.1f} s after startrep, {during}"),
        ("most behind", f"{seen.behind_writes} writes, {seen.behind_bytes / 1e6:.2f} MB (in {seen.looks} looks)"),
        ("up to date", f"{caught_up_s:.1f} s after the last write"),
        ("compared", f"{len(VOLUMES)} volumes of {VOLUME_SIZE}, every byte of both sides"),
        ("equal", "yes" if equal else "NO"),
    ]
    out.print(pairs(rows, indent=""))
