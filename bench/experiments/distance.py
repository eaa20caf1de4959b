"""Synchronous writes over a line with a round trip of 5 ms: how much longer than the line itself they take.

The line is `bench.line`, a proxy in user space. Its timers are late by up to a millisecond; therefore the line is
measured, too, with a byte that an echo server returns through the same proxy, and what counts is the difference.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import ClassVar

from bench.contenders.base import free_port
from bench.cost import begin, cost_of
from bench.experiments.base import Experiment, seconds_until
from bench.load import WORKLOADS, fill, run_load
from bench.rounds import Plan
from bench.sample import Row, Sample
from tests.system.pair import Rds

ROUND_TRIP_S = 0.005
PINGS = 100
VOLUME_BYTES = 64 << 20


class Distance(Experiment):
    rows = (
        Row("round-trip", "synchronous 4 KiB write, depth 1, beyond a round trip of 5 ms: median", "ms", "volrep-sync",
            less_is_better=True),
        Row("line", "that line itself: one byte there and back", "ms", "proxy", less_is_better=True),
    )
    promises: ClassVar[dict[str, str]] = {"proxy": "user space, asyncio"}

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        rds = Rds(folder / "rds", volumes=[VOLUME_BYTES], attributes={"encryption": "off", "synchronous": "override"})
        port, ping_port = free_port(), free_port()
        proxy = subprocess.Popen([sys.executable, "-m", "bench.line", str(port), str(rds.secondaries[0].port),
                                  str(ping_port), str(ROUND_TRIP_S)], stdin=subprocess.DEVNULL)
        try:
            with closing(rds):
                seconds_until(lambda: _listens(port) and _listens(ping_port), "the proxy")
                rds.primary.links[0]["remote_port"] = port
                rds.start()
                rds.startrep("blank")
                target = ["--ioengine=nbd", f"--uri={rds.primary.uri()}"]
                fill(target, VOLUME_BYTES)
                rds.wait_up_to_date()
                seconds_until(lambda: rds.primary.status().links[0].current_mode == "synchronous",
                              "synchronous replication in force")
                pids = [host.process.pid for host in rds.hosts if host.process is not None]
                for number in range(1, plan.rounds + 1):
                    before_ms = _ping_ms(ping_port)
                    cost = begin(pids)
                    load = run_load(WORKLOADS["write-qd1"], target, VOLUME_BYTES, plan.seconds, seed=number)
                    after = cost_of(pids)
                    line_ms = (before_ms + _ping_ms(ping_port)) / 2
                    yield Sample("line", "proxy", number, line_ms)
                    yield Sample("round-trip", "volrep-sync", number, load.p50_us / 1000 - line_ms, load.operations,
                                 load.p50_us, load.p99_us, after.cpu_s - cost.cpu_s, after.rss_bytes)
        finally:
            proxy.terminate()
            proxy.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ping_ms(port: int) -> float:
    """Median time of one byte to the echo server and back."""
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        taken = []
        for _ in range(PINGS):
            start_s = time.perf_counter()
            line.sendall(b"?")
            line.recv(1)
            taken.append(time.perf_counter() - start_s)
    return median(taken) * 1000
