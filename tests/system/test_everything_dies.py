"""SIGKILL of everything that runs on the Primary at once: engine and worker, under writes."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.one_engine import Engine
from tests.system.stamped import StampedWrites
from volrep.engine.api import ExportAdd

KILLS = int(os.environ.get("VOLREP_KILLS", "12"))  # in CI; 100 take two minutes


@pytest.fixture
def engine() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="ve") as folder:
        made = Engine(Path(folder))
        yield made
        made.client.close()
        made.process.stop()


def test_completed_writes_survive_sigkill_of_engine_and_worker_together(engine: Engine) -> None:
    engine.make_rvg()
    uri = engine.client.call("export.add", ExportAdd(dg="dg", volume="dv")).uri
    volume = Path(engine.rvg().config.volumes[0].path)
    writes = StampedWrites(seed=3)
    for _ in range(KILLS):
        pids = [engine.rvg_up().worker_pid, engine.process.pid]
        writes.numbers.shuffle(pids)

        def kill(doomed: list[int] = pids) -> None:
            for pid in doomed:
                os.kill(pid, signal.SIGKILL)

        writes.write_until_killed(uri, kill)
        engine.restart_after_kill()
        engine.rvg_up(not_pid=max(pids))
        writes.check(volume.read_bytes())
    assert writes.last > KILLS * 16
