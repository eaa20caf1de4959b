"""Whether a log that ends in a bad record was torn there, or has lost what was durable. It does no I/O.

Knows what counts as proof that an LSN was durable. Must not know files.

A torn tail is normal: power went while a batch was being written, and nothing of it was acknowledged.
A bad record below a proved LSN is media corruption: cutting the log there would lose acknowledged
writes without a word. Proof is, for a record at LSN e:

- the header's durable_lsn or applied_lsn beyond e;
- a durable_lsn beyond e in a record behind it that belongs to the same stream (one before it claims
  less than its own LSN). On a Secondary records speak about the Primary's disk, so only records of
  this host's own reign count.
"""

from __future__ import annotations

from dataclasses import dataclass

from volrep.log.header import SrlHeader
from volrep.log.record import HEADER_BYTES, MAGIC, BadRecord, Cursor, read_header


@dataclass(slots=True)
class Proof:
    """What has been proved durable so far, and by whom records can prove it."""

    durable_lsn: int
    own_generation: int  # records of this generation speak about this disk; 0: none do

    @classmethod
    def of(cls, header: SrlHeader) -> Proof:
        own = header.generation if header.role == "primary" else 0
        return cls(max(header.durable_lsn, header.applied_lsn), own)

    def counts(self, generation: int) -> bool:
        return self.own_generation != 0 and generation == self.own_generation


def is_torn(bad: BadRecord, proof: Proof) -> bool:
    """True: the log ends here. False: the record was durable, or is intact but not ours to judge."""
    return not bad.foreign and bad.lsn >= proof.durable_lsn


def claims_behind(view: bytes | bytearray, lsn: int, cursor: Cursor, proof: Proof) -> int:
    """Highest durable_lsn of a header in `view` that a later record of the same stream claims; 0 for none.

    `view` holds the stream's bytes from `lsn` on. A header counts when it lies exactly where its LSN
    says, and is not older than the records before the bad one.
    """
    best = 0
    position = view.find(MAGIC)
    while position >= 0:
        header = read_header(view, position) if (lsn + position) % 8 == 0 else None
        if (header is not None and header.lsn == lsn + position and proof.counts(header.generation)
                and header.generation >= cursor.generation and header.incarnation >= cursor.incarnation
                and header.durable_lsn <= header.lsn):
            best = max(best, header.durable_lsn)
        position = view.find(MAGIC, position + 1)
    return best


OVERLAP_BYTES = HEADER_BYTES - 1  # what two neighbouring views must share for `claims_behind`
