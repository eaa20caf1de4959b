"""`python -m tests.torture`: torture until the time is over; exit 1 with evidence at the first broken promise."""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import signal
import sys
import time
from pathlib import Path

from tests.torture.kinds import KINDS
from tests.torture.run import Run, summary

OUT = Path(__file__).resolve().parents[2] / ".run" / "torture"


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description="faults on real parts, without end")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kinds", default=",".join(KINDS), help="default: all of %(default)s")
    parser.add_argument("--seed", default="", help="of what is chosen (moments are never the same); default: a new one")
    parser.add_argument("--place", type=Path, default=Path("/var/tmp"), help="short path of a directory to work in")
    parser.add_argument("--keep", type=Path, default=OUT, help="results and evidence (default: %(default)s)")
    chosen = parser.parse_args(argv)
    chosen.kinds = chosen.kinds.split(",")
    if unknown := [name for name in chosen.kinds if name not in KINDS]:
        parser.error(f"kinds: {', '.join(unknown)}; there are {', '.join(KINDS)}")
    if os.geteuid() != 0:
        parser.error("loop devices, mounts and strace need root")
    return chosen


def main(argv: list[str]) -> int:
    chosen = arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: everything is taken away on the way out
    seed = chosen.seed or secrets.token_hex(4)
    stem = chosen.keep / time.strftime("%Y%m%d-%H%M%S")
    chosen.keep.mkdir(parents=True, exist_ok=True)
    run = Run(seed, chosen.place, chosen.keep, lambda line: print(line, file=sys.stderr, flush=True))
    start_s = time.monotonic()
    try:
        held = run.play(chosen.kinds, start_s + chosen.minutes * 60)
    finally:
        took_s = time.monotonic() - start_s
        stem.with_suffix(".json").write_text(json.dumps({
            "seed": seed, "seconds": round(took_s), "kernel": platform.release(), "python": platform.python_version(),
            "kinds": {name: tally.as_json() for name, tally in run.tallies.items()},
            "broken": vars(run.broken) if run.broken else None}, indent=1))
        print(f"seed {seed}, {took_s:.0f} s; {stem.with_suffix('.json')}\n{summary(run.tallies)}")
    if run.broken is not None:
        print(f"BROKEN: {run.broken.kind} on {run.broken.ground}: {run.broken.text}\nevidence: {run.broken.evidence}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
