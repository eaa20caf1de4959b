"""Rounds that alternate between contenders, so that a disk or a neighbour that slows down hits all of them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.contenders.base import BenchError, Contender
from bench.cost import cost_of
from bench.load import LoadResult, Workload, fill, run_load

EQUAL_DEADLINE_S = 30.0
COMPARE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One contender, one workload, one round."""

    round: int
    contender: str
    workload: str
    load: LoadResult
    server_cpu_s: float
    server_rss_bytes: int
    settle_s: float  # after the load: until the copy had everything

    def flat(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """The same for every contender and every round."""

    workloads: Sequence[Workload]
    rounds: int
    seconds: float  # of each measurement
    size_bytes: int  # of the volume
    place: Path  # on the disk to measure on; short, since paths of unix sockets below it end at 107 bytes


def run_rounds(contenders: Sequence[tuple[str, Callable[[], Contender]]], plan: Plan,
               say: Callable[[str], None]) -> list[Sample]:
    """Every round starts every contender afresh, fills its volume, runs all workloads, and compares the copies."""
    samples = []
    for number in range(1, plan.rounds + 1):
        for name, make in contenders:
            say(f"round {number}/{plan.rounds}: {name}")
            new = _run_one(number, make(), plan)
            for sample in new:
                say(f"    {sample.workload:<10} {sample.load.writes_per_s:>10,.0f} writes/s")
            samples += new
    return samples


def _run_one(number: int, contender: Contender, plan: Plan) -> list[Sample]:
    folder = Path(tempfile.mkdtemp(prefix="vrb", dir=plan.place))
    try:
        contender.start(folder, plan.size_bytes)
        fill(contender.uri, plan.size_bytes)
        contender.settle_s()
        samples = [_measure(number, contender, workload, plan) for workload in plan.workloads]
        _require_equal(contender)
    finally:
        contender.stop()
        shutil.rmtree(folder)
    return samples


def _measure(number: int, contender: Contender, workload: Workload, plan: Plan) -> Sample:
    """The cost includes what follows the load until the copy is complete: lag is not a saving."""
    pids = contender.pids()
    before = cost_of(pids)
    load = run_load(workload, contender.uri, plan.size_bytes, plan.seconds, seed=number)
    settle_s = contender.settle_s()
    after = cost_of(pids)
    return Sample(number, contender.name, workload.name, load, after.cpu_s - before.cpu_s, after.rss_bytes, settle_s)


def _require_equal(contender: Contender) -> None:
    """A fast copy that differs is no copy. The last writes may still be on their way into the file."""
    paths = contender.copies()
    if not paths:
        return
    first, *others = paths
    end_s = time.monotonic() + EQUAL_DEADLINE_S
    while not all(same_bytes(first, other) for other in others):
        if time.monotonic() > end_s:
            raise BenchError(f"{contender.name}: {', '.join(map(str, paths))} differ {EQUAL_DEADLINE_S:g} s after the "
                             "last write")


def same_bytes(a: Path, b: Path) -> bool:
    with a.open("rb") as left, b.open("rb") as right:
        while True:
            x, y = left.read(COMPARE_BYTES), right.read(COMPARE_BYTES)
            if x != y:
                return False
            if not x:
                return True
