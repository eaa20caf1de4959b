"""The load: fio's NBD engine, the same job for everybody."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from bench.contenders.base import BenchError


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    title: str
    block_bytes: int
    depth: int
    flush_every: int = 0  # a FLUSH after so many writes; 0: never


WORKLOADS = {w.name: w for w in (
    Workload("qd32", "4 KiB random writes, depth 32", 4096, 32),
    Workload("qd1", "4 KiB random writes, depth 1", 4096, 1),
    Workload("qd1-flush", "4 KiB random writes, depth 1, FLUSH after each", 4096, 1, flush_every=1),
)}


@dataclass(frozen=True, slots=True)
class LoadResult:
    writes: int
    writes_per_s: float
    p50_us: float
    p99_us: float
    client_cpu_s: float


def run_load(workload: Workload, uri: str, size_bytes: int, seconds: float, seed: int) -> LoadResult:
    """Random writes over the whole volume for so long; every contender gets the same offsets for a seed."""
    argv = ["fio", "--name=load", "--ioengine=nbd", f"--uri={uri}", "--rw=randwrite", f"--bs={workload.block_bytes}",
            f"--iodepth={workload.depth}", f"--size={size_bytes}", "--time_based", f"--runtime={seconds}",
            "--norandommap", "--randrepeat=1", f"--randseed={seed}", "--output-format=json", "--eta=never"]
    if workload.flush_every:
        argv.append(f"--fsync={workload.flush_every}")
    job = _fio(argv, seconds + 60)
    write = job["write"]
    percentiles = write["clat_ns"].get("percentile", {})
    cpu_s = (job["usr_cpu"] + job["sys_cpu"]) / 100 * job["job_runtime"] / 1000
    return LoadResult(write["total_ios"], write["iops"], percentiles.get("50.000000", 0) / 1000,
                      percentiles.get("99.000000", 0) / 1000, cpu_s)


def fill(uri: str, size_bytes: int) -> None:
    """Write the whole volume once, so that allocation of file blocks is behind everybody."""
    _fio(["fio", "--name=fill", "--ioengine=nbd", f"--uri={uri}", "--rw=write", "--bs=1m", "--iodepth=8",
          f"--size={size_bytes}", "--end_fsync=1", "--output-format=json", "--eta=never"], 300)


def _fio(argv: list[str], timeout_s: float) -> Any:
    """Run it; returns the job's part of its JSON report."""
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout_s,
                          check=False)
    if done.returncode != 0:
        raise BenchError(f"fio: exit {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
    start = done.stdout.index("{")  # fio may print notes before its JSON
    job = json.loads(done.stdout[start:])["jobs"][0]
    if job["error"]:
        raise BenchError(f"fio: error {job['error']}\n{done.stderr[-1500:]}")
    return job
