"""Tails: the bytes of a log right before an LSN, by which one host proves to another that both have the same there.

A tail of TAIL_MAX_BYTES holds at least the header of its last record, with the writer's clock in it: no two hosts write
the same one twice. Some are kept in the header, for the ring forgets.

Two logs are never compared by CRC32C: every record's header ends with its own, and behind such a piece a CRC32C over
the whole is the same whatever the piece holds.
"""

from __future__ import annotations

from zlib import crc32

from volrep.log.header import SrlHeader
from volrep.log.record import RECORD_MAX_BYTES
from volrep.log.srl import Srl
from volrep.model.units import Tail
from volrep.ports.streams import Buffer

TAIL_MAX_BYTES = RECORD_MAX_BYTES
KEPT_TAILS_MAX = 8


def checksum(log: Buffer) -> int:
    """CRC-32 (of zip and Ethernet) of bytes of the log, for comparing two logs. 0.3 ms a MiB."""
    return crc32(log)


def read_tail(srl: Srl, lsn: int, length: int) -> Tail:
    """Read from the file, not from memory (blocking). The ring still has these bytes. Raises VR-1507."""
    buffer = memoryview(bytearray(length))
    srl.read_into(buffer, lsn - length)
    return Tail(lsn, length, checksum(buffer))


def keep_tail(header: SrlHeader, tail: Tail) -> None:
    """For when the ring no longer has it: the log ends there, what was kept beyond is no part of it any more.

    The caller saves the header.
    """
    if tail.length:
        header.kept_tails = [*(kept for kept in header.kept_tails if kept.lsn < tail.lsn), tail][-KEPT_TAILS_MAX:]


def keep_end(srl: Srl, end_lsn: int) -> None:
    """Keep what lies before the end of the log, as far as the ring has it (blocking). Raises VR-1507."""
    keep_tail(srl.header, read_tail(srl, end_lsn, max(0, min(TAIL_MAX_BYTES, end_lsn - srl.header.tail_lsn))))
