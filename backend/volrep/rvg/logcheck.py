"""Whether a stretch of this host's own log is what was once written there: every record, by its checksums. Blocking."""

from __future__ import annotations

from dataclasses import dataclass

from volrep.log.record import RECORD_MAX_BYTES, BadRecord, Cursor, Record, cut
from volrep.log.srl import Srl
from volrep.model.units import MIB

PIECE_BYTES = 4 * MIB  # read at once; memory is this and one record
MISMATCHES_MAX = 3  # times that one place arrives damaged at a Secondary before its Primary looks into its own log


@dataclass(frozen=True, slots=True)
class LogDamage:
    """The first record that is not intact."""

    lsn: int
    reason: str


def find_damage(srl: Srl, from_lsn: int, to_lsn: int) -> LogDamage | None:
    """The first damaged record of [from_lsn, to_lsn), None when all are intact. `from_lsn` is a record's beginning.

    The caller makes sure that the ring still has all of it when this returns. Raises VR-1507.
    """
    buffer = memoryview(bytearray(PIECE_BYTES + RECORD_MAX_BYTES))
    cursor, held = Cursor(from_lsn), 0
    while cursor.lsn + held < to_lsn:
        step = min(len(buffer) - held, to_lsn - cursor.lsn - held)
        srl.read_into(buffer[held:held + step], cursor.lsn + held)
        records: list[Record] = []
        try:
            position = cut(buffer, 0, held + step, cursor, records)
        except BadRecord as bad:
            return LogDamage(bad.lsn, bad.reason)
        held += step - position
        buffer[:held] = buffer[position:position + held]
    return None


class Suspicion:
    """Reports that one place of the log arrives damaged, counted as long as it is the same place."""

    def __init__(self) -> None:
        self.lsn = 0
        self._count = 0

    def reported(self, lsn: int) -> bool:
        """Whether it is time to look: at every MISMATCHES_MAXth report in a row."""
        self._count = self._count + 1 if lsn == self.lsn else 1
        self.lsn = lsn
        return self._count % MISMATCHES_MAX == 0
