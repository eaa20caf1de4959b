"""Tails: the bytes of a log right before an LSN, by which one host proves to another that both have the same there.

A tail of TAIL_MAX_BYTES holds at least the header of its last record, with the writer's clock in it: no two hosts write
the same one twice. Some are kept in the header, for the ring forgets.

Two logs are never compared by CRC32C: every record's header ends with its own, and behind such a piece a CRC32C over
the whole is the same whatever the piece holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from volrep.log.header import SrlHeader
from volrep.log.record import RECORD_MAX_BYTES
from volrep.log.srl import Srl
from volrep.model.units import Tail
from volrep.ports.streams import Buffer

TAIL_MAX_BYTES = RECORD_MAX_BYTES
# Two hosts whose logs began at different places have one of these in common, if anything.
SHORTER_BYTES = tuple(128 << 2 * step for step in range(7))
KEPT_TAILS_MAX = 8 * (len(SHORTER_BYTES) + 1)


def checksum(log: Buffer) -> int:
    """CRC-32 (of zip and Ethernet) of bytes of the log, for comparing two logs. 0.3 ms a MiB."""
    return crc32(log)


def read_tail(srl: Srl, lsn: int, length: int) -> Tail:
    """Read from the file, not from memory (blocking). The ring still has these bytes. Raises VR-1507."""
    buffer = memoryview(bytearray(length))
    srl.read_into(buffer, lsn - length)
    return Tail(lsn, length, checksum(buffer))


def read_tails(srl: Srl, lsn: int, length: int) -> list[Tail]:
    """As `read_tail`, and shorter ones; ascending, none for no bytes. Raises VR-1507."""
    if length <= 0:
        return []
    view = memoryview(bytearray(length))
    srl.read_into(view, lsn - length)
    lengths = [*(shorter for shorter in SHORTER_BYTES if shorter < length), length]
    return [Tail(lsn, each, checksum(view[length - each:])) for each in lengths]


def keep_tails(header: SrlHeader, tails: Sequence[Tail]) -> None:
    """For when the ring no longer has it: the log ends there, what was kept beyond is no part of it any more.

    The caller saves the header.
    """
    if tails:
        before = [kept for kept in header.kept_tails if kept.lsn < tails[-1].lsn]
        header.kept_tails = [*before, *tails][-KEPT_TAILS_MAX:]


def keep_end(srl: Srl, end_lsn: int) -> None:
    """Keep what lies before the end of the log, as far as the ring has it (blocking). Raises VR-1507."""
    keep_tails(srl.header, read_tails(srl, end_lsn, min(TAIL_MAX_BYTES, end_lsn - srl.shown_of(end_lsn))))
