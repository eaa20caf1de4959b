"""`python -m bench`: measure, print a table, keep samples, table and picture in bench/out/."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench import contenders as contending
from bench import experiments as experimenting
from bench.contenders import CONTENDERS, make
from bench.contenders.qemu import version
from bench.cost import HostTime
from bench.errors import BenchError
from bench.experiments import EXPERIMENTS
from bench.experiments.base import FULL, LARGE, QUICK
from bench.load import WORKLOADS
from bench.picture import svg
from bench.report import markdown
from bench.rounds import Plan, Say, run_rounds
from bench.sample import Row, Sample
from bench.targets import TARGETS

OUT = Path(__file__).parent / "out"
ROWS = (*WORKLOADS, *EXPERIMENTS)
QUICK_CONTENDERS = ("disk", "nbdkit", "nbdkit-fua", "qemu-mirror", "volrep-alone", "volrep-async", "volrep-async-tls",
                    "volrep-sync")
QUICK_ROWS = ("write-qd32", "half-load", "write-qd1", "write-1m", "read-qd32", "read-64k", "drain", "autosync",
              "round-trip", "screen")
COMPILED_CONTENDERS = ("disk", "nbdkit", "nbdkit-fua", "qemu-mirror", "volrep-alone", "volrep-async", "volrep-sync",
                       *contending.COMPILED)
COMPILED_ROWS = ("write-qd32", "half-load", "write-qd1", "write-1m", "read-qd32", "read-64k", *experimenting.COMPILED)


def _chosen(chosen: argparse.Namespace, known: Sequence[str], quick: Sequence[str], compiled: Sequence[str],
            only_asked: Sequence[str]) -> list[str]:
    """What is measured when no names are given."""
    if chosen.compiled:
        return list(compiled)
    return list(quick) if chosen.quick else [name for name in known if name not in only_asked]


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="volrep beside its peers, on the same disk")
    parser.add_argument("--quick", action="store_true",
                        help="one short round of the most telling rows and contenders: below three minutes")
    parser.add_argument("--large", action="store_true",
                        help="copy, drain and stall as much and as long as the targets name: 30 GiB of disk")
    parser.add_argument("--compiled", action="store_true",
                        help="what Python costs: volrep beside the same data path as a compiled loop (needs cc)")
    parser.add_argument("--rounds", type=int, help="default: 3, quick: 1")
    parser.add_argument("--seconds", type=float, help="length of each load, default: 2, quick: 1")
    parser.add_argument("--size-mib", type=int, default=256, help="size of the volume (default: %(default)s)")
    parser.add_argument("--contenders", help=f"of {','.join(CONTENDERS)}")
    parser.add_argument("--rows", help=f"of {','.join(ROWS)}")
    parser.add_argument("--place", type=Path, default=Path("/var/tmp"),
                        help="short path of a directory on the disk to measure on (default: %(default)s)")
    chosen = parser.parse_args(argv)
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 3)
    chosen.seconds = chosen.seconds or (1.0 if chosen.quick else 2.0)
    for option, known, *defaults in (
            ("contenders", CONTENDERS, QUICK_CONTENDERS, COMPILED_CONTENDERS, contending.COMPILED),
            ("rows", ROWS, QUICK_ROWS, COMPILED_ROWS, experimenting.ONLY_ASKED)):
        given = getattr(chosen, option)
        names = given.split(",") if given else _chosen(chosen, known, *defaults)
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
        "; ".join(version(program) for program in ("fio", "nbdkit", "qemu-nbd", "nbdcopy")),
    ]


def measure(chosen: argparse.Namespace, say: Say) -> tuple[list[Sample], list[Row], dict[str, str], list[str]]:
    """Samples, rows, promises, and what could not be measured with the reason."""
    plan = Plan(chosen.rounds, chosen.seconds, chosen.size_mib << 20, chosen.place.resolve())
    samples: list[Sample] = []
    rows: list[Row] = []
    promises: dict[str, str] = {}
    failed: list[str] = []
    workloads = [WORKLOADS[name] for name in chosen.rows if name in WORKLOADS]
    if workloads:
        contenders = make(chosen.contenders)
        samples += run_rounds(contenders, workloads, plan, say)
        rows += [w.row for w in workloads]
        promises |= {c.name: c.durability for c in contenders}
    for name in (name for name in chosen.rows if name in EXPERIMENTS):
        experiment = EXPERIMENTS[name](QUICK if chosen.quick else LARGE if chosen.large else FULL)
        rows += experiment.rows
        promises |= experiment.promises
        try:
            samples += experiment.run(plan, say)
        except BenchError as error:  # the other rows are still worth their time; the report says what is missing
            failed.append(f"not measured, {name}: {error}")
            say(failed[-1])
    return samples, rows, promises, failed


def main(argv: list[str]) -> int:
    chosen = arguments(argv)
    chosen.place.mkdir(parents=True, exist_ok=True)
    before = HostTime.now()
    OUT.mkdir(exist_ok=True)
    said = conditions(chosen)
    try:
        samples, rows, promises, failed = measure(chosen, lambda line: print(line, file=sys.stderr, flush=True))
    except BenchError as error:
        print(f"no measurement: {error}", file=sys.stderr)
        return 1
    said.append(f"the host kept {HostTime.now().stolen_part(before):.1%} of the CPU time that was wanted (steal)")
    said += [line.partition("\n")[0] for line in failed]
    report = markdown(samples, rows, promises, [target.judge(samples) for target in TARGETS], said)
    stem = OUT / time.strftime("%Y%m%d-%H%M%S")
    stem.with_suffix(".json").write_text(json.dumps(
        {"conditions": said, "promises": promises, "rows": [asdict(r) for r in rows],
         "samples": [asdict(s) for s in samples]}, indent=1))
    stem.with_suffix(".md").write_text(report)
    stem.with_suffix(".svg").write_text(svg(samples, rows, f"volrep and its peers, {said[0].partition(',')[0]}"))
    print(report)
    print(f"samples, table and picture kept as {stem}.json, .md, .svg", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
