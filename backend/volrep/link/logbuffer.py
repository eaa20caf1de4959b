"""What a Secondary has received of the log and not yet committed. Pure, of fixed size.

    0 .......... committed .......... verified .......... filled .......... size
      written to the SRL | complete records, | a record's beginning | room
                         | CRC checked       |

LOG bodies are received straight into the room, so payloads are not copied before they go to the SRL.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter

from volrep.link.frames import LOG_BODY_MAX, BadFrame, Damaged
from volrep.log.record import RECORD_MAX_BYTES, BadRecord, Cursor, Record, cut

UNCOMMITTED_MAX_BYTES = 8 << 20  # the sender commits each batch (at most 6 MiB) before it sends the next
BUFFER_BYTES = UNCOMMITTED_MAX_BYTES + RECORD_MAX_BYTES + 2 * LOG_BODY_MAX

_LSN_END = itemgetter(6)


class LogBuffer:
    def __init__(self, size_bytes: int = BUFFER_BYTES) -> None:
        self.view = memoryview(bytearray(size_bytes))
        self.records: list[Record] = []  # verified, not committed; payload positions index `view`
        self._committed = self._verified = self._filled = 0
        self._cursor = Cursor(0, 0, 0)
        self.committed_lsn = 0
        self.received_records = 0  # since `begin`
        self.newest_time_ns = 0  # of the newest record received, by the Primary's clock
        self._filled_lsn = 0

    def begin(self, lsn: int, generation: int, incarnation: int) -> None:
        """The next byte is at `lsn`; forget everything held."""
        self._committed = self._verified = self._filled = 0
        self.records.clear()
        self.received_records = 0
        self._cursor = Cursor(lsn, generation, incarnation)
        self.committed_lsn = self._filled_lsn = lsn

    @property
    def verified_lsn(self) -> int:
        """Everything before it has arrived and is intact: the network ack."""
        return self._cursor.lsn

    @property
    def cursor(self) -> Cursor:
        return self._cursor

    @property
    def uncommitted_bytes(self) -> int:
        return self._verified - self._committed

    def space(self, lsn: int, length: int) -> memoryview:
        """Where `length` log bytes at `lsn` go. Raises BadFrame when they do not continue the log or do not fit."""
        if lsn != self._filled_lsn:
            raise BadFrame(f"log bytes at LSN {lsn}, expected {self._filled_lsn}")
        if self._filled + length > len(self.view):
            self._compact()
        if self._filled + length > len(self.view):
            raise BadFrame(f"{self._filled} log bytes await their commit, {length} more do not fit in {len(self.view)}")
        self._filled_lsn = lsn + length
        start, self._filled = self._filled, self._filled + length
        return self.view[start : self._filled]

    def verify(self) -> None:
        """Check the records that the last received body completed. Raises BadFrame on damage."""
        before = len(self.records)
        try:
            self._verified = cut(self.view, self._verified, self._filled, self._cursor, self.records)
        except BadRecord as error:
            raise Damaged(f"record at LSN {error.lsn} is damaged: {error.reason}", error.lsn) from error
        finally:
            if len(self.records) > before:
                self.received_records += len(self.records) - before
                self.newest_time_ns = self.records[-1][7]

    def take(self, commit_lsn: int) -> tuple[int, int, list[Record]]:
        """(start, end, records) in `view` of what is committed now; the caller is done with it before `space`."""
        records = self.records
        if records and records[-1][6] <= commit_lsn:
            taken, self.records = records, []
        else:
            count = bisect_right(records, commit_lsn, key=_LSN_END)
            taken, self.records = records[:count], records[count:]
        start = self._committed
        if taken:
            self._committed += taken[-1][6] - self.committed_lsn
            self.committed_lsn = taken[-1][6]
        end = self._committed
        if self._committed == self._filled:
            self._committed = self._verified = self._filled = 0
        return start, end, taken

    def _compact(self) -> None:
        shift = self._committed
        if not shift:
            return
        self.view[: self._filled - shift] = self.view[shift : self._filled]
        self.records = [(*r[:4], r[4] - shift, r[5] - shift, *r[6:]) for r in self.records]
        self._verified -= shift
        self._filled -= shift
        self._committed = 0
