"""`python -m tests.torture.role_rounds --rounds 50`: the Primary role moves under PostgreSQL, planned and unplanned.

A round of migrations moves it to another host while nothing is lost and nobody is synchronized. A round of takeovers
kills every process of the Primary's host at a random moment, takes over on the best candidate, goes on there, lets the
old Primary return, copies back what differs, compares all hosts byte by byte, and migrates home.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import secrets
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.torture.host_stage import pause
from tests.torture.ledger import Violation
from tests.torture.role_stage import RoleStage

OUT = Path(__file__).resolve().parents[2] / ".run" / "role-torture"
HOSTS = ("london", "tokyo", "paris")
_BYTES = re.compile(r"failback started, (\d+) bytes differ")


def migration_round(stage: RoleStage) -> None:
    """Raises Violation."""
    stage.load()
    pause(stage.rng, 0.05, 0.5)
    stage.stop_load()
    stage.migrate(stage.rng.choice([name for name in stage.names if name != stage.primary.name]))
    stage.check()
    copied = [e for e in stage.new_events() if e["type"] == "resync_started"]
    if copied:
        raise Violation(f"a migrate copied: {copied}")


def takeover_round(stage: RoleStage, *, synchronous: bool) -> None:
    """Raises Violation."""
    old = stage.primary
    stage.load()
    pause(stage.rng, 0.05, 1.5)
    stage.kill_host(old)
    stage.stop_load()
    best = stage.rds.show("--candidates", "takeover", stage.rds.name)["best"]
    safe_ns = stage.takeover(best)
    stage.check(None if synchronous else safe_ns)
    stage.load()
    pause(stage.rng, 0.05, 0.5)
    stage.return_host(old)
    stage.fail_back(old.name)
    stage.stop_load()
    stage.check()
    stage.converge()
    _third_followed(stage, old.name)
    stage.migrate(old.name)
    stage.check()


def _third_followed(stage: RoleStage, old: str) -> None:
    """Only the old Primary was copied to, and only what differed."""
    for event in stage.new_events():
        if event["type"] != "resync_started":
            continue
        if (found := _BYTES.search(event["message"])) is not None:
            stage.measure("fbsync_bytes", int(found[1]))
        elif event["host"] != old:
            raise Violation(f"a host that only had to follow was copied to: {event}")


def play(stage: RoleStage, what: str, rounds: int, say: Callable[[str], None], round_of: Callable[[], None]) -> None:
    for number in range(1, rounds + 1):
        began_s = time.monotonic()
        round_of()
        say(f"{what} {number} of {rounds}: {time.monotonic() - began_s:.1f} s, {stage.committed} transactions so far")


def summary(measured: dict[str, list[float]]) -> dict[str, Any]:
    return {name: {"count": len(values), "min": min(values), "median": statistics.median(values), "max": max(values)}
            for name, values in measured.items()}


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.role_rounds")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--place", type=Path, default=Path("/var/tmp"), help="short path of a directory to work in")
    parser.add_argument("--keep", type=Path, default=OUT, help="results and evidence (default: %(default)s)")
    chosen = parser.parse_args(argv)
    chosen.keep.mkdir(parents=True, exist_ok=True)
    said: dict[str, Any] = {"seed": chosen.seed, "rounds": chosen.rounds}

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    stage = None
    try:
        for mode in ("synchronous", "asynchronous"):
            synchronous = mode == "synchronous"
            stage = RoleStage(chosen.place, random.Random(f"{chosen.seed}-{mode}"), names=HOSTS,
                              synchronous=synchronous)
            with stage:
                if synchronous:
                    play(stage, "migration", chosen.rounds, say, lambda s=stage: migration_round(s))  # type: ignore[misc]
                    said["migrations"] = chosen.rounds
                play(stage, f"{mode} takeover", chosen.rounds, say,
                     lambda s=stage, yes=synchronous: takeover_round(s, synchronous=yes))  # type: ignore[misc]
                said[f"{mode} takeovers"] = chosen.rounds
                said[mode] = {"transactions": stage.committed, **summary(stage.measured)}
    except (AssertionError, Violation) as error:
        said["broken"] = f"{type(error).__name__}: {error}"
        if stage is not None:
            (chosen.keep / f"{chosen.seed}.log").write_text(stage.last_logs)
    finally:
        (chosen.keep / f"{chosen.seed}.json").write_text(json.dumps(said, indent=1))
        print(json.dumps(said, indent=1))
    return 1 if "broken" in said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
