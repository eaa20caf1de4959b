"""Frames of a link: their bytes, and the reader that cuts them out of what arrives. Pure.

Both directions speak frames once both ends have proved who they are (`link.auth`). Little endian:

     0   type       u8    FrameType
     1   flags      u8    0 in version 1; others are an error
     2   stream     u16   which connection of the link carries it (0 while there is one)
     4   length     u32   bytes of body that follow the header
     8   lsn        u64   see the table
    16   aux        u64   see the table
    24   body_crc   u32   CRC32C of the body; 0 for LOG, whose records carry their own
    28   header_crc u32   CRC32C of bytes 0..27
    32   body

| type        | way | lsn                     | aux           | body |
|-------------|-----|-------------------------|---------------|------|
| HELLO       | P→S |                         |               | JSON: `link.negotiate.Hello` |
| WELCOME     | S→P |                         |               | JSON: `link.negotiate.Welcome` |
| REFUSE      | any |                         |               | JSON: `link.negotiate.Refuse`; the connection ends |
| START       | P→S | stream starts here      |               | JSON: `link.negotiate.Start` |
| LOG         | P→S | LSN of the first byte   | commit LSN    | log stream bytes, any cut |
| COMMIT      | P→S | commit LSN              |               | |
| ACK         | S→P | network ack             | data ack      | u64 applied LSN |
| REGION      | P→S | byte offset             | volume index  | the region's bytes |
| REGION_ZERO | P→S | byte offset             | volume index  | u64 length: the region reads as zeroes |
| REGION_ACK  | S→P | region frames durable   |               | (counted since START) |
| SYNC_END    | P→S | consistent from here on |               | |
| CONSISTENT  | S→P | LSN                     |               | the Secondary is consistent again |
| HEARTBEAT   | any | sender's clock, ns      | 0 ask, 1 echo | |
| STATE       | P→S |                         |               | JSON: what the Secondary shows of the link's state |
| VERIFY      | S→P | start of a range        | its length    | u64 checksum of it (`log.tails`), from disk |
| VERIFIED    | P→S | the same                | the same      | u64: 0 equal, 1 different, 2 not here any more |
| VERDICT     | S→P | the same                | the same      | u64: LSN of its first damaged record, 0: intact |
| ANNOUNCE    | P→S | end of the log          | writes so far | |
| REWIND      | P→S | fork                    |               | what has the Secondary beyond it? |
| DIVERGED    | S→P | bytes in all            | from byte     | a piece of saved region maps (`rvg.maps`) |

An older reader meets an unknown type: it refuses, naming it; HELLO carries the protocol number so that
this does not happen between known versions.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import crc32c

from volrep.model.shape import BadShape, read_json

FRAME_HEADER_BYTES = 32
_FIELDS = struct.Struct("<BBHIQQI")
_CRC = struct.Struct("<I")
U64 = struct.Struct("<Q")

LOG_BODY_MAX = 1 << 20
REGION_BODY_MAX = 1 << 20
JSON_BODY_MAX = 64 << 10  # a HELLO with 1,000 volumes of 31-character names stays below it

DIVERGED_BODY_MAX = 64 << 10  # maps of 1 TiB: 9 pieces


class FrameType(IntEnum):
    HELLO = 1
    WELCOME = 2
    REFUSE = 3
    START = 4
    LOG = 5
    COMMIT = 6
    ACK = 7
    REGION = 8
    REGION_ZERO = 9
    REGION_ACK = 10
    SYNC_END = 11
    CONSISTENT = 12
    HEARTBEAT = 13
    STATE = 14
    ANNOUNCE = 15
    REWIND = 16
    DIVERGED = 17
    VERIFY = 18
    VERIFIED = 19
    VERDICT = 20


_LOG = int(FrameType.LOG)

_BODY_MAX = {
    FrameType.HELLO: JSON_BODY_MAX,
    FrameType.WELCOME: JSON_BODY_MAX,
    FrameType.REFUSE: JSON_BODY_MAX,
    FrameType.START: JSON_BODY_MAX,
    FrameType.LOG: LOG_BODY_MAX,
    FrameType.COMMIT: 0,
    FrameType.ACK: U64.size,
    FrameType.REGION: REGION_BODY_MAX,
    FrameType.REGION_ZERO: U64.size,
    FrameType.REGION_ACK: 0,
    FrameType.SYNC_END: 0,
    FrameType.CONSISTENT: 0,
    FrameType.HEARTBEAT: 0,
    FrameType.STATE: JSON_BODY_MAX,
    FrameType.VERIFY: U64.size,
    FrameType.VERIFIED: U64.size,
    FrameType.VERDICT: U64.size,
    FrameType.ANNOUNCE: 0,
    FrameType.REWIND: 0,
    FrameType.DIVERGED: DIVERGED_BODY_MAX,
}

Frame = tuple[int, int, int, memoryview]
"""(type, lsn, aux, body). The body is valid until the next `FrameReader.want`; that of LOG lies in the log space."""


class BadFrame(Exception):
    """What arrived is not a frame of this protocol; the connection must be closed."""


class Damaged(BadFrame):
    """Bytes that fail their checksum: not those that were sent, or once written. `lsn`: of the record; 0 elsewhere."""

    def __init__(self, text: str, lsn: int = 0) -> None:
        super().__init__(text)
        self.lsn = lsn


def frame_header(kind: FrameType, *, length: int = 0, lsn: int = 0, aux: int = 0, body_crc: int = 0) -> bytes:
    fields = _FIELDS.pack(kind, 0, 0, length, lsn, aux, body_crc)
    return fields + _CRC.pack(crc32c.crc32c(fields))


def frame(kind: FrameType, body: bytes = b"", *, lsn: int = 0, aux: int = 0) -> bytes:
    """A whole frame with a small body."""
    crc = crc32c.crc32c(body) if body else 0
    return frame_header(kind, length=len(body), lsn=lsn, aux=aux, body_crc=crc) + body


def json_frame(kind: FrameType, value: dict[str, Any], *, lsn: int = 0) -> bytes:
    body = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
    if len(body) > JSON_BODY_MAX:
        raise ValueError(f"{kind.name} body has {len(body)} bytes, the limit is {JSON_BODY_MAX}")
    return frame(kind, body, lsn=lsn)


def json_body(body: memoryview) -> dict[str, Any]:
    """The JSON object of a body. Raises BadFrame."""
    try:
        value = read_json(bytes(body))
    except BadShape as error:
        raise BadFrame(f"body is {error}") from error
    if not isinstance(value, dict):
        raise BadFrame("body is not a JSON object")
    return value


def u64_body(body: memoryview) -> int:
    """The one integer of an ACK or REGION_ZERO body. Raises BadFrame."""
    if len(body) != U64.size:
        raise BadFrame(f"body has {len(body)} bytes, not {U64.size}")
    return int(U64.unpack(body)[0])


def parse_header(view: memoryview) -> tuple[int, int, int, int, int]:
    """(type, length, lsn, aux, body_crc) of a frame header of 32 bytes. Raises BadFrame."""
    (header_crc,) = _CRC.unpack_from(view, _FIELDS.size)
    if crc32c.crc32c(view[: _FIELDS.size]) != header_crc:
        raise Damaged("frame header checksum does not match")
    kind, flags, stream, length, lsn, aux, body_crc = _FIELDS.unpack_from(view)
    limit = _BODY_MAX.get(kind)
    if limit is None:
        raise BadFrame(f"unknown frame type {kind}")
    if flags or stream:
        raise BadFrame(f"frame flags {flags} and stream {stream} are not known to this version")
    if length > limit:
        raise BadFrame(f"{FrameType(kind).name} body of {length} bytes exceeds {limit}")
    return kind, length, lsn, aux, body_crc


class FrameReader:
    """Cuts frames out of a byte stream without copying them: the caller receives into `want()`.

    LOG bodies go straight to where the log wants them: `log_space(lsn, length)` gives the view to fill,
    and may raise BadFrame (not contiguous, no room).
    """

    def __init__(self, log_space: Callable[[int, int], memoryview]) -> None:
        self._log_space = log_space
        self._header = memoryview(bytearray(FRAME_HEADER_BYTES))
        self._small = memoryview(bytearray(JSON_BODY_MAX))
        self._region: memoryview | None = None
        self._fields: tuple[int, int, int, int, int] | None = None
        self._target = self._header
        self._filled = 0

    def want(self) -> memoryview:
        """Where the next received bytes belong; never empty."""
        return self._target[self._filled :]

    def received(self, count: int) -> Frame | None:
        """`count` bytes were put into `want()`. The frame they complete, if they do. Raises BadFrame."""
        self._filled += count
        if self._filled < len(self._target):
            return None
        if self._fields is None:
            self._fields = parse_header(self._header)
            self._filled = 0
            self._target = self._body_space(*self._fields[:3])
            if len(self._target):
                return None
        kind, _, lsn, aux, body_crc = self._fields
        body = self._target
        if kind != _LOG and (crc32c.crc32c(body) if len(body) else 0) != body_crc:
            raise Damaged(f"{FrameType(kind).name} body checksum does not match")
        self._fields, self._target, self._filled = None, self._header, 0
        return kind, lsn, aux, body

    def _body_space(self, kind: int, length: int, lsn: int) -> memoryview:
        if kind == _LOG:
            return self._log_space(lsn, length) if length else self._small[:0]
        if length > JSON_BODY_MAX:
            if self._region is None:
                self._region = memoryview(bytearray(REGION_BODY_MAX))
            return self._region[:length]
        return self._small[:length]
