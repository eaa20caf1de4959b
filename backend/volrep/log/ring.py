"""Where an LSN lies in the SRL file. It does no I/O.

Knows the layout below and the arithmetic of the smallest SRL. Must not know records or headers.

    0         first header slot   64 KiB
    65536     second header slot  64 KiB
    131072    the ring: LSN n lies at 131072 + n mod capacity; what is left of the file behind a
              multiple of 4096 bytes is not used
"""

from __future__ import annotations

from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.model.units import KIB, MIB

SLOT_BYTES = 64 * KIB
HEADER_AREA_BYTES = 2 * SLOT_BYTES
PAGE_BYTES = 4096
MIN_BATCHES, BATCH_MAX_BYTES = 4, 4 * MIB
# One batch being applied, one durable, one being written, one arriving: below four the stages of the
# data path would wait for each other with every write.
SRL_MIN_BYTES = HEADER_AREA_BYTES + MIN_BATCHES * BATCH_MAX_BYTES


class Ring:
    """The ring of an SRL of `size_bytes` (the whole file)."""

    __slots__ = ("capacity_bytes",)

    def __init__(self, size_bytes: int) -> None:
        self.capacity_bytes = (size_bytes - HEADER_AREA_BYTES) // PAGE_BYTES * PAGE_BYTES
        assert self.capacity_bytes > 0, f"an SRL of {size_bytes} bytes has no ring"

    def offset(self, lsn: int) -> int:
        """Offset in the file at which `lsn` lies."""
        return HEADER_AREA_BYTES + lsn % self.capacity_bytes

    def to_edge(self, lsn: int) -> int:
        """Bytes from `lsn` to the end of the ring, at least 1."""
        return self.capacity_bytes - lsn % self.capacity_bytes

    def spans(self, lsn: int, length: int) -> list[tuple[int, int]]:
        """(file offset, length) of the stream's bytes [lsn, lsn + length): one span, two at the edge."""
        assert 0 <= length <= self.capacity_bytes, f"{length} bytes do not fit the ring"
        first = min(length, self.to_edge(lsn))
        if first == length:
            return [(self.offset(lsn), length)]
        return [(self.offset(lsn), first), (HEADER_AREA_BYTES, length - first)]


def check_size(size_bytes: int, *, name: str, dg: str) -> None:
    """Raises VR-1500 when a volume of `size_bytes` is too small for an SRL."""
    if size_bytes < SRL_MIN_BYTES:
        raise VolrepError(messages.SRL_TOO_SMALL, name=name, dg=dg, size_bytes=size_bytes, minimum_bytes=SRL_MIN_BYTES,
                          header_bytes=HEADER_AREA_BYTES, batches=MIN_BATCHES, batch_bytes=BATCH_MAX_BYTES)
