"""Values for shell completion: live from the engines, within a short time, and silently nothing otherwise."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from volrep.cli.verbs import TABLE
from volrep.model.errors import VolrepError
from volrep.rds.inventory import Inventory
from volrep.rds.places import config_dir, state_dir
from volrep.rds.world import World

DEADLINE_S = 2.0  # a shell that hangs longer on TAB is worse than no values


def values(kind: str, typed: str, options: Mapping[str, Any]) -> list[str]:
    """What may stand there, starting with what is typed. Never raises for what an operator can cause."""
    if kind == "volumes":  # comma-separated: complete the last one
        before, comma, typed = typed.rpartition(",")
        return [before + comma + value for value in values("volume", typed, options)]
    if kind == "path":
        return [str(path) + ("/" if path.is_dir() else "") for path in Path().glob(f"{typed}*")] \
            if not typed.startswith("/") else [str(path) for path in Path("/").glob(f"{typed[1:]}*")]
    if kind not in _SOURCES:
        return []
    try:
        found = _SOURCES[kind](options)
    except VolrepError:
        return []  # a shell shows no errors while completing
    return sorted({value for value in found if value.startswith(typed)})


def _inventory() -> Inventory:
    root = os.geteuid() == 0
    return Inventory(config_dir(os.environ, root=root), state_dir(os.environ, root=root))


def _world(options: Mapping[str, Any]) -> World:
    from volrep.rds.fleet import Fleet

    with Fleet(_inventory(), "completion") as fleet:
        return fleet.observe(options.get("dg") or "", deadline_s=DEADLINE_S)


def _secondaries(options: Mapping[str, Any]) -> list[str]:
    rvg = (options.get("words") or [""])[0]
    return [name for rds in _world(options).all_rds(options.get("dg") or "", [rvg]) for name in rds.secondary_names()]


_SOURCES: dict[str, Callable[[Mapping[str, Any]], list[str]]] = {
    "host": lambda _options: [host.name for host in _inventory().hosts()],
    "dg": lambda options: _world({k: v for k, v in options.items() if k != "dg"}).dgs(),
    "rvg": lambda options: [rds.name for rds in _world(options).all_rds(options.get("dg") or "")],
    "secondary": _secondaries,
    "volume": lambda options: [v.config.name for h in _world(options).hosts for v in h.volumes],
    "verb": lambda _options: sorted({verb.name.split()[0] for verb in TABLE}),
    "shell": lambda _options: ["bash", "zsh", "fish"],
}
