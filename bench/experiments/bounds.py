"""What does not grow: a worker's memory with a huge volume and a Secondary that stands still; ten RVGs beside one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import ClassVar

from bench.cost import begin, cost_of
from bench.experiments.base import Experiment, workers
from bench.load import START_GRACE_S, WORKLOADS, fill, fio_target, run_fio, run_load
from bench.rounds import Plan
from bench.sample import Row, Sample
from tests.system.pair import Rds

HUGE_BYTES = 1 << 40  # a sparse file
SMALL_BYTES = 64 << 20
TEN = 10


class Memory(Experiment):
    """A copy of 1 TiB is under way when the Secondary is stopped (SIGSTOP), and the application writes on."""

    rows = (Row("memory", "Primary's worker, 1 TiB volume, stalled Secondary: peak RSS", "MiB", "volrep-async",
                less_is_better=True),)

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        rds = Rds(folder / "rds", volumes=[HUGE_BYTES], srl_bytes=256 << 20, attributes={"encryption": "off"})
        with closing(rds):
            rds.start()
            worker, other = rds.primary.process, rds.secondaries[0].process
            assert worker is not None
            assert other is not None
            rds.startrep("autosync")
            target = fio_target(rds.primary.uri())
            seconds = max(self.extent.stall_seconds, plan.seconds)
            for number in range(1, plan.rounds + 1):
                cost = begin([worker.pid])
                os.kill(other.pid, signal.SIGSTOP)
                try:
                    load = run_load(WORKLOADS["write-qd32"], target, HUGE_BYTES, seconds, seed=number)
                finally:
                    os.kill(other.pid, signal.SIGCONT)
                after = cost_of([worker.pid])
                yield Sample("memory", "volrep-async", number, after.rss_bytes / 2**20, load.operations, load.p50_us,
                             load.p99_us, after.cpu_s - cost.cpu_s, after.rss_bytes)


class Ten(Experiment):
    """Ten RVGs, ten workers, ten loads of depth 32 at once; no Secondaries."""

    rows = (Row("ten", "4 KiB random writes, depth 32, one RVG or ten at once: in all", "/s", "volrep-one"),)
    promises: ClassVar[dict[str, str]] = {"volrep-one": "durable; no copy", "volrep-ten": "durable; no copy"}

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        with ExitStack() as stack:
            sets = [stack.enter_context(closing(Rds(folder / f"{i}", secondaries=0, volumes=[SMALL_BYTES])))
                    for i in range(TEN)]
            for rds in sets:
                rds.start()
                fill(fio_target(rds.primary.uri()), SMALL_BYTES)
            for number in range(1, plan.rounds + 1):
                yield self._load("volrep-one", sets[:1], number, plan)
                yield self._load("volrep-ten", sets, number, plan)

    def _load(self, name: str, sets: Sequence[Rds], number: int, plan: Plan) -> Sample:
        pids = [pid for rds in sets for pid in workers(rds)]
        argv = ["fio", "--ioengine=nbd", "--rw=randwrite", "--bs=4096", "--iodepth=32", f"--size={SMALL_BYTES}",
                "--time_based", f"--runtime={plan.seconds}", "--norandommap", "--randrepeat=1", f"--randseed={number}",
                "--group_reporting", "--output-format=json", "--eta=never"]
        for i, rds in enumerate(sets):
            argv += [f"--name=load{i}", f"--uri={rds.primary.uri()}"]
        cost = begin(pids)
        write = run_fio(argv, plan.seconds + START_GRACE_S)["write"]
        after = cost_of(pids)
        return Sample("ten", name, number, write["iops"], write["total_ios"], cpu_s=after.cpu_s - cost.cpu_s,
                      rss_bytes=after.rss_bytes)
