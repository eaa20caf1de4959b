"""Reading a known stretch of the log, record by record: all of it, or an error.

Unlike `log.recovery.scan` it looks for no end, so it may run in a thread while the log grows behind the stretch.
"""

from __future__ import annotations

from collections.abc import Callable

from volrep.log.record import RECORD_MAX_BYTES, BadRecord, Cursor, Record, cut
from volrep.log.srl import Srl
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.model.units import MIB

CHUNK_BYTES = 4 * MIB  # read at once: memory is this plus one record


def read_stretch(srl: Srl, from_lsn: int, end_lsn: int, on_batch: Callable[[memoryview, list[Record]], None]) -> None:
    """Hand out the records of [from_lsn, end_lsn), both at a record's beginning (blocking).

    The caller sees to it that the ring still holds `from_lsn`, also afterwards. Raises VR-1502, VR-1507.
    """
    cursor = Cursor(from_lsn, srl.header.generation_at(from_lsn))
    view = memoryview(bytearray(min(CHUNK_BYTES + RECORD_MAX_BYTES, max(end_lsn - from_lsn, 1))))
    held = 0  # bytes at the front of the buffer: the beginning of a record
    while cursor.lsn < end_lsn:
        step = min(len(view) - held, end_lsn - cursor.lsn - held)
        records: list[Record] = []
        try:
            if step == 0:
                raise BadRecord(cursor.lsn, "it reaches beyond the stretch", 0)
            srl.read_into(view[held:held + step], cursor.lsn + held)
            position = cut(view, 0, held + step, cursor, records)
        except BadRecord as bad:
            raise VolrepError(messages.SRL_DATA_DAMAGED, path=srl.file.path, lsn=bad.lsn, reason=bad.reason,
                              durable_lsn=end_lsn) from bad
        if records:
            on_batch(view, records)
        held = held + step - position
        view[:held] = view[position:position + held]
