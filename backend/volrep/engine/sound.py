"""Whether the configuration that is there can be all that there was.

A state directory remembers more than its database: the copy, a marker for each RVG whose SRL was made
(`made/RVG_ID`), volume files. A database that knows less than these has lost something, however intact it looks.
"""

from __future__ import annotations

import os

from volrep.engine.paths import StateDir
from volrep.engine.seal import COPY_NAME
from volrep.engine.store import Store
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages


def lost(paths: StateDir) -> str:
    """What shows that this state directory had a configuration; "" when an engine may begin with an empty one."""
    if (paths.root / COPY_NAME).exists():
        return f"there is a copy of it ({COPY_NAME})"
    if made := markers(paths):
        return f"RVGs were made here ({', '.join(made[:3])})"
    for folder in sorted((paths.root / "volumes").glob("*")):
        if folder.is_dir() and (files := sorted(os.listdir(folder))):
            return f"there are volumes ({folder.name}/{files[0]})"
    return ""


def markers(paths: StateDir) -> list[str]:
    """Ids of the RVGs whose SRLs were made by workers of this state directory."""
    return sorted(path.name for path in (paths.root / "made").glob("*") if not path.name.startswith("."))


def check_markers(paths: StateDir, store: Store) -> None:
    """Raises VR-1704 when an RVG that was made here is neither configured nor being released."""
    known = {rvg.rvg_id for rvg in store.rvgs()} | {rvg_id for rvg_id, _ in store.released()}
    if gone := [made for made in markers(paths) if made not in known]:
        raise VolrepError(messages.STORE_DAMAGED, path=store.path,
                          reason=f"it lacks RVGs that were made here ({', '.join(gone[:3])})")


def drop_markers(paths: StateDir, kept: set[str]) -> None:
    """Of RVGs that a rebuilt configuration does without. Raises OSError."""
    for made in markers(paths):
        if made not in kept:
            (paths.root / "made" / made).unlink(missing_ok=True)
