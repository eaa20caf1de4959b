"""`python -m tests.sim`: run seeds as long as asked, say what came of them, shrink and keep what fails.

    --seconds 60            run fresh seeds for a minute (default); --seed N: from seed N on
    --seed N --runs 1       that seed alone; with --scenario NAME instead of the seed's own
    --plan FILE             a kept plan again, with what happened last before the violation
    --keep DIRECTORY        where plans of failing seeds go, shrunk (default: sim-failures)
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections import Counter
from pathlib import Path

from tests.sim.plan import Plan
from tests.sim.run import Outcome, execute
from tests.sim.scenario import NAMES, name_for, plan
from tests.sim.shrink import shrink


def main(arguments: list[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    logging.disable(logging.CRITICAL)
    if asked.plan is not None:
        return _again(asked.plan)
    first = asked.seed if asked.seed is not None else time.time_ns() // 1000 % (1 << 40)
    until_s = time.monotonic() + asked.seconds
    seed, found, runs = first, [], Counter[str]()
    totals: Counter[str] = Counter()
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    while (totals["runs"] < asked.runs) if asked.runs else time.monotonic() < until_s:
        name = asked.scenario or name_for(seed)
        outcome = execute(plan(name, seed))
        runs[name] += 1
        _add(totals, outcome)
        if outcome.violation:
            found.append(outcome)
            _tell(outcome, asked.keep, shrunk=not asked.no_shrink)
        seed += 1
    _report(first, seed, totals, runs, time.monotonic() - started_s, time.process_time() - started_cpu_s)
    return 1 if found else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="simulated crashes, from seeds")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--runs", type=int, default=0, help="stop after so many runs, whatever the time")
    parser.add_argument("--scenario", choices=NAMES)
    parser.add_argument("--plan", type=Path)
    parser.add_argument("--keep", type=Path, default=Path("sim-failures"))
    parser.add_argument("--no-shrink", action="store_true")
    return parser


def _add(totals: Counter[str], outcome: Outcome) -> None:
    totals["runs"] += 1
    for name in ("crashes", "probes", "completed", "reads", "events"):
        totals[name] += getattr(outcome, name)
    totals["fails"] += len(outcome.failures)
    totals["lost"] += outcome.lost
    totals["violations"] += bool(outcome.violation)


def _tell(outcome: Outcome, keep: Path, *, shrunk: bool) -> None:
    found = outcome.plan
    _say(f"seed {found.seed}, {found.scenario}: {outcome.violation}")
    small = shrink(found) if shrunk else found
    again = execute(small)
    keep.mkdir(exist_ok=True)
    path = keep / f"{found.scenario}-{found.seed}.json"
    path.write_text(json.dumps({"why": again.violation, "plan": json.loads(small.to_json())}, indent=1) + "\n")
    _say(f"  {len(small.actions)} of {len(found.actions)} actions are enough: {again.violation}")
    _say(f"  kept in {path}; again: python -m tests.sim --plan {path}")


def _again(path: Path) -> int:
    kept = json.loads(path.read_text())
    outcome = execute(Plan.from_json(json.dumps(kept["plan"])))
    for line in outcome.recent:
        _say(line)
    _say(outcome.violation or "every promise held")
    return 1 if outcome.violation else 0


def _report(first: int, end: int, totals: Counter[str], runs: Counter[str], wall_s: float, cpu_s: float) -> None:
    crashes = totals["crashes"] + totals["probes"]
    _say(f"seeds {first} to {end - 1}: {totals['runs']} runs in {wall_s:.0f} s "
         f"({', '.join(f'{name} {count}' for name, count in runs.most_common())})")
    _say(f"{crashes} crashes, {crashes / wall_s * 60:.0f} a minute, {crashes / cpu_s * 60:.0f} a minute of one core: "
         f"{totals['crashes']} of running processes and hosts, {totals['probes']} looked at on copies of their disks")
    _say(f"{totals['completed']} requests completed, {totals['reads']} reads compared, {totals['events']} events")
    _say(f"{totals['fails']} times an RVG went to FAIL with a reason, {totals['lost']} runs ended in one for good")
    _say(f"{totals['violations']} broken promises")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
