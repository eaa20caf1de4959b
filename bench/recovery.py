"""`python -m bench.recovery`: how long a worker needs to serve again after a crash with a full log, and its memory.

Checkpoints come every 5 s, after 256 MiB or a quarter of the ring, so a log rarely holds more than that; only data
volumes that take very long to become durable leave more. Here their fdatasync is held up (strace) while a real worker
fills the ring under fio, and the worker is killed. The header is put back before each start, so that every
start finds the same log. Reading the same bytes with dd is the measure: no recovery can be faster.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.rounds import same_bytes
from tests.system.injection import program_failing
from tests.system.pair import Host
from volrep.log.record import HEADER_BYTES
from volrep.log.ring import HEADER_AREA_BYTES

MIB = 1 << 20
FULL_PART = 0.97  # of the ring; beyond, writes wait for the checkpoint that never comes
HELD_UP_US = 3_600_000_000
LOAD_TIMEOUT_S = 1200
LOADS = {"4k": 4096, "64k": 65536}


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the worker: seconds until it serves, its CPU time, seconds of dd, peak memory."""

    start_s: float
    cpu_s: float
    read_s: float
    peak_mib: float


def make_log(host: Host, block_bytes: int) -> int:
    """Fill the log with unapplied writes and kill the worker; the bytes of log to be replayed."""
    host.start()  # makes the SRL
    host.stop()
    program = host.program
    volume = host.volumes[0]
    # the first sync is recovery's own at this start
    host.program = program_failing(program, volume["path"], "fdatasync", f"delay_enter={HELD_UP_US}:when=2+",
                                   host.dir / "strace.log", "--seccomp-bpf")
    host.start()
    host.program = program
    capacity_bytes = host.srl["size_bytes"] - HEADER_AREA_BYTES
    writes = int(capacity_bytes * FULL_PART) // (block_bytes + HEADER_BYTES)
    fio = subprocess.run(
        ["fio", "--name=fill", "--ioengine=nbd", f"--uri={host.uri()}", "--rw=randwrite", "--norandommap",
         f"--bs={block_bytes}", "--iodepth=32", f"--size={volume['size_bytes']}", f"--io_size={writes * block_bytes}",
         "--randseed=1", "--eta=never"], capture_output=True, text=True, timeout=LOAD_TIMEOUT_S, check=False)
    if fio.returncode:
        raise BenchError(f"fio: {fio.stdout[-500:]} {fio.stderr[-500:]}")
    srl = host.status().srl
    _kill_traced(host)
    return srl.end_lsn - srl.tail_lsn


def _kill_traced(host: Host) -> None:
    """SIGKILL to the worker, then to its tracer, which would not let go of the thread that it holds up."""
    assert host.process is not None
    status = Path(f"/proc/{host.process.pid}/status").read_text()
    tracer = int(next(line.split()[1] for line in status.splitlines() if line.startswith("TracerPid:")))
    for pid in (host.process.pid, tracer):
        os.kill(pid, signal.SIGKILL)
    host.process.wait(60)


def drop_from_cache(host: Host) -> None:
    """The files of this RVG only: others on this machine want theirs."""
    for volume in (host.srl, *host.volumes):
        with Path(volume["path"]).open("r+b") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_s(path: str) -> float:
    before_s = time.monotonic()
    subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=8M", "status=none"], check=True)
    return time.monotonic() - before_s


def start_once(host: Host, header: bytes, *, cold: bool) -> Start:
    """Start the worker on the same log as before, from the disk or from the page cache."""
    with Path(host.srl["path"]).open("r+b") as file:
        file.write(header)
        os.fsync(file.fileno())
    if cold:
        drop_from_cache(host)
    took_by_dd_s = read_s(host.srl["path"])
    if cold:
        drop_from_cache(host)
    before_s = time.monotonic()
    host.start()  # returns when it is configured: recovered, and listening
    took_s = time.monotonic() - before_s
    assert host.process is not None
    status = Path(f"/proc/{host.process.pid}/status").read_text()
    words = Path(f"/proc/{host.process.pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    peak_kib = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
    if host.status().reason:
        raise BenchError(f"it does not serve: {host.status().reason}")
    host.kill()
    return Start(took_s, cpu_s, took_by_dd_s, peak_kib / 1024)


def measure(place: Path, size_mib: int, block_bytes: int, rounds: int) -> list[str]:
    """Lines of the report for one size of writes."""
    folder = Path(tempfile.mkdtemp(prefix="vrb", dir=place))
    host = Host(folder, "london", "primary", uuid.uuid4().hex, [size_mib * MIB], size_mib * MIB + HEADER_AREA_BYTES)
    try:
        log_bytes = make_log(host, block_bytes)
        volume, before = Path(host.volumes[0]["path"]), folder / "before"
        shutil.copyfile(volume, before)
        with Path(host.srl["path"]).open("rb") as file:
            header = file.read(HEADER_AREA_BYTES)
        rows = []
        for cold in (True, False):
            starts = [start_once(host, header, cold=cold) for _ in range(rounds)]
            took, cpu, dd = (statistics.median(values) for values in
                             zip(*((s.start_s, s.cpu_s, s.read_s) for s in starts), strict=True))
            rows.append(f"| {block_bytes >> 10} KiB | {log_bytes / MIB:,.0f} MiB | {'cold' if cold else 'warm'} | "
                        f"{took:.1f} | {min(s.start_s for s in starts):.1f}–{max(s.start_s for s in starts):.1f} | "
                        f"{cpu:.1f} | {dd:.1f} | {took / dd:.1f} | {max(s.peak_mib for s in starts):.0f} |")
        if not same_bytes(volume, before):
            raise BenchError("the volume is not what the log made of it before")
        return rows
    finally:
        host.close()
        shutil.rmtree(folder)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.recovery", description="start after a crash with a full log")
    parser.add_argument("--size-mib", type=int, default=2048, help="of the ring")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loads", default=",".join(LOADS))
    parser.add_argument("--place", type=Path, default=Path("/var/tmp"))
    chosen = parser.parse_args(argv)
    print(f"{os.cpu_count()} cores, load from elsewhere at the start {os.getloadavg()[0]:.1f}; medians of "
          f"{chosen.rounds} starts\n")
    print("| writes | log to replay | cache | start to serving s | spread s | CPU s | dd s | ratio | peak RSS MiB |\n"
          "|---|---|---|---|---|---|---|---|---|")
    try:
        for name in chosen.loads.split(","):
            for row in measure(chosen.place, chosen.size_mib, LOADS[name], chosen.rounds):
                print(row, flush=True)
    except BenchError as error:
        print(f"no measurement: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
