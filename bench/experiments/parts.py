"""Where the slowest hundredth of the writes at half load comes from: the same load with the copy, or all, in memory.

What is left when nothing touches a disk is the machine: its scheduler, and the host that takes its cores away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar, NamedTuple

from bench.contenders.disk import Disk
from bench.contenders.nbdkit import Nbdkit
from bench.cost import HostTime, begin, cost_of
from bench.errors import BenchError
from bench.experiments.base import Experiment, scratch, workers
from bench.load import WORKLOADS, fill, fio_target, run_load
from bench.rounds import Plan, quiesce
from bench.sample import Row, Sample
from tests.system.pair import Rds

MEMORY = Path("/dev/shm")
SRL_BYTES = 512 << 20  # checkpoints come after 128 MiB; three of them and their volumes lie in memory
_RATE, _LOAD = WORKLOADS["write-qd32"], WORKLOADS["half-load"]


class Part(NamedTuple):
    name: str
    target: Sequence[str]
    pids: Sequence[int]
    rds: Rds | None = None


class HalfLoadParts(Experiment):
    """Everybody gets the rate of which volrep-async, all on the disk, reached twice as much in this round."""

    rows = (
        Row("half-load-parts", "4 KiB random writes at one rate, half of volrep-async's: p99", "µs p99", "volrep-async",
            less_is_better=True),
        Row("half-load-steal", "CPU time that was wanted meanwhile and not given by the host", "%", "volrep-async",
            less_is_better=True),
    )
    promises: ClassVar[dict[str, str]] = {
        "copy in memory": "durable here; the copy is on no disk", "all in memory": "nothing is on a disk"}

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        if not MEMORY.is_dir():
            raise BenchError(f"there is no {MEMORY} to put files into memory")
        with ExitStack() as stack:
            parts = self._parts(folder, stack.enter_context(scratch(MEMORY)), plan, stack)
            (whole,) = (part for part in parts if part.name == "volrep-async")
            for number in range(1, plan.rounds + 1):
                full = run_load(_RATE, whole.target, plan.size_bytes, plan.seconds, number)
                self._settle(whole, folder)
                for part in parts if number % 2 else reversed(parts):
                    yield from self._measure(part, folder, plan, number, full.per_s / 2)

    def _parts(self, folder: Path, memory: Path, plan: Plan, stack: ExitStack) -> list[Part]:
        def volrep(name: str, secondaries: int, in_memory: tuple[str, ...]) -> Part:
            def file_of(host: str, file: str, size_bytes: int) -> Path:
                path = (memory if host in in_memory else folder) / f"{name}-{host}-{file}".replace(" ", "-")
                with path.open("wb") as made:
                    made.truncate(size_bytes)
                return path

            rds = Rds(folder / name.replace(" ", "-"), secondaries=secondaries, volumes=[plan.size_bytes],
                      srl_bytes=SRL_BYTES, attributes={"encryption": "off"}, file_of=file_of)
            stack.callback(rds.close)
            rds.start()
            rds.startrep("blank")
            rds.wait_up_to_date()
            return Part(name, fio_target(rds.primary.uri()), workers(rds), rds)

        parts = []
        for peer in (Disk("disk-dsync", durable=True), Nbdkit("nbdkit", fua=False)):
            stack.callback(peer.stop)
            (folder / peer.name).mkdir()
            peer.start(folder / peer.name, plan.size_bytes)
            parts.append(Part(peer.name, peer.target(), peer.pids()))
        parts += [volrep("volrep-alone", 0, ()), volrep("volrep-async", 1, ()),
                  volrep("copy in memory", 1, ("tokyo",)), volrep("all in memory", 1, ("london", "tokyo"))]
        for part in parts:
            fill(part.target, plan.size_bytes)
            self._settle(part, folder)
        return parts

    @staticmethod
    def _settle(part: Part, folder: Path) -> None:
        if part.rds is not None:
            part.rds.wait_up_to_date()
        quiesce(folder)

    def _measure(self, part: Part, folder: Path, plan: Plan, number: int, rate_per_s: float) -> Iterator[Sample]:
        cost, host = begin(part.pids), HostTime.now()
        load = run_load(_LOAD, part.target, plan.size_bytes, plan.seconds, number, rate_per_s=rate_per_s)
        steal = HostTime.now().stolen_part(host)
        self._settle(part, folder)
        after = cost_of(part.pids)
        yield Sample("half-load-parts", part.name, number, load.p99_us, load.operations, load.p50_us, load.p99_us,
                     after.cpu_s - cost.cpu_s, after.rss_bytes)
        yield Sample("half-load-steal", part.name, number, 100 * steal)
