"""Whether a log that ends in a bad record was torn there, or has lost what was durable. It does no I/O.

Knows what counts as proof that an LSN was durable. Must not know files.

A torn tail is normal: power went while a batch was being written, and nothing of it was acknowledged.
A bad record below a proved LSN is media corruption: cutting the log there would lose acknowledged
writes without a word. Proof is, for a record at LSN e:

- the header's durable_lsn or applied_lsn beyond e;
- a durable_lsn beyond e in a record behind it that belongs to the same stream (one before it claims
  less than its own LSN). On a Secondary records speak about the Primary's disk, so only records of
  this host's own reign count so;
- on a Secondary a good record further behind than one append reaches: an append begins when the one
  before it is durable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from volrep.log.header import ANY_GENERATION, SrlHeader
from volrep.log.record import HEADER_BYTES, MAGIC, BadRecord, Cursor, RecordHeader, read_header, record_bytes
from volrep.model.units import MIB

# What a Secondary appends and syncs at once: all that its receiving buffer holds (`volrep.link.logbuffer`), rounded up.
SECONDARY_APPEND_MAX_BYTES = 12 * MIB


@dataclass(slots=True)
class Proof:
    """What has been proved durable so far, and by whom records can prove it."""

    durable_lsn: int
    own_generation: int  # records of this generation speak about this disk; 0: none do, this is a Secondary

    leftover_lsn: int = 0  # a Secondary's records below it may be what an earlier log left behind ...
    leftover_generation: int = ANY_GENERATION  # ... unless they are of a later reign than this one

    @classmethod
    def of(cls, header: SrlHeader) -> Proof:
        own = header.generation if header.role == "primary" else 0
        return cls(max(header.durable_lsn, header.applied_lsn), own, header.leftover_lsn,
                   header.leftover_generation)

    def counts(self, found: RecordHeader) -> bool:
        """Whether a record says anything about this disk."""
        if self.own_generation:
            return found.generation == self.own_generation
        return found.lsn >= self.leftover_lsn or found.generation > self.leftover_generation


@dataclass(frozen=True, slots=True)
class Gap:
    """A damaged part of the log. `header`: of the record at `from_lsn`, when only its payload is damaged."""

    from_lsn: int
    to_lsn: int
    header: RecordHeader | None

    @property
    def known_to_lsn(self) -> int:
        """The end of that record. What lies behind it in the gap, nobody knows."""
        if self.header is None:
            return self.from_lsn
        return self.from_lsn + record_bytes(self.header.length if self.header.payload_crc else 0)


def is_torn(bad: BadRecord, proof: Proof) -> bool:
    """True: the log ends here. False: the record was durable, or is intact but not ours to judge."""
    return not bad.foreign and bad.lsn >= proof.durable_lsn


def claims_behind(view: bytes | bytearray, lsn: int, cursor: Cursor, proof: Proof) -> int:
    """Highest durable_lsn of a header in `view` that a later record of the same stream claims; 0 for none.

    `view` holds the stream's bytes from `lsn` on. A header counts when it lies exactly where its LSN
    says, and is not older than the records before the bad one.
    """
    return max((header.durable_lsn if proof.own_generation
                else max(0, header.lsn - SECONDARY_APPEND_MAX_BYTES)
                for header, place_lsn in _headers(view, lsn, cursor, proof) if header.lsn == place_lsn), default=0)


def is_overwritten(view: bytes | bytearray, lsn: int, bad_lsn: int, capacity_bytes: int, cursor: Cursor,
                   proof: Proof) -> bool:
    """Whether `view` (as above) shows that the place of `bad_lsn` holds the stream's next lap.

    Nothing is overwritten that the newest header still counts on: the header that was read is then an older one, and
    the log does not end here at all.
    """
    return proof.own_generation != 0 and any(
        header.lsn in (place_lsn, place_lsn + capacity_bytes)
        and header.lsn + record_bytes(header.length if header.payload_crc else 0) > bad_lsn + capacity_bytes
        for header, place_lsn in _headers(view, lsn, cursor, proof))


def next_record(view: bytes | bytearray, lsn: int, cursor: Cursor, proof: Proof,
                incarnation: int) -> RecordHeader | None:
    """The first header in `view` with which the log goes on behind damage.

    Beyond what is proved durable only those of the last run count (`incarnation`, the header's): others may be what
    an earlier run left behind its torn end.
    """
    position = view.find(MAGIC)
    while position >= 0:
        found = read_header(view, position) if (lsn + position) % 8 == 0 else None
        if (found is not None and found.lsn == lsn + position and found.generation >= cursor.generation
                and found.incarnation >= cursor.incarnation
                and (found.lsn < proof.durable_lsn or found.incarnation >= incarnation)):
            return found
        position = view.find(MAGIC, position + 1)
    return None


def _headers(view: bytes | bytearray, lsn: int, cursor: Cursor, proof: Proof) -> Iterator[tuple[RecordHeader, int]]:
    """(header, LSN of its place) of records in `view` that speak about this disk and are not older than the cursor."""
    position = view.find(MAGIC)
    while position >= 0:
        header = read_header(view, position) if (lsn + position) % 8 == 0 else None
        if (header is not None and proof.counts(header) and header.generation >= cursor.generation
                and header.incarnation >= cursor.incarnation and header.durable_lsn <= header.lsn):
            yield header, lsn + position
        position = view.find(MAGIC, position + 1)


OVERLAP_BYTES = HEADER_BYTES - 1  # what two neighbouring views must share for those two
