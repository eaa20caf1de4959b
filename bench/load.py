"""The load: fio, the same job for everybody."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError
from bench.sample import Row

FILL_DEADLINE_S = 300.0
START_GRACE_S = 60.0  # beyond its run time: fio's own start and end on a busy machine


@dataclass(frozen=True, slots=True)
class Workload:
    """A row that fio fills. `mib`: the value is MiB/s, otherwise operations per second."""

    name: str
    title: str
    mode: str  # fio's rw=
    block_bytes: int
    depth: int
    reference: str
    flush_every: int = 0  # a FLUSH after so many writes; 0: never
    mib: bool = False
    rate_part: float = 0.0  # of the rate that `rate_of` reached in this round; 0: as fast as it goes
    rate_of: str = ""
    of: tuple[str, ...] = ()  # the contenders it is interesting for; empty: all that can

    @property
    def row(self) -> Row:
        if self.rate_part:
            return Row(self.name, self.title, "µs p99", self.reference, less_is_better=True)
        return Row(self.name, self.title, "MiB/s" if self.mib else "/s", self.reference)

    @property
    def reads(self) -> bool:
        return self.mode in ("read", "randread")


_MAIN = ("nbdkit", "qemu-mirror", "volrep-async", "volrep-sync")

WORKLOADS = {w.name: w for w in (
    Workload("write-qd32", "4 KiB random writes, depth 32", "randwrite", 4096, 32, "qemu-mirror"),
    Workload("half-load", "the same at half that rate: p99 of a write", "randwrite", 4096, 32, "qemu-mirror",
             rate_part=0.5, rate_of="write-qd32", of=(*_MAIN, "compiled-async")),
    Workload("write-qd1", "4 KiB random writes, depth 1", "randwrite", 4096, 1, "qemu-mirror"),
    Workload("write-qd1-flush", "4 KiB random writes, depth 1, FLUSH after each", "randwrite", 4096, 1, "qemu-mirror",
             flush_every=1, of=_MAIN),
    Workload("write-1m", "1 MiB sequential writes, depth 4", "write", 1 << 20, 4, "disk", mib=True,
             of=("disk", "disk-dsync", "nbdkit", "qemu-mirror", "volrep-alone", "volrep-async", "volrep-sync",
                 "compiled-async")),
    Workload("read-qd32", "4 KiB random reads, depth 32", "randread", 4096, 32, "nbdkit"),
    Workload("read-64k", "64 KiB sequential reads, depth 4", "read", 64 << 10, 4, "nbdkit", mib=True),
)}


@dataclass(frozen=True, slots=True)
class LoadResult:
    operations: int
    per_s: float
    bytes_per_s: float
    p50_us: float
    p99_us: float


def fio_target(uri: str) -> list[str]:
    """What fio needs to reach a volume that is served over NBD."""
    return ["--ioengine=nbd", f"--uri={uri}"]


def run_load(workload: Workload, target: Sequence[str], size_bytes: int, seconds: float, seed: int, *,
             rate_per_s: float = 0.0) -> LoadResult:
    """Load on a whole volume for so long; every contender gets the same offsets for a seed."""
    argv = ["fio", "--name=load", *target, f"--rw={workload.mode}", f"--bs={workload.block_bytes}",
            f"--iodepth={workload.depth}", f"--size={size_bytes}", "--time_based", f"--runtime={seconds}",
            "--norandommap", "--randrepeat=1", f"--randseed={seed}", "--output-format=json", "--eta=never"]
    if workload.flush_every:
        argv.append(f"--fsync={workload.flush_every}")
    if rate_per_s:
        argv += [f"--rate_iops={max(1, int(rate_per_s))}", "--rate_process=poisson"]
    job = run_fio(argv, seconds + START_GRACE_S)
    done = job["read" if workload.reads else "write"]
    percentiles = done["clat_ns"].get("percentile", {})
    return LoadResult(done["total_ios"], done["iops"], done["bw_bytes"], percentiles.get("50.000000", 0) / 1000,
                      percentiles.get("99.000000", 0) / 1000)


def fill(target: Sequence[str], size_bytes: int) -> None:
    """Write the whole volume once, so that allocation of file blocks is behind everybody."""
    run_fio(["fio", "--name=fill", *target, "--rw=write", "--bs=1m", "--iodepth=4", f"--size={size_bytes}",
             "--end_fsync=1", "--output-format=json", "--eta=never"], FILL_DEADLINE_S)


def run_fio(argv: Sequence[str], timeout_s: float) -> Any:
    """Run it; returns the (first) job's part of its JSON report. Raises BenchError."""
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout_s,
                          check=False)
    if done.returncode != 0:
        raise BenchError(f"fio: exit {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
    start = done.stdout.index("{")  # fio may print notes before its JSON
    job = json.loads(done.stdout[start:])["jobs"][0]
    if job["error"]:
        raise BenchError(f"fio: error {job['error']}\n{done.stderr[-1500:]}")
    return job
