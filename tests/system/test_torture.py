"""A short slice of every kind of torture; `make torture MINUTES=...` runs them without end."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest

from tests.torture.kinds import KINDS
from tests.torture.ledger import Violation
from tests.torture.power import PowerStage
from tests.torture.run import Run, summary

ROUNDS = {"kill": 6, "database": 3, "fio": 1}  # the others: 2
DEADLINE_S = 240
NEVER_SYNCS = [sys.executable, "-m", "tests.torture.lying_worker"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices, mounts and strace need root")


@pytest.mark.parametrize("kind", KINDS)
def test_no_promise_is_broken(kind: str, tmp_path: Path) -> None:
    run = Run("ci", Path("/var/tmp"), tmp_path, print)
    run.play([kind], time.monotonic() + DEADLINE_S, rounds=ROUNDS.get(kind, 2))
    assert run.broken is None, f"{run.broken}\n{summary(run.tallies)}"
    assert run.tallies[kind].rounds == ROUNDS.get(kind, 2)
    assert run.tallies[kind].kills > 0


def _lose_power(stage: PowerStage, times: int) -> None:
    for _ in range(times):
        stage.lose_power()


def test_a_disk_that_only_pretends_to_sync_is_found_out(tmp_path: Path) -> None:
    """That power losses are looked at closely enough: here they must be noticed."""
    stage = PowerStage(Path("/var/tmp"), random.Random(3), program=NEVER_SYNCS, loses="london")
    try:
        with pytest.raises(Violation, match=r"lost|does not recover"):
            _lose_power(stage, times=10)
    finally:
        stage.close()
