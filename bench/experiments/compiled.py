"""What needs more than a load, with the compiled loop in turn with volrep: a line with a delay, and a drain."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

from bench.contenders.base import free_port
from bench.contenders.compiled import CompiledPair
from bench.cost import Cost
from bench.experiments.copying import SRL_SPARE_BYTES, Drain, Way, timed
from bench.experiments.distance import VOLUME_BYTES, Distance, End, line_to
from bench.sample import Row
from bench.waiting import seconds_until


def _start(pair: CompiledPair, folder: Path, size_bytes: int, stack: ExitStack) -> None:
    """Its volume written once, its copy complete; `stack` ends it."""
    here = folder / pair.name
    here.mkdir()
    stack.callback(pair.stop)
    pair.start(here, size_bytes)
    pair.fill()
    pair.settle_s()


class CompiledDistance(Distance):
    rows = (
        Row("round-trip-compiled", "synchronous 4 KiB write, depth 1, beyond a round trip of 5 ms: median", "ms",
            "volrep-sync", less_is_better=True),
        Row("line-compiled", "that line itself: one byte there and back", "ms", "proxy", less_is_better=True),
    )

    def ends(self, folder: Path, stack: ExitStack) -> list[End]:
        pair = CompiledPair("compiled-sync", synchronous=True, ring_bytes=VOLUME_BYTES)
        pair.port = free_port()
        pair.link_port, ping_port = line_to(pair.port, stack)
        _start(pair, folder, VOLUME_BYTES, stack)
        return [*super().ends(folder, stack), End(pair.name, pair.target(), pair.pids(), ping_port)]


class CompiledDrain(Drain):
    rows = (Row("drain-compiled", "drain of a backlog of 1 MiB writes", "MiB/s", "nbdcopy"),)
    promises: ClassVar[dict[str, str]] = {**Drain.promises, "compiled-async": "durable here; the copy follows in order"}

    def ways(self, folder: Path, stack: ExitStack) -> list[Way]:
        bytes_each = self.extent.drain_mib << 20
        pair = CompiledPair("compiled-async", synchronous=False, ring_bytes=bytes_each + SRL_SPARE_BYTES)
        _start(pair, folder, bytes_each, stack)

        def work() -> float:
            pair.say("resume")
            return seconds_until(pair.settled, "the backlog to be drained")

        def drain() -> tuple[float, Cost]:
            pair.say("pause")
            pair.fill()
            return timed(pair.pids(), work)

        return [*super().ways(folder, stack), Way(pair.name, drain, tuple(pair.copies()))]
