"""`python -m bench`: measure, print a table, keep samples, table and picture in bench/out/."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench.contenders import CONTENDERS, make
from bench.contenders.qemu import version
from bench.errors import BenchError
from bench.load import WORKLOADS
from bench.report import markdown
from bench.rounds import Plan, run_rounds
from bench.targets import TARGETS

OUT = Path(__file__).parent / "out"


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="volrep beside its peers, on the same disk")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    parser.add_argument("--size-mib", type=int, default=256, help="size of the volume")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="default: all of %(default)s")
    parser.add_argument("--rows", default=",".join(WORKLOADS), help="default: all of %(default)s")
    parser.add_argument("--place", type=Path, default=Path("/var/tmp"),
                        help="short path of a directory on the disk to measure on (default: %(default)s)")
    chosen = parser.parse_args(argv)
    for option, known in (("contenders", CONTENDERS), ("rows", WORKLOADS)):
        names = getattr(chosen, option).split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            parser.error(f"{option}: {', '.join(unknown)}; there are {', '.join(known)}")
        setattr(chosen, option, names)
    return chosen


def conditions(chosen: argparse.Namespace) -> list[str]:
    """What somebody who repeats this must know."""
    place = subprocess.run(["df", "--output=fstype,source", str(chosen.place)], capture_output=True, text=True,
                           timeout=10, check=True).stdout.splitlines()[-1].split()
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return [
        f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores {model}, Linux {platform.release()}, "
        f"Python {platform.python_version()}; load from elsewhere at the start: {os.getloadavg()[0]:.1f}",
        f"{place[0]} on {place[1]}; volume of {chosen.size_mib} MiB, written once before; client, servers and the "
        "other side of every copy share this machine",
        f"{chosen.rounds} rounds of {chosen.seconds:g} s, contenders in turn; medians, spread is lowest–highest, "
        "÷ ref is the median of the rounds' own ratios to the contender in bold; CPU and RSS (peaks) are of all "
        "server processes until the copy is complete",
        "; ".join(version(program) for program in ("fio", "nbdkit", "qemu-nbd")),
    ]


def main(argv: list[str]) -> int:
    chosen = arguments(argv)
    chosen.place.mkdir(parents=True, exist_ok=True)
    OUT.mkdir(exist_ok=True)
    before = conditions(chosen)
    workloads = [WORKLOADS[name] for name in chosen.rows]
    contenders = make(chosen.contenders)
    plan = Plan(chosen.rounds, chosen.seconds, chosen.size_mib << 20, chosen.place.resolve())
    try:
        samples = run_rounds(contenders, workloads, plan, lambda line: print(line, file=sys.stderr, flush=True))
    except BenchError as error:
        print(f"no measurement: {error}", file=sys.stderr)
        return 1
    promises = {c.name: c.durability for c in contenders}
    verdicts = [target.judge(samples) for target in TARGETS]
    report = markdown(samples, [w.row for w in workloads], promises, verdicts, before)
    stem = OUT / time.strftime("%Y%m%d-%H%M%S")
    stem.with_suffix(".json").write_text(json.dumps(
        {"conditions": before, "promises": promises, "samples": [asdict(s) for s in samples]}, indent=1))
    stem.with_suffix(".md").write_text(report)
    print(report)
    print(f"samples kept in {stem.with_suffix('.json')}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
