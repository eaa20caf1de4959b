"""Rounds that alternate between contenders, so that a disk or a neighbour that slows down hits all of them.

All contenders run from beginning to end, idle but for their turns; a round measures each row of one contender after the
other, and every second round goes backwards. Each cell leaves its dirty pages on the disk before the next begins.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.contenders.base import Contender
from bench.cost import begin, cost_of
from bench.errors import BenchError
from bench.load import Workload, run_load
from bench.sample import Sample

EQUAL_DEADLINE_S = 30.0
COMPARE_BYTES = 4 << 20
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The same for every contender and every round."""

    rounds: int
    seconds: float  # of each measurement
    size_bytes: int  # of the volume
    place: Path  # on the disk to measure on; short, since paths of unix sockets below it end at 107 bytes


@contextmanager
def running(contenders: Sequence[Contender], plan: Plan) -> Iterator[None]:
    """Start all, each in a folder of its own, and write every volume once; stop all and leave nothing behind."""
    with ExitStack() as stack:
        for contender in contenders:
            folder = Path(tempfile.mkdtemp(prefix="vrb", dir=plan.place))
            stack.callback(shutil.rmtree, folder)
            stack.callback(contender.stop)
            contender.start(folder, plan.size_bytes)
            contender.fill()
            contender.settle_s()
            quiesce(folder)
        yield


def run_rounds(contenders: Sequence[Contender], workloads: Sequence[Workload], plan: Plan, say: Say) -> list[Sample]:
    """All samples of all rounds; afterwards every copy is compared with its original. Raises BenchError."""
    samples: list[Sample] = []
    with running(contenders, plan):
        for number in range(1, plan.rounds + 1):
            for workload in workloads:
                able = [c for c in contenders if (c.readable or not workload.reads)
                        and (not workload.of or c.name in workload.of)]
                for contender in able if number % 2 else reversed(able):
                    sample = _measure(number, contender, workload, plan, samples)
                    say(f"round {number}/{plan.rounds}  {workload.name:<15} {contender.name:<18} "
                        f"{sample.value:>10,.0f} {workload.row.unit}")
                    samples.append(sample)
        for contender in contenders:
            _require_equal(contender)
    return samples


def _measure(number: int, contender: Contender, workload: Workload, plan: Plan, before: Sequence[Sample]) -> Sample:
    """The cost includes what follows the load until the copy is complete: lag is not a saving."""
    rate = next((s.value * workload.rate_part for s in before
                 if (s.row, s.contender, s.round) == (workload.rate_of, contender.name, number)), 0.0)
    if workload.rate_part and not rate:
        raise BenchError(f"{workload.name} needs {workload.rate_of} before it in the same round")
    contender.enter()
    pids = contender.pids()
    cost = begin(pids)
    load = run_load(workload, contender.target(), plan.size_bytes, plan.seconds, seed=number, rate_per_s=rate)
    settle_s = contender.settle_s()
    after = cost_of(pids)
    quiesce(contender.folder)
    value = load.p99_us if workload.rate_part else load.bytes_per_s / 2**20 if workload.mib else load.per_s
    # fio times a write and the FLUSH after it apart, and percentiles do not add up: then none is kept
    p50_us, p99_us = (0.0, 0.0) if workload.flush_every else (load.p50_us, load.p99_us)
    return Sample(workload.name, contender.name, number, value, load.operations, p50_us, p99_us,
                  after.cpu_s - cost.cpu_s, after.rss_bytes, settle_s)


def quiesce(folder: Path) -> None:
    """What was written below the folder is on the disk: nobody pays for what the one before left in memory."""
    for path in folder.rglob("*"):
        if path.is_file():
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fdatasync(fd)
            finally:
                os.close(fd)


def _require_equal(contender: Contender) -> None:
    """A fast copy that differs is no copy. The last writes may still be on their way into the file."""
    contender.enter()
    contender.settle_s()
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
