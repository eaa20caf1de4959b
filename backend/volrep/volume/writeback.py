"""Dirty pages of a volume go to the disk in small portions, before the sync that would write them all at once.

A sync of a quarter of a gigabyte fills the disk's queue for a tenth of a second and more, and every write to the SRL
waits behind it. So what is dirty is written in portions that keep the disk busy for about PORTION_S, each followed by a
pause as long: then the SRL finds the disk free. The sync that follows has what became dirty meanwhile.

It ends early when somebody waits for the checkpoint (`hurry`), or after GENTLE_MAX_S.
"""

from __future__ import annotations

from typing import Protocol

from volrep.ports.clock import Clock
from volrep.ports.files import BlockFile

PORTION_S = 0.0005
PORTION_BYTES_MIN, PORTION_BYTES_MAX = 64 << 10, 8 << 20
GENTLE_MAX_S = 4.0  # below rvg.limits.CHECKPOINT_INTERVAL_S
ENOUGH_BYTES = 512 << 10  # what a sync may find
_RANGE_BYTES_MIN, _RANGE_BYTES_MAX = 64 << 10, 1 << 30


class Hurry(Protocol):
    """As `threading.Event`."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


def write_back_gently(file: BlockFile, clock: Clock, hurry: Hurry) -> None:
    """Blocking, for a thread of its own. Where the system cannot say what is dirty it does nothing. Raises OSError.

    One pass: what becomes dirty behind it is left to the sync. More passes wrote the same blocks again.
    """
    if file.dirty_bytes(0, file.size_bytes) <= ENOUGH_BYTES:
        return
    end_s = clock.monotonic_s() + GENTLE_MAX_S
    portion_bytes = length = PORTION_BYTES_MIN
    offset = 0
    while offset < file.size_bytes and not hurry.is_set() and clock.monotonic_s() < end_s:
        length = min(length, file.size_bytes - offset)
        dirty_bytes = file.dirty_bytes(offset, length)
        if dirty_bytes > portion_bytes and length > _RANGE_BYTES_MIN:
            length //= 2
            continue
        if dirty_bytes:
            portion_bytes = _write_portion(file, offset, length, portion_bytes, clock, hurry)
        offset += length
        if dirty_bytes <= portion_bytes // 2:
            length = min(length * 2, _RANGE_BYTES_MAX)


def _write_portion(file: BlockFile, offset: int, length: int, portion_bytes: int, clock: Clock, hurry: Hurry) -> int:
    """Write and pause; how large the next portion should be."""
    start_s = clock.monotonic_s()
    file.write_back(offset, length)
    busy_s = clock.monotonic_s() - start_s
    hurry.wait(busy_s)
    if busy_s > PORTION_S:
        return max(PORTION_BYTES_MIN, portion_bytes // 2)
    return min(PORTION_BYTES_MAX, portion_bytes * 2) if busy_s < PORTION_S / 2 else portion_bytes
