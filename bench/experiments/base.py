"""What an experiment is: rows that need more than a load on a volume; it starts and stops what it needs itself."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.rounds import Plan, Say
from bench.sample import Row, Sample
from tests.system.pair import Rds


@dataclass(frozen=True, slots=True)
class Extent:
    """How much an experiment does; `--quick` does less, `--large` what the targets name."""

    drain_mib: int
    volume_mib: int  # of autosync and the copying peers
    pgbench_scale: int
    pgbench_seconds: float
    stall_seconds: float


FULL = Extent(drain_mib=1024, volume_mib=1024, pgbench_scale=50, pgbench_seconds=6, stall_seconds=8)
LARGE = Extent(drain_mib=4096, volume_mib=8192, pgbench_scale=50, pgbench_seconds=30, stall_seconds=600)
QUICK = Extent(drain_mib=256, volume_mib=256, pgbench_scale=5, pgbench_seconds=2, stall_seconds=2)


class Experiment(ABC):
    """`rows` it fills, `promises` of the contenders that only it knows."""

    rows: ClassVar[tuple[Row, ...]]
    promises: ClassVar[Mapping[str, str]] = {}

    def __init__(self, extent: Extent) -> None:
        self.extent = extent

    @abstractmethod
    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        """Start, measure in rounds that alternate between contenders, stop. Raises BenchError."""

    def run(self, plan: Plan, say: Say) -> list[Sample]:
        units = {row.name: row.unit for row in self.rows}
        samples = []
        with scratch(plan.place) as folder:
            for sample in self.rounds(folder, plan):
                say(f"round {sample.round}/{plan.rounds}  {sample.row:<15} {sample.contender:<18} "
                    f"{sample.value:>10,.3g} {units[sample.row]}")
                samples.append(sample)
        return samples


def workers(rds: Rds) -> list[int]:
    """The pids of the workers that run, the Primary's first."""
    return [host.process.pid for host in rds.hosts if host.process is not None]


@contextmanager
def scratch(place: Path) -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vrb", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
