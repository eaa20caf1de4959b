"""The last bytes of a log, as one end of a link proves to the other that both hold the same.

Histories name reigns and LSNs only. A Primary whose disks were put back to an older state and that has written on since
has the same history and other bytes under the same LSNs: what lies right before the Secondary's end shows it.
"""

from __future__ import annotations

from crc32c import crc32c

from volrep.link.negotiate import TAIL_MAX_BYTES, Detach, Welcome
from volrep.rvg.journal import Journal


def tail_of(journal: Journal) -> tuple[int, int]:
    """(bytes, their CRC32C) that lie right before the durable end, as far as the ring has them: (0, 0) for none.

    Read from the file, not from memory. Raises VR-1507.
    """
    length = min(TAIL_MAX_BYTES, journal.durable_lsn - journal.retained_lsn())
    return (length, _crc(journal, journal.durable_lsn, length)) if length > 0 else (0, 0)


def differs(journal: Journal, welcome: Welcome) -> Detach | None:
    """Whether this Primary's log has other bytes before the Secondary's end; None also when it no longer has them.

    The caller has found that the histories agree up to there. Raises VR-1507.
    """
    start_lsn = welcome.end_lsn - welcome.tail_bytes
    if not welcome.tail_bytes or start_lsn < journal.retained_lsn():
        return None
    if _crc(journal, welcome.end_lsn, welcome.tail_bytes) == welcome.tail_crc:
        return None
    return Detach(f"the logs differ between LSN {start_lsn} and {welcome.end_lsn}: one of the two hosts went back to "
                  f"an older state and wrote on, or its log is damaged; nothing was overwritten on {welcome.host}")


def _crc(journal: Journal, end_lsn: int, length: int) -> int:
    buffer = memoryview(bytearray(length))
    journal.srl.read_into(buffer, end_lsn - length)
    return int(crc32c(buffer))
