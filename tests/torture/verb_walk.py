"""Every changing verb, killed before each of its durable system calls, said again, compared.

    python -m tests.torture.verb_walk [--verb NAME ...] [--every N [--first M]] [--devices]

One situation is made for each verb and used for all of its points: the verb runs with a SIGKILL in it, what an init
system would start again is started, the same verb is said again and must end well with both hosts looking as after
an undisturbed run; then the way back. After a failure the situation is made anew.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system.life import Command, Done, Verb, differences
from tests.system.waiting import wait_for
from tests.torture.kill_points import Point, killing, recording, recording_started
from tests.torture.verb_cases import Case, cases
from tests.torture.verb_stage import VerbStage
from volrep.model.errors import Exit

OUT = Path(".run/torture")
REVIVED_S = 60


@dataclass
class Walked:
    """What came of one case.

    `passed_by`: points that a run did not reach, since threads take turns as they like. `waited`: refused at once,
    and done when the links were connected again.
    """

    case: str
    points: int = 0
    killed: Counter[str] = field(default_factory=Counter)
    passed_by: int = 0
    waited: int = 0
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def row(self) -> str:
        killed = ", ".join(f"{count} {process}" for process, count in sorted(self.killed.items()))
        return (f"{self.case}: {self.points} points, {sum(self.killed.values())} kills ({killed}), "
                f"{self.passed_by} passed by, {self.waited} waited, {len(self.broken)} broken, {self.seconds:.0f} s")


class Walk:
    """One case in a folder with a short path."""

    def __init__(self, folder: Path, case: Case, say: Callable[[str], None]) -> None:
        self.folder, self.case, self.say = folder, case, say
        self.stage: VerbStage | None = None
        self.wanted: Any = None
        self.result = Walked(case.name)

    def through(self, chosen: Callable[[list[Point]], list[Point]]) -> Walked:
        """`chosen`: which of the points. Raises AssertionError when an undisturbed run does not end well."""
        began_s = time.monotonic()
        try:
            for point in chosen(self.points()):
                self.result.points += 1
                try:
                    self._round(point)
                except (AssertionError, OSError) as error:
                    self.result.broken.append(f"{self.case.name}: {point}: {error}")
                    self.say(f"BROKEN {self.result.broken[-1][:3000]}")
                    self._end()
        finally:
            self._end()
        self.result.seconds = time.monotonic() - began_s
        return self.result

    def _end(self) -> None:
        stage, self.stage = self.stage, None
        if stage is not None:
            stage.close()

    def _ready(self) -> VerbStage:
        """Where the verb makes sense."""
        if self.stage is None:
            self.stage = VerbStage(self.folder / "s", self.case.stage)
        self.stage.act(self.case.before)
        self.stage.warm(self.case.hosts)
        return self.stage

    def points(self) -> list[Point]:
        """Two runs, or three, undisturbed: how both hosts look afterwards, and what was made durable on the way."""
        found: list[Point] = []
        for record in (recording, recording_started) if self.case.starts else (recording,):
            stage = self._ready()
            command = Command(self.case.argv, stage.life.env, self.folder / "s" / "out", held=True)
            pids = stage.pids(self.case.hosts, command)
            with record(pids, stage.touched(), self.folder / "s" / "strace") as points:
                os.kill(command.pid, signal.SIGCONT)
                done = command.wait()
                assert done.code == 0, f"undisturbed: {done.text}"
            found += points
            picture = stage.picture()
            assert self.wanted in (None, picture), f"no two runs alike: {differences(picture, self.wanted)}"
            self.wanted = picture
            stage.act(self.case.back)
        self.say(f"{self.case.name}: {len(found)} points")
        return found

    def _round(self, point: Point) -> None:
        stage = self._ready()
        command = Command(self.case.argv, stage.life.env, self.folder / "s" / "out", held=True)
        pid = stage.pids(self.case.hosts, command)[point.tracee.process]
        with killing(pid, point, stage.touched(), self.folder / "s" / "strace") as hit:
            os.kill(command.pid, signal.SIGCONT)
            first = command.wait(stage.life.revive)
        if hit:
            self.result.killed["starting worker" if point.tracee.thread < 0 else point.tracee.process.split()[-1]] += 1
        else:
            self.result.passed_by += 1
        self._again(stage, f"it said {first.code}: {first.text.strip()[-1500:]}")
        stage.act(self.case.back)

    def _again(self, stage: VerbStage, told: str) -> None:
        stage.life.revive()
        wait_for(stage.life.running, REVIVED_S, "engines and workers to be up again")
        done = stage.life.run(Verb(self.case.argv))
        if done.code == Exit.REFUSED and not any(id_ in done.text for id_ in self.case.gone):
            self.result.waited += 1
            told += f"\nsaid again at once: {done.text}"
            stage.settle()
            done = stage.life.run(Verb(self.case.argv))
        if done.code != 0 and any(id_ in done.text for id_ in self.case.gone):
            done = Done(0, done.text)
        assert done.code == 0, f"{told}\nsaid again: exit {done.code}: {done.text}"
        assert "Traceback" not in done.text
        found = stage.picture()
        assert found == self.wanted, f"{told}\nsaid again: {done.text}\n{differences(found, self.wanted)}"


def walk(folder: Path, case: Case, chosen: Callable[[list[Point]], list[Point]],
         say: Callable[[str], None]) -> Walked:
    return Walk(folder, case, say).through(chosen)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.verb_walk")
    parser.add_argument("--verb", action="append", default=[], help="one verb, or the name of one case; all without it")
    parser.add_argument("--every", type=int, default=1, help="only every N-th point of each")
    parser.add_argument("--first", type=int, default=0, help="the point that --every begins with, from 0: "
                        "a case in pieces")
    parser.add_argument("--devices", action="store_true", help="attach and detach too")
    parser.add_argument("--keep", type=Path, default=OUT, help="results (default: %(default)s)")
    given = parser.parse_args(argv)
    given.keep.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    results = []
    with tempfile.TemporaryDirectory(prefix="vw", dir="/tmp") as made:  # sockets need a short path
        for case in cases(Path(made) / "s"):
            named = not given.verb or case.verb in given.verb or case.name in given.verb
            if not named or (case.devices and not given.devices):
                continue
            try:
                results.append(walk(Path(made), case, lambda points: points[given.first::given.every], say))
            except AssertionError as error:
                results.append(Walked(case.name, broken=[str(error)]))
                say(f"BROKEN {case.name}: {error}")
            say(results[-1].row())
    kept = given.keep / f"verb-walk-{time.strftime('%Y%m%d-%H%M%S')}.json"
    kept.write_text(json.dumps([vars(result) for result in results], indent=1))
    say(f"{sum(result.points for result in results)} points, "
        f"{sum(sum(result.killed.values()) for result in results)} kills, "
        f"{sum(len(result.broken) for result in results)} broken: {kept}")
    return 1 if any(result.broken for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
