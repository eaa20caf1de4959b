"""volrep's limits at the scale of a simulated world: everything smaller by the same kind of factor.

A ring of 64 KiB and regions of 4 KiB meet in seconds what a ring of 2 GiB meets in days. Only sizes that bound how much
is handled at once are scaled; no rule is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from volrep.link import receiver, sender
from volrep.log import ring
from volrep.rvg import changes, copyin, maps, primary, reads, resync

REGION_BYTES = 4 << 10
_SCALED: tuple[tuple[ModuleType, str, object], ...] = (
    (ring, "SRL_MIN_BYTES", ring.HEADER_AREA_BYTES + (32 << 10)),
    (primary, "BATCH_COMMIT_BYTES", 8 << 10),
    (reads, "FROM_FILE_BYTES", 1 << 10),
    (sender, "LOG_BODY_MAX", 8 << 10),
    (receiver, "COMMIT_NOW_BYTES", 2 << 10),
    (receiver, "COMMIT_AMID_BYTES", 8 << 10),
    (resync, "REGION_BYTES", REGION_BYTES),
    (changes, "REGION_BYTES", REGION_BYTES),
    (resync, "_ZEROES", bytes(REGION_BYTES)),
    (resync, "REGION_WINDOW_BYTES", 128 << 10),
    (resync, "ZERO_MAX_BYTES", 16 << 10),
    (maps, "REGION_BYTES", REGION_BYTES),
    (copyin, "REGION_SYNC_BYTES", 16 << 10),
)


@contextmanager
def scaled() -> Iterator[None]:
    before = [(module, name, getattr(module, name)) for module, name, _ in _SCALED]
    for module, name, value in _SCALED:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
