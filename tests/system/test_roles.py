"""The Primary role moves under PostgreSQL, over real SSH; `make role-torture ROUNDS=50` is the long form."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.torture.role_rounds import HOSTS, migration_round, takeover_round
from tests.torture.role_stage import RoleStage

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces, loop devices and mounts need root")


@pytest.mark.timeout(600)
def test_a_database_moves_with_the_role_planned_and_unplanned_and_the_third_host_follows() -> None:
    with RoleStage(Path("/var/tmp"), random.Random("ci"), names=HOSTS, synchronous=True) as stage:
        for _ in range(2):
            migration_round(stage)
        takeover_round(stage, synchronous=True)
        stage.rds.volrep("set", stage.rds.name, "synchronous=off")
        takeover_round(stage, synchronous=False)
        assert stage.committed > 0
