"""The kinds of faults, each with the scene it needs: the rows of the table in docs/robustness.md."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tests.torture import rounds
from tests.torture.host_rounds import DatabaseStage, FioStage, database_round, fio_round
from tests.torture.power import PowerStage
from tests.torture.scene import make_scene

SPARSE_BYTES = 256 << 20  # two volumes on two hosts are more than their file system has

SYNC_BYTES = 32 << 20  # a copy takes some tenths of a second


class Stage(Protocol):
    """What rounds are played on. `keep` puts everything that explains a failure into a folder."""

    text: str
    kills: int

    @property
    def writes(self) -> int: ...

    def keep(self, evidence: Path) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault. `rounds` are played on one stage before a new one is made."""

    title: str
    make: Callable[[Path, random.Random], Stage]
    play: Callable[[Any], str]
    rounds: int


KINDS: dict[str, Kind] = {
    "kill": Kind("SIGKILL of workers under stamped writes", make_scene, rounds.kill_round, 30),
    "slow": Kind("SIGKILL while a volume's syncs take 1.5 s", make_scene, rounds.slow_round, 10),
    "sync": Kind("SIGKILL in the middle of a synchronization", partial(make_scene, volume_bytes=SYNC_BYTES),
                 rounds.sync_round, 15),
    "short": Kind("short reads and writes, and SIGKILL", make_scene, rounds.short_round, 10),
    "call": Kind("a system call of a running worker fails", make_scene, rounds.call_round, 10),
    "start": Kind("a system call fails during recovery", make_scene, rounds.start_round, 10),
    "layer": Kind("the layer under a file fails its writes", partial(make_scene, file_of=rounds.failing_file),
                  rounds.layer_round, 10),
    "full": Kind("the file system under sparse volumes is full", partial(make_scene, volume_bytes=SPARSE_BYTES),
                 rounds.full_round, 6),
    "power": Kind("power loss at any recorded write or flush", PowerStage, PowerStage.lose_power, 15),
    "database": Kind("SIGKILL of anything, and cut links, under PostgreSQL and SQLite", DatabaseStage, database_round,
                     12),
    "fio": Kind("SIGKILL of all but the Primary's host, and cut links, under fio", FioStage, fio_round, 2),
}
