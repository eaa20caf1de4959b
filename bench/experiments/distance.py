"""Synchronous writes over a line with a round trip of 5 ms: how much longer than the line itself they take.

The line is `bench.line`, a proxy in user space. What it adds itself does not count: the line is measured, too, with a
byte that an echo server returns through the same proxy, and what counts is the difference.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import ClassVar, NamedTuple

from bench.contenders.base import free_port
from bench.cost import begin, cost_of
from bench.experiments.base import Experiment, workers
from bench.load import WORKLOADS, fill, fio_target, run_load
from bench.rounds import Plan
from bench.sample import Row, Sample
from bench.waiting import seconds_until
from tests.system.pair import Rds

ROUND_TRIP_S = 0.005
PINGS = 100
VOLUME_BYTES = 64 << 20


class End(NamedTuple):
    """A pair with the line between its two sides: synchronous, its volume written once."""

    name: str
    target: Sequence[str]  # for fio
    pids: Sequence[int]
    ping_port: int


class Distance(Experiment):
    rows = (
        Row("round-trip", "synchronous 4 KiB write, depth 1, beyond a round trip of 5 ms: median", "ms", "volrep-sync",
            less_is_better=True),
        Row("line", "that line itself: one byte there and back", "ms", "proxy", less_is_better=True),
    )
    promises: ClassVar[dict[str, str]] = {"proxy": "user space, asyncio"}

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        with ExitStack() as stack:
            ends = self.ends(folder, stack)
            for number in range(1, plan.rounds + 1):
                for end in ends:
                    yield from self._measure(end, number, plan.seconds)

    def ends(self, folder: Path, stack: ExitStack) -> list[End]:
        """Started; `stack` ends them."""
        return [_volrep(folder / "rds", stack)]

    def _measure(self, end: End, number: int, seconds: float) -> Iterator[Sample]:
        written, line = self.rows
        before_ms = _ping_ms(end.ping_port)
        cost = begin(end.pids)
        load = run_load(WORKLOADS["write-qd1"], end.target, VOLUME_BYTES, seconds, seed=number)
        after = cost_of(end.pids)
        line_ms = (before_ms + _ping_ms(end.ping_port)) / 2
        yield Sample(line.name, "proxy", number, line_ms)
        yield Sample(written.name, end.name, number, load.p50_us / 1000 - line_ms, load.operations, load.p50_us,
                     load.p99_us, after.cpu_s - cost.cpu_s, after.rss_bytes)


def line_to(port: int, stack: ExitStack) -> tuple[int, int]:
    """Start a line to `port` on this host: the port it begins at, and that of its echo. `stack` ends it."""
    begins_at, ping_port = free_port(), free_port()
    proxy = subprocess.Popen([sys.executable, "-m", "bench.line", str(begins_at), str(port), str(ping_port),
                              str(ROUND_TRIP_S)], stdin=subprocess.DEVNULL)
    stack.callback(proxy.wait)
    stack.callback(proxy.terminate)
    seconds_until(lambda: _listens(ping_port), "the proxy")  # which listens there last
    return begins_at, ping_port


def _volrep(folder: Path, stack: ExitStack) -> End:
    rds = Rds(folder, volumes=[VOLUME_BYTES], attributes={"encryption": "off", "synchronous": "override"})
    stack.callback(rds.close)
    port, ping_port = line_to(rds.secondaries[0].port, stack)
    rds.primary.links[0]["remote_port"] = port
    rds.start()
    rds.startrep("blank")
    target = fio_target(rds.primary.uri())
    fill(target, VOLUME_BYTES)
    rds.wait_up_to_date()
    seconds_until(lambda: rds.primary.status().links[0].current_mode == "synchronous",
                  "synchronous replication in force")
    return End("volrep-sync", target, workers(rds), ping_port)


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
