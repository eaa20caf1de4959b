"""Reading an SRL from an LSN to its end, and saying what kind of end that is.

Knows how to read the ring in bounded pieces and whom to ask for the verdict. Must not know what
records do: the caller gets them batch by batch, in order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from volrep.log.record import (
    HEADER_BYTES,
    RECORD_MAX_BYTES,
    VERSION,
    BadRecord,
    Cursor,
    Record,
    RecordHeader,
    cut,
    read_header,
    record_bytes,
)
from volrep.log.ring import BATCH_MAX_BYTES, PAGE_BYTES
from volrep.log.srl import Srl
from volrep.log.verdict import OVERLAP_BYTES, Gap, Proof, claims_behind, is_overwritten, is_torn, next_record
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.model.units import MIB

logger = logging.getLogger("volrep.log")

CHUNK_BYTES = 8 * MIB  # read at once: memory is this plus one record
# A batch claims what was durable before it, so the claim that proves a record lies in a batch after
# its own. Two batches in flight and as much again, in case their beginnings are damaged too.
LOOKAHEAD_BYTES = 8 * BATCH_MAX_BYTES
# How far behind what is proved durable the next good record is looked for: a checkpoint comes at the latest every
# 256 MiB, and the log is scanned from one.
SEARCH_BYTES = 512 * MIB

# Pages of one piece that the disk may refuse to read and count as damaged; with more the disk itself is the trouble.
UNREADABLE_MAX = 64

OnBatch = Callable[[memoryview, list[Record]], None]
"""Gets good records in order; their payload positions are indexes into the view, valid during the call."""


@dataclass(frozen=True, slots=True)
class ScanEnd:
    """Where the log ends and what the last record before it said (0 when there was none)."""

    end_lsn: int
    generation: int
    incarnation: int
    timestamp_ns: int
    records: int
    reason: str  # why the record at end_lsn does not count, for the event log


def scan(srl: Srl, from_lsn: int, on_batch: OnBatch, *, settled: bool = False) -> ScanEnd:
    """Read all records from `from_lsn` (a record's LSN, usually the header's applied_lsn) to the end.

    The file is synced first: what a killed worker wrote may still be in memory only, and must not be
    replayed, nor shown to a Secondary, before it is as durable as recovery takes it to be. Then it is read from the
    disk itself: after a failed write the cache shows records that the disk never got. `settled`: a scan of this
    process has done so, and nothing was written since; then the cache holds what that one read from the disk.

    A page that the disk cannot read counts as damaged, and a record on it never as a torn end: a torn write reads.

    Raises VR-1502 when a record that was durable is damaged, VR-1504 for a newer format, VR-1507 and
    VR-1510 when the disk fails. Good records before the damage have then been handed out.
    """
    if not settled:
        srl.sync_and_forget()
    return _scan(srl, from_lsn, on_batch, None)


def scan_past_damage(srl: Srl, from_lsn: int, on_batch: OnBatch) -> tuple[ScanEnd, list[Gap]]:
    """As `scan`, but records that were durable and are damaged are passed over: their places are the answer's gaps.

    Only an operator may decide to go on so. Raises as `scan` does, except VR-1502.
    """
    gaps: list[Gap] = []
    srl.sync_and_forget()
    return _scan(srl, from_lsn, on_batch, gaps), gaps


def _scan(srl: Srl, from_lsn: int, on_batch: OnBatch, gaps: list[Gap] | None) -> ScanEnd:
    header = srl.header
    generation = header.generation_at(from_lsn)
    incarnation = header.applied_incarnation if from_lsn >= header.applied_lsn else 0
    return _Scan(srl, Cursor(from_lsn, generation, incarnation), on_batch, gaps).run()


class _Scan:
    """One pass over the log. With `gaps`, damage is entered there and passed over."""

    def __init__(self, srl: Srl, cursor: Cursor, on_batch: OnBatch, gaps: list[Gap] | None) -> None:
        self._srl = srl
        self._cursor = cursor
        self._on_batch = on_batch
        self._gaps = gaps
        self._proof = Proof.of(srl.header)
        self._limit_lsn = cursor.lsn + srl.ring.capacity_bytes  # one lap; behind it comes what was read first
        self._buffer = bytearray(min(CHUNK_BYTES + RECORD_MAX_BYTES, srl.ring.capacity_bytes))
        self._unreadable: list[tuple[int, int]] = []  # LSNs, of the last piece that was read
        self._records = 0
        self._timestamp_ns = 0

    def run(self) -> ScanEnd:
        view = memoryview(self._buffer)
        held = 0  # bytes at the front of the buffer: the beginning of a record
        while True:
            read_lsn = self._cursor.lsn + held
            step = min(len(view) - held, CHUNK_BYTES, self._limit_lsn - read_lsn)
            if step == 0:
                end = self._end(BadRecord(self._cursor.lsn, "the ring is full", 0))
                assert end is not None, "nothing lies behind a whole lap"
                return end
            self._unreadable = [(start, stop) for start, stop in self._unreadable if stop > self._cursor.lsn]
            self._read(view[held:held + step], read_lsn)
            self._srl.prefetch(read_lsn + step, min(CHUNK_BYTES, self._limit_lsn - read_lsn - step))
            records: list[Record] = []
            bad = None
            position = 0
            try:
                position = cut(view, 0, held + step, self._cursor, records)
            except BadRecord as found:
                bad = found
            self._hand_out(view, records)
            if bad is not None:
                end = self._end(bad)
                if end is not None:
                    return end
                held = 0
                continue
            held = held + step - position
            view[:held] = view[position:position + held]

    def _read(self, view: memoryview, lsn: int) -> None:
        """As `Srl.read_into`, but pages that cannot be read become zeroes, which are no record, and are noted."""
        try:
            self._srl.read_into(view, lsn)
        except VolrepError as error:
            refused = self._read_pages(view, lsn)
            if len(refused) > UNREADABLE_MAX or len(refused) * PAGE_BYTES >= len(view):
                raise
            self._unreadable += refused
            logger.error("%s: %s; %d pages cannot be read and count as damaged", error.id, error.text, len(refused))

    def _read_pages(self, view: memoryview, lsn: int) -> list[tuple[int, int]]:
        """One by one; those that cannot be read, as LSNs. Stops behind UNREADABLE_MAX."""
        refused: list[tuple[int, int]] = []
        at = 0
        while at < len(view) and len(refused) <= UNREADABLE_MAX:
            step = min(PAGE_BYTES - (lsn + at) % PAGE_BYTES, len(view) - at)
            try:
                self._srl.read_into(view[at:at + step], lsn + at)
            except VolrepError:
                view[at:at + step] = bytes(step)
                refused.append((lsn + at, lsn + at + step))
            at += step
        return refused

    def _is_unreadable(self, bad: BadRecord, header: RecordHeader | None) -> bool:
        """Whether a page of the bad record could not be read. `header`: its own, when that is intact."""
        length = header.length if header is not None and header.lsn == bad.lsn and header.payload_crc else 0
        stop_lsn = bad.lsn + record_bytes(min(length, RECORD_MAX_BYTES))
        return any(start < stop_lsn and bad.lsn < stop for start, stop in self._unreadable)

    def _hand_out(self, view: memoryview, records: list[Record]) -> None:
        if records:
            self._records += len(records)
            self._timestamp_ns = records[-1][7]
            self._on_batch(view, records)

    def _end(self, bad: BadRecord) -> ScanEnd | None:
        """The end of the log; None when the bad record was passed over and the cursor stands behind it."""
        damaged = read_header(self._buffer, bad.position)
        unreadable = self._is_unreadable(bad, damaged)
        self._look_ahead(bad.lsn)
        if not self._records and not self._gaps:
            self._check_newest(bad.lsn)
        if bad.version > VERSION:
            raise VolrepError(messages.SRL_FORMAT_NEWER, path=self._srl.file.path, found=bad.version, known=VERSION)
        if unreadable or not is_torn(bad, self._proof):
            if self._gaps is not None:
                return self._pass_over(bad, damaged, self._gaps)
            raise VolrepError(messages.SRL_DATA_DAMAGED, path=self._srl.file.path, lsn=bad.lsn,
                              reason="the disk cannot read it" if unreadable else bad.reason,
                              durable_lsn=self._proof.durable_lsn)
        return self._scan_end(bad.lsn, bad.reason)

    def _scan_end(self, lsn: int, reason: str) -> ScanEnd:
        return ScanEnd(lsn, self._cursor.generation, self._cursor.incarnation, self._timestamp_ns, self._records,
                       reason)

    def _pass_over(self, bad: BadRecord, damaged: RecordHeader | None, gaps: list[Gap]) -> ScanEnd | None:
        """Go on at the next good header behind; none: the log ends where it was last proved durable."""
        behind_lsn = bad.lsn + HEADER_BYTES
        if damaged is not None and damaged.lsn == bad.lsn:
            behind_lsn = bad.lsn + record_bytes(damaged.length if damaged.payload_crc else 0)
        else:
            damaged = None
        stop_lsn = min(max(bad.lsn, self._proof.durable_lsn) + SEARCH_BYTES, self._limit_lsn)
        for piece, lsn in self._pieces(behind_lsn, stop_lsn):
            found = next_record(piece, lsn, self._cursor, self._proof, self._srl.header.incarnation)
            if found is not None:
                gaps.append(Gap(bad.lsn, found.lsn, damaged))
                self._cursor = Cursor(found.lsn, found.generation, found.incarnation)
                return None
        end_lsn = max(bad.lsn, self._proof.durable_lsn)
        gaps.append(Gap(bad.lsn, end_lsn, damaged))
        return self._scan_end(end_lsn, f"damaged from LSN {bad.lsn} on")

    def _look_ahead(self, end_lsn: int) -> None:
        """Raise the proof by what records behind the bad one claim."""
        for piece, lsn in self._pieces(end_lsn, min(end_lsn + LOOKAHEAD_BYTES, self._limit_lsn)):
            self._proof.durable_lsn = max(self._proof.durable_lsn,
                                          claims_behind(piece, lsn, self._cursor, self._proof))

    def _check_newest(self, first_lsn: int) -> None:
        """Raises VR-1501 when not even the first record is there because the log has gone around since this header."""
        capacity_bytes = self._srl.ring.capacity_bytes
        for start_lsn in (first_lsn, max(first_lsn, self._limit_lsn - RECORD_MAX_BYTES)):
            for piece, lsn in self._pieces(start_lsn, min(start_lsn + LOOKAHEAD_BYTES, self._limit_lsn)):
                if is_overwritten(piece, lsn, first_lsn, capacity_bytes, self._cursor, self._proof):
                    raise VolrepError(messages.SRL_HEADER_DAMAGED, path=self._srl.file.path,
                                      reason=f"the newer one; since the older one, LSN {first_lsn} was overwritten")

    def _pieces(self, lsn: int, stop: int) -> Iterator[tuple[bytearray, int]]:
        """(bytes of the stream, LSN where they begin), overlapping by a header; a piece is good until the next."""
        while lsn < stop:
            piece = self._buffer[:min(len(self._buffer), stop - lsn)]
            self._read(memoryview(piece), lsn)
            yield piece, lsn
            lsn += max(len(piece) - OVERLAP_BYTES, 1) if lsn + len(piece) < stop else len(piece)
