"""Moving many bytes at once: a backlog after an outage, a first copy, and (peers only) the difference of two copies.

Workers without engines, since their status is asked in a millisecond and a command takes a quarter of a second.
volrep's bytes count when they are applied and durable in the Secondary's log, the peers' when the target is flushed.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import ClassVar, NamedTuple

from bench.contenders.base import make_file
from bench.contenders.nbdkit import Nbdkit
from bench.cost import Cost, begin, cost_of
from bench.errors import BenchError
from bench.experiments.base import Experiment, scratch, workers
from bench.load import fill, fio_target
from bench.rounds import Plan, quiesce, same_bytes
from bench.sample import Row, Sample
from bench.waiting import seconds_until
from tests.system.pair import Rds

STRIPE_BYTES = 4 << 20  # data and holes of a half-allocated volume alternate at this length
BLOCK_BYTES = 64 << 10
CHANGED_ONE_IN = 50  # blocks of a copy that differ
SRL_SPARE_BYTES = 256 << 20  # beyond the backlog, with its headers, so that the ring does not overflow
COPY_DEADLINE_S = 300.0


def _timed_copy(argv: list[str], pids: list[int]) -> tuple[float, Cost]:
    """Seconds and cost of a copying program and the servers it used; its own CPU counts, it is a server's work."""
    before = begin(pids)
    children = os.times()
    start_s = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=COPY_DEADLINE_S,
                          check=False)
    taken_s = time.monotonic() - start_s
    if done.returncode != 0:
        raise BenchError(f"{argv[0]}: exit {done.returncode}\n{done.stderr[-1500:]}")
    after, now = cost_of(pids), os.times()
    own_s = now.children_user + now.children_system - children.children_user - children.children_system
    return taken_s, Cost(after.cpu_s - before.cpu_s + own_s, after.rss_bytes)


def timed(pids: list[int], work: Callable[[], float]) -> tuple[float, Cost]:
    """The seconds that `work` returns, and what it cost these processes."""
    before = begin(pids)
    taken_s = work()
    after = cost_of(pids)
    return taken_s, Cost(after.cpu_s - before.cpu_s, after.rss_bytes)


def _sample(row: Row, contender: str, number: int, mib: float, taken: tuple[float, Cost]) -> Sample:
    taken_s, cost = taken
    return Sample(row.name, contender, number, mib / taken_s, cpu_s=cost.cpu_s, rss_bytes=cost.rss_bytes)


class Way(NamedTuple):
    """One contender of a drain: `drain` returns seconds and cost; `copies` are equal at the end."""

    name: str
    drain: Callable[[], tuple[float, Cost]]
    copies: tuple[Path, ...] = ()


class Drain(Experiment):
    """The link is paused, the volume written once, the link resumed: until the Secondary has it all."""

    rows = (Row("drain", "drain of a backlog of 1 MiB writes", "MiB/s", "nbdcopy"),)
    promises: ClassVar[dict[str, str]] = {"nbdcopy": "durable at the end (--flush); no order before"}

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        mib = self.extent.drain_mib
        with ExitStack() as stack:
            ways = self.ways(folder, stack)
            for number in range(1, plan.rounds + 1):
                for way in ways:
                    quiesce(folder)
                    yield _sample(self.rows[0], way.name, number, mib, way.drain())
            for way in ways:
                if way.copies and not same_bytes(*way.copies):
                    raise BenchError(f"drain: the copy of {way.name} differs")

    def ways(self, folder: Path, stack: ExitStack) -> list[Way]:
        """Started, their volumes written once; `stack` ends them."""
        volrep = self._volrep(folder / "rds", stack)
        return [volrep, self._nbdcopy(folder / "peer", volrep.copies[0], stack)]

    def _volrep(self, folder: Path, stack: ExitStack) -> Way:
        mib = self.extent.drain_mib
        rds = Rds(folder, volumes=[mib << 20], srl_bytes=(mib << 20) + SRL_SPARE_BYTES,
                  attributes={"encryption": "off"})
        stack.callback(rds.close)
        rds.start()
        rds.startrep("blank")
        rds.wait_up_to_date()
        fill(fio_target(rds.primary.uri()), mib << 20)
        rds.wait_up_to_date()
        (link,) = rds.primary.links
        which = {"link_id": link["link_id"]}

        def work() -> float:
            rds.primary.call("link.resume", which)
            return seconds_until(rds.up_to_date, "the backlog to be drained")

        def drain() -> tuple[float, Cost]:
            rds.primary.call("link.pause", which)
            fill(fio_target(rds.primary.uri()), mib << 20)
            return timed(workers(rds), work)

        return Way("volrep-async", drain, tuple(Path(h.volumes[0]["path"]) for h in rds.hosts))

    def _nbdcopy(self, folder: Path, source: Path, stack: ExitStack) -> Way:
        peer = Nbdkit("nbdcopy", fua=False)
        stack.callback(peer.stop)
        folder.mkdir()
        peer.start(folder, self.extent.drain_mib << 20)
        fill(peer.target(), self.extent.drain_mib << 20)
        return Way(peer.name, lambda: _timed_copy(["nbdcopy", "--flush", str(source), peer.uri], peer.pids()))


class Autosync(Experiment):
    """`startrep -a` of a volume whose every second stripe was never written, to a Secondary that is new each time."""

    rows = (Row("autosync", "first copy, 50 % allocated", "MiB/s", "nbdcopy"),)
    promises: ClassVar[dict[str, str]] = {"volrep-autosync": "consistent, durable at the end; writes go on meanwhile"}

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        size_bytes = self.extent.volume_mib << 20
        for number in range(1, plan.rounds + 1):
            with scratch(folder) as here:
                yield _sample(self.rows[0], "volrep-autosync", number, self.extent.volume_mib / 2,
                              self._autosync(here, size_bytes))
            with scratch(folder) as here:
                yield _sample(self.rows[0], "nbdcopy", number, self.extent.volume_mib / 2,
                              self._nbdcopy(here, size_bytes))

    def _autosync(self, folder: Path, size_bytes: int) -> tuple[float, Cost]:
        rds = Rds(folder / "rds", volumes=[size_bytes], attributes={"encryption": "off"})
        with closing(rds):
            _half_allocate(Path(rds.primary.volumes[0]["path"]), size_bytes)
            rds.start()

            def work() -> float:
                rds.startrep("autosync")
                return seconds_until(rds.up_to_date, "the first copy")

            taken = timed(workers(rds), work)
            if not same_bytes(*(Path(h.volumes[0]["path"]) for h in rds.hosts)):
                raise BenchError("autosync: the Secondary's copy differs")
            return taken

    def _nbdcopy(self, folder: Path, size_bytes: int) -> tuple[float, Cost]:
        ends = [Nbdkit(name, fua=False) for name in ("source", "target")]
        try:
            for end in ends:
                (folder / end.name).mkdir()
                end.start(folder / end.name, size_bytes)
            _half_allocate(folder / "source" / "volume", size_bytes)
            return _timed_copy(["nbdcopy", "--flush", ends[0].uri, ends[1].uri], [p for e in ends for p in e.pids()])
        finally:
            for end in ends:
                end.stop()


class Difference(Experiment):
    """Bringing an old copy up to date. volrep has no such mode yet: its first copy of everything stands beside it."""

    rows = (Row("difference", f"old copy, 1 in {CHANGED_ONE_IN} blocks of 64 KiB changed (volrep: no mode for it yet)",
                "MiB/s", "rsync --inplace"),)
    promises: ClassVar[dict[str, str]] = {"rsync --inplace": "page cache at the end; no order before"}

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        mib = self.extent.volume_mib
        source, copy = (make_file(folder / name, mib << 20) for name in ("source", "copy"))
        for path in (source, copy):
            _half_allocate(path, mib << 20)
        for number in range(1, plan.rounds + 1):
            with source.open("r+b") as file:
                for offset in range(0, mib << 20, CHANGED_ONE_IN * BLOCK_BYTES):
                    os.pwrite(file.fileno(), os.urandom(BLOCK_BYTES), offset)
            quiesce(folder)
            taken = _timed_copy(["rsync", "--inplace", "--no-whole-file", "--ignore-times", str(source), str(copy)], [])
            yield _sample(self.rows[0], "rsync --inplace", number, mib, taken)
            if not same_bytes(source, copy):
                raise BenchError("rsync: the copy differs")


def _half_allocate(path: Path, size_bytes: int) -> None:
    """Every second stripe, through the page cache and on the disk."""
    stripe = os.urandom(STRIPE_BYTES)
    with path.open("r+b") as file:
        for offset in range(0, size_bytes, 2 * STRIPE_BYTES):
            os.pwrite(file.fileno(), stripe, offset)
        os.fdatasync(file.fileno())
