"""Tails: the bytes of a log right before an LSN, by which one host proves to another that both have the same there.

A tail of TAIL_MAX_BYTES holds at least the header of its last record, with the writer's clock in it: no two hosts write
the same one twice. Some are kept in the header, for the ring forgets.

Two logs are never compared by CRC32C: every record's header ends with its own, and behind such a piece a CRC32C over
the whole is the same whatever the piece holds.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from zlib import crc32

from volrep.log.header import SrlHeader
from volrep.log.record import RECORD_MAX_BYTES
from volrep.log.srl import Srl
from volrep.model.errors import VolrepError
from volrep.model.units import Tail
from volrep.ports.streams import Buffer

logger = logging.getLogger("volrep.log")

TAIL_MAX_BYTES = RECORD_MAX_BYTES
# Two hosts whose logs began at different places have one of these in common, if anything.
SHORTER_BYTES = tuple(128 << 2 * step for step in range(7))
KEPT_TAILS_MAX = 8 * (len(SHORTER_BYTES) + 1)


def checksum(log: Buffer) -> int:
    """CRC-32 (of zip and Ethernet) of bytes of the log, for comparing two logs. 0.3 ms a MiB."""
    return crc32(log)


def read_tail(srl: Srl, lsn: int, length: int) -> Tail:
    """Read from the file, not from memory (blocking). The ring still has these bytes. Raises VR-1507."""
    return Tail(lsn, length, checksum(_before(srl, lsn, length)))


def read_tails(srl: Srl, lsn: int, from_lsn: int) -> list[Tail]:
    """Of the longest that `from_lsn` on allows, and shorter ones (blocking); ascending. Raises VR-1507."""
    length = min(TAIL_MAX_BYTES, lsn - from_lsn)
    if length <= 0:
        return []
    view = _before(srl, lsn, length)
    lengths = [*(shorter for shorter in SHORTER_BYTES if shorter < length), length]
    return [Tail(lsn, each, checksum(view[length - each:])) for each in lengths]


def _before(srl: Srl, lsn: int, length: int) -> memoryview:
    view = memoryview(bytearray(length))
    srl.read_into(view, lsn - length)
    return view


def keep_tails(header: SrlHeader, tails: Sequence[Tail]) -> None:
    """For when the ring no longer has it: the log ends there, what was kept beyond is no part of it any more.

    The caller saves the header.
    """
    if tails:
        before = [kept for kept in header.kept_tails if kept.lsn < tails[-1].lsn]
        header.kept_tails = [*before, *tails][-KEPT_TAILS_MAX:]


def begin_behind(srl: Srl, end_lsn: int) -> None:
    """What lies before `end_lsn` is no part of the log any more: nobody may be sent it, but by its end whoever is made
    equal by a copy is known (blocking). The caller writes the header.
    """
    keep_end(srl, end_lsn)
    srl.header.begin_lsn = srl.header.tail_lsn = end_lsn


def keep_end(srl: Srl, end_lsn: int) -> None:
    """Keep what lies before the end of the log, as far as the ring has it (blocking).

    A log that cannot be read there is no reason to stop: who is compared by it later is copied to.
    """
    try:
        keep_tails(srl.header, read_tails(srl, end_lsn, srl.shown_of(end_lsn)))
    except VolrepError as error:
        logger.warning("what lies before LSN %d is not kept: %s %s", end_lsn, error.id, error.text)
