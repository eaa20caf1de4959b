"""Where the inventory and the local engine's state lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def config_dir(environ: Mapping[str, str], *, root: bool) -> Path:
    """$VOLREP_CONFIG_DIR, else the system's for root, else the user's."""
    if given := environ.get("VOLREP_CONFIG_DIR"):
        return Path(given)
    if root:
        return Path("/etc/volrep")
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    return Path(base) / "volrep"


def state_dir(environ: Mapping[str, str], *, root: bool) -> Path:
    """Of the local engine: $VOLREP_STATE, else the system's for root, else the user's."""
    if given := environ.get("VOLREP_STATE"):
        return Path(given)
    if root:
        return Path("/var/lib/volrep")
    base = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME", "/"), ".local", "state")
    return Path(base) / "volrep"
