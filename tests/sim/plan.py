"""A run on paper: the setting, and every action of operator and faults with its moment. JSON, so that it can be kept.

The seed decides the plan, and a second stream of chance decides delays and orders while it runs. So actions can be
struck out of a plan one by one while the rest stays.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any

from tests.sim.application import Load

Action = tuple[float, str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Setting:
    """The world of a run. Sizes are small so that rings wrap and logs overflow within seconds."""

    seconds: float = 20.0
    ring_bytes: int = 256 << 10
    volume_bytes: tuple[int, ...] = (64 << 10, 96 << 10)
    secondaries: int = 2
    delays_s: tuple[float, float] = (1e-4, 2e-3)
    window_bytes: int = 32 << 10
    cold: float = 0.1  # part of reads that go to the disk
    tends: float = 0.5  # how often, of once a second, the operator looks after links that have gone STALE
    start: str = "autosync"  # how the operator starts replication; "blank" needs blank volumes
    attributes: dict[str, str] = field(default_factory=dict)
    load: Load = field(default_factory=Load)
    roles: bool = False  # every pair of hosts has a link, and the Primary's role moves (`rolling`)
    startup: str = "serve"  # what a starting Primary does about hosts that it cannot reach


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    scenario: str
    setting: Setting
    actions: tuple[Action, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        found = json.loads(text)
        setting = found["setting"]
        setting["load"] = Load(**setting["load"])
        for name in ("volume_bytes", "delays_s"):
            setting[name] = tuple(setting[name])
        return cls(found["seed"], found["scenario"], Setting(**setting),
                   tuple((at, kind, args) for at, kind, args in found["actions"]))

    def without(self, gone: set[int]) -> Plan:
        return replace(self, actions=tuple(a for i, a in enumerate(self.actions) if i not in gone))


def times(random: Random, count: float, seconds: float) -> list[float]:
    """About `count` moments of a run, by chance."""
    whole = int(count) + (random.random() < count % 1)
    return sorted(round(random.uniform(0.3, seconds), 6) for _ in range(whole))
