"""One NBD client on the reactor: receives, cuts, hands requests to the service, and sends its replies.

Knows buffers, bounds and the order of things; what requests mean is the service's. All of it runs in the reactor's
thread.

    on_readable ─► one receive ─► cut ─► service.submit(connection, requests) ─► flush
    service     ─► reply_writes / reply_read / ... ─► flush_replies ─► one vectored send

Receive buffer. Payloads of writes are slices of it. After a `submit` with writes nothing is received into it until
the service calls `release()`; most services do so within the same turn, and then it costs nothing.

Bounds, per connection. Each stops the reading of further requests until it is no longer reached:

    receive buffer   RECEIVE_BYTES       2 MiB
    requests         IN_FLIGHT_MAX       1,024 submitted and not answered, some 300 bytes each: 0.3 MiB
    data of reads    READ_BYTES_MAX      8 MiB asked for and not answered (the last request may exceed it, by 32 MiB)
    replies          QUEUED_BYTES_MAX    8 MiB not taken by the kernel (what was in flight then may exceed it)

so at most 2 + 0.3 + (8 + 32) + 8 MiB = 51 MiB; a client that sends small requests and takes its replies touches some
hundred KiB of its receive buffer, an idle one next to nothing.
"""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable, Sequence
from typing import Protocol

from volrep.nbd.exports import ExportInfo, Exports
from volrep.nbd.handshake import BASE_ALLOCATION_ID, Closed, Handshake
from volrep.nbd.replies import Replies
from volrep.nbd.transmission import (
    Cutter,
    ProtocolError,
    Request,
    block_status_reply,
    error_reply,
    read_reply_header,
    write_replies,
)
from volrep.ports.files import BlockFile
from volrep.ports.reactor import Loop
from volrep.ports.streams import Stream, StreamClosed

_log = logging.getLogger("volrep.nbd")

RECEIVE_BYTES = 2 << 20  # must exceed the largest piece, one header and one slice: 28 bytes + 1 MiB
IN_FLIGHT_MAX = 1024
READ_BYTES_MAX = 8 << 20
QUEUED_BYTES_MAX = 8 << 20
HANDSHAKE_S = 30.0  # a client that does not finish by then loses its place
TAIL_MOVE_BYTES = 64 << 10  # an incomplete request this short is moved to the front at once: 64 KiB take some 3 µs

DISCONNECTED = "disconnected by the client"


class Service(Protocol):
    """What answers requests. Provided by the RVG."""

    def submit(self, connection: Connection, requests: list[Request]) -> None:
        """Take all requests of one receive, in arrival order. The list is the service's to keep.

        Each gets exactly one reply through `connection` (slices of a long write: one together, after the last),
        in any order, now or later. When any of them carries a payload, `connection.release()` must follow as soon
        as the payloads are no longer needed. Requests are valid: within the export, with allowed flags, no change
        of a read-only export. `submit` is called only from the reactor's round, never from within a reply or
        `release`.
        """
        ...


class Connection:
    """A `volrep.ports.reactor.Handler` over one stream; registers itself.

    `on_closed(connection, reason)` is called once, whatever ends it. Replies to a closed connection are dropped
    without a word, by design: a service need not know that a client went away while its requests were under way.
    """

    __slots__ = (
        "_advancing", "_cutter", "_draining", "_end", "_handshake", "_held", "_in_flight", "_loop", "_more",
        "_on_closed", "_read_bytes", "_reading", "_replies", "_resuming", "_service", "_start", "_stream",
        "_structured", "_timer", "_view", "_writing", "closed", "export", "name",
    )

    def __init__(self, stream: Stream, loop: Loop, exports: Exports, service: Service,
                 on_closed: Callable[[Connection, str], None]) -> None:
        self._stream, self._loop, self._service, self._on_closed = stream, loop, service, on_closed
        self.name = stream.name
        self.export: ExportInfo | None = None  # set when the handshake is over
        self.closed = False
        self._handshake = Handshake(exports)
        self._cutter: Cutter | None = None
        self._structured = False
        self._view = memoryview(mmap.mmap(-1, RECEIVE_BYTES))  # only what was ever received into takes memory
        self._start = self._end = 0  # what is received and not cut
        self._held = False  # payloads in the buffer belong to the service
        self._more = False  # a bound stopped the cutting; what is received may hold complete requests
        self._in_flight = 0
        self._read_bytes = 0  # asked for by reads in flight
        self._replies = Replies()
        self._reading, self._writing = True, False  # as the loop knows it
        self._advancing = self._resuming = self._draining = False
        self._timer = loop.call_at(loop.clock.monotonic_s() + HANDSHAKE_S, self._on_handshake_late)
        loop.register(stream.fileno(), self)
        self._queue(self._handshake.start())
        self.flush_replies()

    # The reactor's side

    def on_readable(self) -> None:
        if not self._reading:  # not asked for: then it is an error or a hang-up
            self.close(DISCONNECTED if self._draining else "hung up while its requests were under way")
        elif self._blocked():
            self._show_interest()
        else:
            self._receive()

    def on_writable(self) -> None:
        self.flush_replies()

    def _on_handshake_late(self) -> None:
        self.close(f"no export chosen within {HANDSHAKE_S:.0f} seconds")

    def _receive(self) -> None:
        try:
            while True:
                received = self._stream.recv_into(self._view[self._end:])
                if received < 0:
                    return
                self._end += received
                self._advance()
                if self._blocked() or not self._stream.pending():
                    break
        except (ProtocolError, StreamClosed) as error:
            self._fail(error)
            return
        self.flush_replies()

    def _advance(self) -> None:
        """Hand on what is received, until nothing complete is left or a bound is reached."""
        if self._cutter is None and not self._negotiate():
            return
        cutter = self._cutter
        assert cutter is not None
        self._advancing = True
        begin = -1
        while begin != self._start and not self._blocked():
            begin = self._start
            requests: list[Request] = []
            refusals: list[bytes] = []
            self._start = cutter.cut(self._view, begin, self._end, requests, refusals,
                                     requests_max=IN_FLIGHT_MAX - self._in_flight,
                                     read_bytes_max=READ_BYTES_MAX - self._read_bytes)
            if refusals:
                self._queue(b"".join(refusals))
            self._draining = cutter.disconnected
            if requests:
                self._in_flight += len(requests) - cutter.slices
                self._read_bytes = READ_BYTES_MAX - cutter.read_bytes_left
                self._held = cutter.held
                self._service.submit(self, requests)
            if self._start == self._end:
                break
        self._advancing = False
        self._more = self._start != self._end and self._blocked()
        if not self._held:
            self._compact()

    def _negotiate(self) -> bool:
        """Go on with the handshake; True when it is over and requests may follow."""
        answer = self._handshake.feed(self._view[:self._end])
        self._end = 0
        if answer:
            self._queue(answer)
        outcome = self._handshake.outcome
        if outcome is None:
            return False
        if isinstance(outcome, Closed):
            self.flush_replies()
            self._end_with(outcome.reason, logging.INFO if outcome.orderly else logging.WARNING)
            return False
        self._timer.cancel()
        self.export, self._structured = outcome.export, outcome.structured
        self._cutter = Cutter(outcome.export, outcome.structured, outcome.contexts)
        leftover = self._handshake.leftover
        self._end = len(leftover)
        self._view[:self._end] = leftover
        self._handshake.leftover = b""
        return True

    def _compact(self) -> None:
        """Make room behind the incomplete request at the end, by moving it to the front when that is cheap or due."""
        tail_bytes = self._end - self._start
        if not tail_bytes:
            self._start = self._end = 0
        elif self._start and (tail_bytes <= TAIL_MOVE_BYTES or self._end > RECEIVE_BYTES // 2):
            self._view[:tail_bytes] = self._view[self._start:self._end]
            self._start, self._end = 0, tail_bytes

    # Flow control

    def _blocked(self) -> bool:
        return (self._held or self._in_flight >= IN_FLIGHT_MAX or self._read_bytes >= READ_BYTES_MAX
                or self._replies.queued_bytes > QUEUED_BYTES_MAX or self._draining or self.closed)

    def _show_interest(self) -> None:
        reading, writing = not self._blocked(), self._replies.queued_bytes > 0
        if (reading, writing) != (self._reading, self._writing):
            self._reading, self._writing = reading, writing
            self._loop.modify(self._stream.fileno(), reading=reading, writing=writing)

    def _resume(self) -> None:
        """After a bound may have been left: read again, and come back to what is received already."""
        if self._advancing or self.closed or self._blocked():
            return
        if not self._reading:
            self._show_interest()
        if (self._more or self._stream.pending()) and not self._resuming:
            self._resuming = True
            self._loop.call_soon(self._on_resumed)

    def _on_resumed(self) -> None:
        self._resuming = False
        if self.closed or self._blocked():
            return
        try:
            self._advance()
        except ProtocolError as error:
            self._fail(error)
            return
        self.flush_replies()
        if not self._blocked() and self._stream.pending():
            self._receive()

    # The service's side

    def release(self) -> None:
        """The payloads of the last `submit` are no longer needed: their memory may be overwritten."""
        if self.closed or not self._held:
            return
        self._held = False
        if not self._advancing:
            self._compact()
            self._resume()

    def reply_writes(self, cookies: Sequence[bytes]) -> None:
        """Success of requests without data in the reply: WRITE, WRITE_ZEROES, TRIM, FLUSH, CACHE."""
        self._in_flight -= len(cookies)
        self._queue(write_replies(cookies))

    def reply_error(self, cookie: bytes, errno: int) -> None:
        """Failure of any request; `errno` is the system's own (`errno.EIO` ...)."""
        self._in_flight -= 1
        self._queue(error_reply(cookie, errno, self._structured))

    def reply_read(self, cookie: bytes, offset: int, data: memoryview | bytes) -> None:
        """The data of a READ at `offset`, all of it.

        The memory must not change until `flush_replies` returns (or `submit`, for replies within it). What the kernel
        does not take by then is copied, unless `data` is read-only (`bytes`, or a view made by `toreadonly()`), which
        promises that the memory will never change again.
        """
        if self.closed:
            return
        length = len(data)
        self._in_flight -= 1
        self._read_bytes -= length
        self._replies.add(read_reply_header(cookie, offset, length, self._structured), data)

    def reply_read_from(self, cookie: bytes, offset: int, length: int, file: BlockFile) -> None:
        """The data of a READ, straight out of the volume's page cache; the caller has asked `file.is_cached`.

        What a client does not take at once is read when it does. Should the disk be needed for it by then, and fail,
        the connection breaks: half an answer cannot become an error.
        """
        if self.closed:
            return
        self._in_flight -= 1
        self._read_bytes -= length
        self._replies.add(read_reply_header(cookie, offset, length, self._structured))
        self._replies.add_range(file, offset, length)

    def reply_block_status(self, cookie: bytes, extents: Sequence[tuple[int, int]]) -> None:
        """(length, state) pairs from the request's offset on, state of wire.STATE_*; see `block_status_reply`."""
        self._in_flight -= 1
        self._queue(block_status_reply(cookie, BASE_ALLOCATION_ID, extents))

    def flush_replies(self) -> None:
        """Send what was replied. Needed for replies made outside `submit` only; once per batch, not per reply."""
        if self.closed:
            return
        try:
            self._replies.flush(self._stream)
        except StreamClosed as error:
            self._fail(error)
            return
        if not self._in_flight:
            self._read_bytes = 0  # reads that ended in an error did not say their length
            if self._draining and not self._replies.queued_bytes:
                self.close(DISCONNECTED)
                return
        if self._writing != (self._replies.queued_bytes > 0):
            self._show_interest()
        self._resume()

    def close(self, reason: str) -> None:
        """End it now; replies not yet sent are lost. Idempotent."""
        self._end_with(reason, logging.INFO)

    def _end_with(self, reason: str, level: int) -> None:
        if self.closed:
            return
        self.closed = True
        self._timer.cancel()
        self._loop.unregister(self._stream.fileno())
        self._stream.close()
        self._replies.clear()
        self._view = memoryview(b"")  # payloads still with the service keep the old memory alive
        self._start = self._end = 0
        _log.log(level, "%s: connection closed: %s", self.name, reason)
        self._on_closed(self, reason)

    def _fail(self, error: ProtocolError | StreamClosed) -> None:
        self._advancing = False
        self._end_with(str(error), logging.WARNING if isinstance(error, ProtocolError) else logging.INFO)

    def _queue(self, reply: bytes) -> None:
        if not self.closed and reply:
            self._replies.add(reply)
