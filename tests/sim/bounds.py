"""Memory is bounded: what a worker may hold at once, looked at after each turn of its loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.loop import Violation
from volrep.link.logbuffer import BUFFER_BYTES
from volrep.link.outbox import CONTROL_MAX
from volrep.rvg import limits, primary

if TYPE_CHECKING:
    from tests.sim.host import Process


def check_memory(process: Process) -> None:
    """Raises Violation."""
    worker = process.worker
    if worker.primary is not None:
        here = worker.primary
        clients = sum(len(e.connections) for e in process.exports)
        most_bytes = vars(primary)["BATCH_COMMIT_BYTES"] + process.receive_bytes
        _within(here._batch_bytes, most_bytes, "bytes in the Primary's batch")
        _within(len(here._waiting), clients * process.in_flight_max, "completions that wait for a Secondary")
        _within(len(here.lag._lsns), limits.LAG_SAMPLES_MAX + 1, "lag samples")
        for link in here.links.values():
            if link.sender is not None:
                _within(len(link.sender.outbox._items), CONTROL_MAX, "frames in an outbox")
    elif worker.secondary is not None:
        _within(len(worker.secondary._buffer.view), BUFFER_BYTES, "bytes of a log buffer")


def _within(found: int, limit: int, what: str) -> None:
    if found > limit:
        raise Violation(f"{found} {what}, the limit is {limit}")
