"""Plays rounds until the time is over or a promise is broken, and counts what came of them."""

from __future__ import annotations

import itertools
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.kinds import KINDS, Kind, Stage


@dataclass
class Tally:
    """What one kind of fault has come to."""

    rounds: int = 0
    kills: int = 0
    writes: int = 0
    results: Counter[str] = field(default_factory=Counter)
    grounds: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        return {"rounds": self.rounds, "kills": self.kills, "writes": self.writes,
                "results": dict(self.results.most_common()), "grounds": dict(self.grounds.most_common())}


@dataclass
class Broken:
    """The first violated promise."""

    kind: str
    ground: str
    text: str
    evidence: str


@dataclass
class Run:
    """`where`: on the disk to work on, a short path; `keep`: where evidence goes."""

    seed: str
    where: Path
    keep: Path
    say: Callable[[str], None]
    tallies: dict[str, Tally] = field(default_factory=dict)
    broken: Broken | None = None

    def play(self, names: Sequence[str], end_s: float, *, rounds: int = 0, kinds: Mapping[str, Kind] = KINDS) -> bool:
        """In turn, until `end_s` (monotonic) or, with `rounds`, each kind once with so many; whether all held."""
        for number, name in ((n, name) for n in itertools.count(1) for name in names):
            if (rounds and number > 1) or time.monotonic() >= end_s:
                break
            self._stage(name, kinds[name], number, end_s, rounds or kinds[name].rounds)
            if self.broken is not None:
                return False
        return True

    def _stage(self, name: str, kind: Kind, number: int, end_s: float, rounds: int) -> None:
        seed = f"{self.seed}-{name}-{number}"
        tally = self.tallies.setdefault(name, Tally())
        stage: Stage | None = None
        try:
            stage = kind.make(self.where, random.Random(seed))
            tally.grounds[stage.text] += 1
            for _ in range(rounds):
                if time.monotonic() >= end_s:
                    break
                tally.results[kind.play(stage)] += 1
                tally.rounds += 1
        except Exception as error:  # noqa: BLE001  # whatever it is: it is kept, and the run ends
            self._keep(name, seed, stage, error)
        finally:
            if stage is not None:
                tally.kills += stage.kills
                tally.writes += stage.writes
                stage.close()
        self.say(f"{name} {number}: {stage.text if stage else 'no stage'}; so far {tally.rounds} rounds, "
                 f"{tally.kills} kills, {tally.writes} writes completed")

    def _keep(self, name: str, seed: str, stage: Stage | None, error: Exception) -> None:
        evidence = self.keep / f"broken-{seed}"
        evidence.mkdir(parents=True, exist_ok=True)
        text = "".join(traceback.format_exception(error))
        (evidence / "what.txt").write_text(f"{name}, seed {seed}, {stage.text if stage else 'no stage'}\n\n{text}")
        self.broken = Broken(name, stage.text if stage else "", f"{type(error).__name__}: {error}", str(evidence))
        if stage is not None:
            stage.keep(evidence)


def summary(tallies: Mapping[str, Tally], kinds: Mapping[str, Kind] = KINDS) -> str:
    """A line per kind, and below it a line per result."""
    lines = []
    for name, tally in tallies.items():
        lines.append(f"{name:<8} {kinds[name].title}: {tally.rounds} rounds, {tally.kills} kills, "
                     f"{tally.writes} writes completed")
        lines += [f"         {count:>6} x {result}" for result, count in tally.results.most_common()]
    return "\n".join(lines)
