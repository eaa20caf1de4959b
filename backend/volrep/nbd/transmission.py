"""The transmission phase: bytes into requests, answers into bytes, a batch at a time.

Pure. Knows the shape and the rules of requests and replies; knows no socket and no volume. The `Cutter` runs over a
receive buffer and cuts all complete requests out of it in one loop, one unpack each; payloads are slices of the
buffer, never copied. Invalid requests never leave it: it answers them itself, as nbdkit would.

A write longer than `SLICE_BYTES_MAX` is handed on in slices as its payload arrives, so that a connection's memory
does not depend on what a client sends: the longest piece that must be in the buffer at once is one header and one
slice.
"""

from __future__ import annotations

from collections.abc import Sequence

from volrep.nbd import wire
from volrep.nbd.exports import ExportInfo
from volrep.nbd.handshake import PAYLOAD_BYTES_MAX

Request = tuple[int, int, bytes, int, int, memoryview | None, bool]
"""(command, flags, cookie, offset, length, payload, last).

`payload` is the data of a WRITE (length bytes of the receive buffer), None for everything else. `last` is False for
all slices of a long WRITE but its final one; they share a cookie, their offsets and lengths are their own, and they
get one reply together, after the final one.
"""

SLICE_BYTES_MAX = 1 << 20
EXTENTS_MAX = 1 << 16  # in one block status reply: 512 KiB; the client asks again for the rest
UNLIMITED = 1 << 62

_FUA = wire.CMD_FLAG_FUA
# FUA is allowed with every command and means something only with those that change data.
_ALLOWED_FLAGS = {
    wire.CMD_READ: _FUA | wire.CMD_FLAG_DF,
    wire.CMD_WRITE: _FUA,
    wire.CMD_FLUSH: _FUA,
    wire.CMD_TRIM: _FUA,
    wire.CMD_CACHE: _FUA,
    wire.CMD_WRITE_ZEROES: _FUA | wire.CMD_FLAG_NO_HOLE,
    wire.CMD_BLOCK_STATUS: _FUA | wire.CMD_FLAG_REQ_ONE,
}
_CHANGING = (wire.CMD_WRITE, wire.CMD_TRIM, wire.CMD_WRITE_ZEROES)
_GROWING = (wire.CMD_WRITE, wire.CMD_WRITE_ZEROES)
_CARRYING = (wire.CMD_READ, wire.CMD_WRITE)  # a payload in one direction or the other


class ProtocolError(Exception):
    """The client broke the protocol; the connection cannot go on. `str()` says how."""


class Cutter:
    """Cuts one connection's received bytes into requests.

    After DISC `disconnected` is set and nothing more is cut. Of the last `cut` that returned: `held` says whether it
    handed out payloads, so that their part of the buffer must not be reused until the service is done with them;
    `slices` how many of its requests are not the last of their write, and get no reply; `read_bytes_left` what it
    left of `read_bytes_max` (below 0 when the last READ went beyond it).
    """

    def __init__(self, export: ExportInfo, structured: bool, contexts: Sequence[int] = ()) -> None:
        self._export = export
        self._structured = structured
        self._contexts = contexts
        self._size_bytes = export.size_bytes
        self._writable_bytes = -1 if export.read_only else export.size_bytes  # -1: no write fits
        self._flags = dict(_ALLOWED_FLAGS)
        if not structured:
            self._flags[wire.CMD_READ] = _FUA  # DF was not offered
        # Inside the payload of a long or refused write: what is left of it.
        self._left_bytes = 0
        self._slice_flags = 0
        self._slice_cookie = b""
        self._slice_offset = 0
        self._refusal: bytes | None = None  # skipping; this is the answer once the payload is over
        self.held = False
        self.slices = 0
        self.read_bytes_left = 0
        self.disconnected = False

    def cut(self, view: memoryview, start: int, end: int, out: list[Request], replies: list[bytes], *,
            requests_max: int = UNLIMITED, read_bytes_max: int = UNLIMITED) -> int:
        """Cut the requests that lie complete in view[start:end] into `out`; returns where the rest begins.

        Stops when `out` holds `requests_max`, and before a READ once reads of `read_bytes_max` have been cut (so
        the last one may exceed it). Answers to invalid requests are appended to `replies`. Raises ProtocolError
        when the bytes are no request; what was cut before is in `out` all the same.
        """
        unpack = wire.REQUEST.unpack_from
        writable_bytes, size_bytes = self._writable_bytes, self._size_bytes
        held = self.held = False
        self.slices = 0
        if self._left_bytes:
            start = self._continue(view, start, end, out, replies)
            held = self.held
        while end - start >= 28 and len(out) < requests_max and not (self._left_bytes or self.disconnected):
            magic, flags, command, cookie, offset, length = unpack(view, start)
            if magic != wire.REQUEST_MAGIC:
                raise ProtocolError(f"bad request magic {magic:#010x}")
            body = start + 28
            if (command == 1 and flags <= 1 and 0 < length <= SLICE_BYTES_MAX
                    and offset + length <= writable_bytes):  # WRITE, with FUA or without
                if end - body < length:
                    break
                start = body + length
                out.append((1, flags, cookie, offset, length, view[body:start], True))
                held = True
            elif command == 0 and flags == 0 and 0 < length <= PAYLOAD_BYTES_MAX and offset + length <= size_bytes:
                if read_bytes_max <= 0:
                    break
                read_bytes_max -= length
                out.append((0, 0, cookie, offset, length, None, True))
                start = body
            else:
                if command == 0 and read_bytes_max <= 0:
                    break
                start = body
                read_bytes_max -= self._take_rare((command, flags, cookie, offset, length, None, True), out, replies)
                if self._left_bytes:
                    start = self._continue(view, start, end, out, replies)
                    held = held or self.held
        self.held = held
        self.read_bytes_left = read_bytes_max
        return start

    def _take_rare(self, request: Request, out: list[Request], replies: list[bytes]) -> int:
        """Everything but the plain reads and writes that `cut` takes itself; returns the bytes to be read for it."""
        command, flags, cookie, offset, length, _, _ = request
        if command == wire.CMD_DISC:
            self.disconnected = True
            return 0
        error = self._refuse(command, flags, offset, length)
        if command == wire.CMD_WRITE and length:
            self._left_bytes, self._slice_cookie = length, cookie
            self._slice_flags, self._slice_offset = flags, offset
            self._refusal = error_reply(cookie, error, self._structured) if error else None
        elif error:
            replies.append(error_reply(cookie, error, self._structured))
        else:
            out.append(request)
            return length if command == wire.CMD_READ else 0
        return 0

    def _refuse(self, command: int, flags: int, offset: int, length: int) -> int:
        """The error (wire.E*) that answers an invalid request, 0 for a valid one."""
        if command not in self._flags or flags & ~self._flags[command]:
            return wire.EINVAL
        if command in _CHANGING and self._export.read_only:
            return wire.EPERM
        if command == wire.CMD_FLUSH:
            return wire.EINVAL if offset or length else 0
        if not length or (command == wire.CMD_BLOCK_STATUS and not self._contexts):
            return wire.EINVAL
        if offset + length > self._size_bytes:
            return wire.ENOSPC if command in _GROWING else wire.EINVAL
        return wire.EOVERFLOW if command in _CARRYING and length > PAYLOAD_BYTES_MAX else 0

    def _continue(self, view: memoryview, start: int, end: int, out: list[Request], replies: list[bytes]) -> int:
        """Go on inside a long or refused write; returns where the rest begins."""
        self.held = False
        if self._refusal is not None:
            skipped = min(self._left_bytes, end - start)
            self._left_bytes -= skipped
            if not self._left_bytes:
                replies.append(self._refusal)
                self._refusal = None
            return start + skipped
        while self._left_bytes:
            length = min(self._left_bytes, SLICE_BYTES_MAX)
            if end - start < length:
                break
            self._left_bytes -= length
            out.append((wire.CMD_WRITE, self._slice_flags, self._slice_cookie, self._slice_offset, length,
                        view[start:start + length], not self._left_bytes))
            self.held = True
            self.slices += self._left_bytes > 0
            self._slice_offset += length
            start += length
        return start


_DONE_MAGIC = wire.SIMPLE_REPLY.pack(wire.SIMPLE_REPLY_MAGIC, 0, b"")[:8]

# What a reply may say, by the system's own errno; anything else is EIO. (EROFS, EDQUOT, EFBIG, EAGAIN differ.)
_WIRE_ERRORS = {
    1: wire.EPERM, 13: wire.EPERM, 30: wire.EPERM, 5: wire.EIO, 12: wire.ENOMEM, 22: wire.EINVAL,
    27: wire.ENOSPC, 28: wire.ENOSPC, 122: wire.ENOSPC, 75: wire.EOVERFLOW, 95: wire.ENOTSUP, 108: wire.ESHUTDOWN,
}


def write_replies(cookies: Sequence[bytes]) -> bytes:
    """Success for a batch of requests without data in their replies: everything but READ and BLOCK_STATUS.

    Simple replies: those are allowed for these commands also when structured ones are negotiated, and are shorter.
    """
    return _DONE_MAGIC + _DONE_MAGIC.join(cookies) if cookies else b""


def error_reply(cookie: bytes, errno: int, structured: bool) -> bytes:
    """Failure of any request. `errno` is the system's own; it is mapped to what the protocol allows."""
    assert errno > 0
    error = _WIRE_ERRORS.get(errno, wire.EIO)
    if not structured:
        return wire.SIMPLE_REPLY.pack(wire.SIMPLE_REPLY_MAGIC, error, cookie)
    return wire.CHUNK_ERROR.pack(wire.STRUCTURED_REPLY_MAGIC, wire.REPLY_FLAG_DONE, wire.REPLY_TYPE_ERROR, cookie, 6,
                                 error, 0)


def read_reply_header(cookie: bytes, offset: int, length: int, structured: bool) -> bytes:
    """What goes before the `length` bytes of a READ's data: one chunk for all of it, so that DF holds anyway."""
    if not structured:
        return _DONE_MAGIC + cookie
    return wire.CHUNK_OFFSET_DATA.pack(wire.STRUCTURED_REPLY_MAGIC, wire.REPLY_FLAG_DONE,
                                       wire.REPLY_TYPE_OFFSET_DATA, cookie, length + 8, offset)


def block_status_reply(cookie: bytes, context_id: int, extents: Sequence[tuple[int, int]]) -> bytes:
    """Answer to BLOCK_STATUS: (length, state) pairs from the request's offset on, state of wire.STATE_*.

    At least one extent, of which EXTENTS_MAX are sent; only the last may reach beyond the request; with REQ_ONE
    there must be one.
    """
    assert extents
    extents = extents[:EXTENTS_MAX]
    parts = [wire.CHUNK_BLOCK_STATUS.pack(wire.STRUCTURED_REPLY_MAGIC, wire.REPLY_FLAG_DONE,
                                          wire.REPLY_TYPE_BLOCK_STATUS, cookie, 4 + 8 * len(extents), context_id)]
    parts.extend(wire.EXTENT.pack(length, state) for length, state in extents)
    return b"".join(parts)
