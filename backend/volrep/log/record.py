"""The log record: encoding a batch, and cutting a stream of bytes back into records. It does no I/O.

Knows the byte layout below and what makes a record fit behind another one. Must not know files, the
ring, links, or what a record does to a volume. The same bytes lie in the SRL of every host and
travel on the links, so nothing is ever re-encoded.

    offset  size  field            little endian; a record starts at a multiple of 8
    0       4     magic            "VRL1"
    4       1     version          1
    5       1     type             bits 0-6 RecordType; bit 7: further records of the same request follow
    6       2     volume           index within the RVG (0 where the record concerns none)
    8       4     generation       of the Primary that wrote it
    12      4     incarnation      raised each time a worker opens the SRL for writing
    16      8     lsn              position of this record in the stream
    24      8     timestamp_ns     the Primary's wall clock, nanoseconds since 1970
    32      8     offset           within the volume
    40      8     length           bytes of the volume; with a payload also the payload's length
    48      8     durable_lsn      the writer's log was durable up to here when it wrote this record
    56      4     payload_crc      CRC32C of the payload, 0 without one
    60      4     header_crc       CRC32C of bytes 0 to 59
    64            payload          WRITE, IBC and ROLE only; then zeroes up to a multiple of 8

Magic, version, generation, incarnation, lsn and header_crc keep their places in every later version,
so that an older reader can tell "newer" from "damaged" and from "left behind".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from crc32c import crc32c

from volrep.model.units import KIB, MIB
from volrep.ports.streams import Buffer

HEADER_BYTES = 64
PAYLOAD_MAX_BYTES = MIB  # larger requests become several records joined by CONTINUES
RECORD_MAX_BYTES = HEADER_BYTES + PAYLOAD_MAX_BYTES
BATCH_RECORDS_MAX = 16 * KIB  # 1 MiB of headers: a batch of 64 MiB in 4 KiB writes
VERSION = 1
CONTINUES = 0x80
_TYPE_MASK = 0x7F
_VOLUME_END_MAX = 1 << 63  # off_t: no volume reaches further

MAGIC = b"VRL1"
_MAGIC = int.from_bytes(MAGIC, "little")
_HEADER = struct.Struct("<IBBHIIQQQQQII")
_BODY = struct.Struct("<IBBHIIQQQQQI")
_CRC = struct.Struct("<I")
_CHECKED_BYTES = _BODY.size  # what header_crc covers
_PADDING = tuple(bytes(n) for n in range(8))


class RecordType(IntEnum):
    WRITE = 1
    ZEROES = 2
    TRIM = 3
    IBC = 4
    CHECKPOINT = 5
    ROLE = 6


_WITH_PAYLOAD = (RecordType.WRITE, RecordType.IBC, RecordType.ROLE)

# By type byte: 1 a payload follows, 0 none, -1 no such type. One index instead of an enum per record.
_PAYLOAD = tuple(
    -1 if kind & _TYPE_MASK not in set(RecordType) else int(kind & _TYPE_MASK in _WITH_PAYLOAD)
    for kind in range(256)
)

Write = tuple[int, int, int, int, memoryview | None]
"""What is to be logged: (type_byte, volume_index, offset, length, payload)."""

Record = tuple[int, int, int, int, int, int, int, int, int]
"""What was found: (type_byte, volume_index, offset, length, payload_start, payload_end, lsn_end,
timestamp_ns, durable_lsn); the payload positions are indexes into the view that was cut."""


def record_bytes(payload_bytes: int) -> int:
    """Length of a record in the stream, padding included."""
    return HEADER_BYTES + ((payload_bytes + 7) & ~7)


class BatchEncoder:
    """Turns batches of writes into the buffers of one vectored write.

    The headers lie in an area that the next `encode` overwrites: the buffers are good until then.
    """

    def __init__(self) -> None:
        self._headers: list[tuple[memoryview, memoryview]] = []

    def _grow(self, count: int) -> None:
        assert count <= BATCH_RECORDS_MAX, f"{count} records in one batch"
        fresh = min(max(64, 2 * count), BATCH_RECORDS_MAX) - len(self._headers)
        area = memoryview(bytearray(fresh * HEADER_BYTES))
        for start in range(0, len(area), HEADER_BYTES):
            header = area[start:start + HEADER_BYTES]
            self._headers.append((header, header[:_CHECKED_BYTES]))

    def encode(
        self, writes: Sequence[Write], *, lsn: int, generation: int, incarnation: int, timestamp_ns: int,
        durable_lsn: int,
    ) -> tuple[list[Buffer], int]:
        """Buffers of the batch from `lsn` on, payloads as given, and the LSN behind its last record.

        0.3 us for a record beyond the CRC of its payload (bench of 4 KiB writes, 256 in a batch).
        """
        if len(writes) > len(self._headers):
            self._grow(len(writes))
        buffers: list[Buffer] = []
        append, pack_body, pack_crc, checksum = buffers.append, _BODY.pack_into, _CRC.pack_into, crc32c
        for (kind, volume, offset, length, payload), (header, checked) in zip(
                writes, self._headers, strict=False):
            if payload is None:
                pack_body(header, 0, _MAGIC, VERSION, kind, volume, generation, incarnation, lsn, timestamp_ns,
                          offset, length, durable_lsn, 0)
                pack_crc(header, _CHECKED_BYTES, checksum(checked))
                append(header)
                lsn += HEADER_BYTES
                continue
            size = len(payload)
            pack_body(header, 0, _MAGIC, VERSION, kind, volume, generation, incarnation, lsn, timestamp_ns,
                      offset, length, durable_lsn, checksum(payload))
            pack_crc(header, _CHECKED_BYTES, checksum(checked))
            append(header)
            append(payload)
            if padding := -size & 7:
                append(_PADDING[padding])
            lsn += HEADER_BYTES + size + padding
        return buffers, lsn


@dataclass(slots=True)
class Cursor:
    """Where the stream stands: what the next record must fit behind."""

    lsn: int
    generation: int = 0
    incarnation: int = 0


class RecordHeader(NamedTuple):
    """All fields of one header, for those who look at single records (dump, recovery's verdict)."""

    magic: int
    version: int
    type_byte: int
    volume: int
    generation: int
    incarnation: int
    lsn: int
    timestamp_ns: int
    offset: int
    length: int
    durable_lsn: int
    payload_crc: int
    header_crc: int

    @property
    def type(self) -> RecordType:
        return RecordType(self.type_byte & _TYPE_MASK)


class BadRecord(Exception):
    """The bytes at `lsn` are no record that fits there; `position` is their index in the view.

    `foreign`: the bytes are intact and in place, but not what this version writes or accepts: never
    the torn end of a log. `version` is then the record's, 0 otherwise.
    """

    def __init__(self, lsn: int, reason: str, position: int, *, foreign: bool = False, version: int = 0) -> None:
        super().__init__(f"LSN {lsn}: {reason}")
        self.lsn = lsn
        self.reason = reason
        self.position = position
        self.foreign = foreign
        self.version = version


def read_header(view: Buffer, position: int) -> RecordHeader | None:
    """The header at `position` when its magic and CRC are right, whatever it says; None otherwise."""
    if len(view) - position < HEADER_BYTES:
        return None
    header = RecordHeader._make(_HEADER.unpack_from(view, position))
    checked = memoryview(view)[position:position + _CHECKED_BYTES]
    return header if header.magic == _MAGIC and crc32c(checked) == header.header_crc else None


def cut(view: memoryview, start: int, end: int, cursor: Cursor, out: list[Record]) -> int:
    """Append every complete record of view[start:end] to `out`, and move `cursor` behind the last one.

    Returns the position behind the last complete record; what lies behind it is the beginning of the
    next one. Raises BadRecord at the first that does not fit, with all good ones in `out`.
    """
    position = start
    lsn, generation, incarnation = cursor.lsn, cursor.generation, cursor.incarnation
    unpack, checksum, carries, append = _HEADER.unpack_from, crc32c, _PAYLOAD, out.append
    try:
        while end - position >= HEADER_BYTES:
            (magic, version, kind, volume, its_generation, its_incarnation, its_lsn, timestamp_ns, offset,
             length, durable_lsn, payload_crc, header_crc) = unpack(view, position)
            payload = position + HEADER_BYTES
            if (header_crc != checksum(view[position:payload - 4]) or magic != _MAGIC or version != VERSION
                    or its_lsn != lsn or its_generation < generation or its_incarnation < incarnation
                    or carries[kind] < 0 or durable_lsn > lsn or offset + length > _VOLUME_END_MAX
                    or (carries[kind] and length > PAYLOAD_MAX_BYTES)):
                raise _bad_header(view, position, Cursor(lsn, generation, incarnation))
            payload_end = payload + length if carries[kind] else payload
            after = payload_end + (-payload_end + position & 7)
            if after > end:
                break
            if payload_end > payload:
                if checksum(view[payload:payload_end]) != payload_crc:
                    raise BadRecord(lsn, "payload CRC", position)
            elif payload_crc:
                raise BadRecord(lsn, "payload CRC without payload", position, foreign=True)
            if after != payload_end and any(view[payload_end:after]):
                raise BadRecord(lsn, "padding", position)
            lsn += after - position
            position = after
            generation, incarnation = its_generation, its_incarnation
            append((kind, volume, offset, length, payload, payload_end, lsn, timestamp_ns, durable_lsn))
    finally:
        cursor.lsn, cursor.generation, cursor.incarnation = lsn, generation, incarnation
    return position


def _bad_header(view: memoryview, position: int, cursor: Cursor) -> BadRecord:
    """Which of `cut`'s conditions failed, in the order in which they mean something."""
    header = read_header(view, position)
    if header is None:
        magic = view[position:position + 4] == MAGIC
        return BadRecord(cursor.lsn, "header CRC" if magic else "magic", position)
    # Intact, but from another place or time: what an earlier lap or a lost tail left behind.
    if header.lsn != cursor.lsn:
        return BadRecord(cursor.lsn, f"LSN {header.lsn}", position)
    for name, found, least in (("generation", header.generation, cursor.generation),
                               ("incarnation", header.incarnation, cursor.incarnation)):
        if found < least:
            return BadRecord(cursor.lsn, f"{name} {found} after {least}", position)
    if header.version != VERSION:
        return BadRecord(cursor.lsn, f"version {header.version}", position, foreign=True, version=header.version)
    if _PAYLOAD[header.type_byte] < 0:
        reason = f"type {header.type_byte & _TYPE_MASK}"
    elif header.durable_lsn > header.lsn:
        reason = f"durable LSN {header.durable_lsn} ahead of it"
    else:
        reason = f"length {header.length} at offset {header.offset}"
    return BadRecord(cursor.lsn, reason, position, foreign=True)
