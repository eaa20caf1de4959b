"""Verb: demo. A pair that replicates on this machine, with a writer, and the console on it or a measured check of it.

Knows the order of the demonstration and the words of its report; volrep.cli.demo_pair knows how each step is done.
"""

from __future__ import annotations

import os
import signal
import sys
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


def demo(run: Run) -> int:
    """With a terminal the console, else the check. Raises VR-1018, VR-1340, VR-1341; nothing is left running then."""
    seconds = run.number("seconds", SECONDS)
    headless = bool(run.option("headless")) or not (sys.stdin.isatty() and sys.stdout.isatty())
    before = {number: signal.signal(number, _interrupted) for number in _SIGNALS}
    pair = Pair(keep=bool(run.option("keep")))
    code = Exit.FAILED
    try:
        started_s = _begin(pair, run.out)
        code = _check(pair, run.out, seconds, started_s) if headless else _console(pair, plain=bool(run.option("plain")))
    finally:
        for number in (signal.SIGINT, *_SIGNALS):  # a second Ctrl-C must not leave engines behind
            signal.signal(number, signal.SIG_IGN)
        run.out.say("ending what the demo started ...")
        left = pair.close()
        for problem in left:
            run.out.say(f"warning: {problem}")
        if left or pair.keep:
            run.out.say(f"its files are in {pair.root}")
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return Exit.FAILED if left else code


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


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
    from volrep.tui.app import main

    os.environ.update(pair.environ)  # its commands go to the demo's engines
    return main(None, plain=plain, state_dir=pair.root / "console", argv_prefix=list(COMMAND))


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
        rows.append((volume, f"{writer.writes} writes, {writer.bytes / 1e6:.1f} MB through {writer.name} "
                             f"({writer.writes / wrote_s:.0f} writes/s, {writer.bytes / wrote_s / 1e6:.2f} MB/s, "
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
