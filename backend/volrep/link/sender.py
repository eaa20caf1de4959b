"""The Primary's end of a link: log bytes go out as they lie in the SRL, acknowledgements come back.

Two ways out for the same bytes. *Live*: the batch that is being committed is sent from memory before its sync, when
everything older is already out. *Catching up*: spans of the SRL by sendfile. A live batch that the kernel
takes only in part continues as spans, so nothing is ever held in memory for a slow Secondary.

Nobody waits for an asynchronous Secondary: what is small gathers in the SRL for GATHER_DELAY_S, so that a stream of
small batches does not wake the other host for each of them.

Between log frames the sender asks its `regions` (a resynchronization under way) for the next region, in turns, so
that neither starves the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from volrep.link.frames import (
    FRAME_HEADER_BYTES,
    LOG_BODY_MAX,
    BadFrame,
    Damaged,
    Frame,
    FrameType,
    frame,
    frame_header,
    json_body,
    json_frame,
    u64_body,
)
from volrep.link.negotiate import Detach, Hello, Later, Refuse, Rewind, Start, Welcome, parse_said
from volrep.link.session import Session
from volrep.ports.reactor import Loop, Timer
from volrep.ports.streams import Buffer, Stream, StreamClosed

COMMIT_DELAY_S = 0.001  # a commit LSN rides on the next LOG frame, or goes alone after this
GATHER_BYTES = 1 << 20  # a LOG frame holds no more
GATHER_DELAY_S = 0.002  # what is sent to a Secondary that nobody waits for may be so old
IOV_LIVE_MAX = 1023  # header plus a batch in one sendmsg; a larger batch goes by file

_VERIFY, _VERDICT = int(FrameType.VERIFY), int(FrameType.VERDICT)
_ACK, _REGION_ACK = int(FrameType.ACK), int(FrameType.REGION_ACK)
_WELCOME, _REFUSE, _CONSISTENT = int(FrameType.WELCOME), int(FrameType.REFUSE), int(FrameType.CONSISTENT)
_DIVERGED = int(FrameType.DIVERGED)


class LogSource(Protocol):
    """The Primary's log as a sender sees it."""

    @property
    def end_lsn(self) -> int:
        """Appended so far."""
        ...

    @property
    def durable_lsn(self) -> int: ...

    @property
    def applied_lsn(self) -> int:
        """Written to the volumes so far: what reading a region shows."""
        ...

    def writes_since(self, lsn: int) -> int:
        """Writes from `lsn` to the end; a guess where nobody counted."""
        ...

    def log_fd(self) -> int: ...

    def spans(self, lsn: int, length: int) -> Sequence[tuple[int, int]]: ...


class Regions(Protocol):
    """A resynchronization, as far as the sender drives it."""

    def next_frame(self) -> tuple[Buffer, ...]:
        """The next region frame as buffers that stay valid until it is sent; () when none is due. Raises OSError."""
        ...

    def acked(self, count: int) -> None: ...


class SenderOwner(Protocol):
    """Who decides: the Primary's side of one link."""

    def welcomed(self, welcome: Welcome) -> Start | Rewind | Later | Detach: ...

    def refused(self, refuse: Refuse) -> None:
        """The other end takes nothing; `lost` follows."""
        ...

    def mismatch(self, reason: str) -> None:
        """Something arrived damaged."""
        ...

    def verify(self, lsn: int, length: int, crc: int) -> None:
        """The Secondary's log has this checksum there. Raises BadFrame."""
        ...

    def verdict(self, lsn: int, length: int, damaged_lsn: int) -> None:
        """What the Secondary found in its log where the two differ (0: nothing). Raises BadFrame."""
        ...

    def diverged(self, maps: bytes) -> None:
        """What the Secondary has beyond the fork, whole; `Sender.begin` goes on. Raises BadFrame."""
        ...

    def diverged_max_bytes(self) -> int: ...

    def acked(self) -> None:
        """Positions of the sender moved."""
        ...

    def consistent(self, lsn: int) -> None:
        """The Secondary became consistent."""
        ...

    def lost(self, reason: str, *, detach: bool) -> None:
        """The connection is over; `detach`: replication cannot go on without an operator."""
        ...


class Sender(Session):
    def __init__(self, stream: Stream, loop: Loop, log: LogSource, owner: SenderOwner, hello: Hello) -> None:
        super().__init__(stream, loop, log.log_fd(), _no_log)
        self._log = log
        self._owner = owner
        self.streaming = False
        self.prompt_commit = hello.sync_ack == "data"
        self.gathers = False  # nobody waits for this Secondary
        self.sent_lsn = self.network_lsn = self.data_lsn = self.applied_lsn = 0
        self.sent_bytes = 0
        self.regions: Regions | None = None
        self._announced_lsn = 0
        self._commit_timer: Timer | None = None
        self._region_turn = False
        self._detach = False
        self._announce_due = False
        self._start_lsn = 0
        self._diverged: bytearray | None = None  # what came of it, after REWIND
        self.push(json_frame(FrameType.HELLO, hello.data()))

    # the log grows

    def offer(self, buffers: Sequence[Buffer], start_lsn: int, end_lsn: int) -> None:
        """A batch is about to be appended at `start_lsn`: send it now if it is the next thing to send.

        Whatever the kernel does not take continues from the SRL, so the caller appends before the loop turns.
        """
        length = end_lsn - start_lsn
        if (self.sent_lsn != start_lsn or not self.streaming or self.closed or not self.outbox.idle
                or length > LOG_BODY_MAX or len(buffers) > IOV_LIVE_MAX
                or (self.gathers and length < GATHER_BYTES)):
            return
        header = frame_header(FrameType.LOG, length=length, lsn=start_lsn, aux=self._log.durable_lsn)
        self._announced_lsn = self._log.durable_lsn
        try:
            sent = self.stream.send([header, *buffers])
        except StreamClosed as error:
            self.close(str(error))
            return
        self.sent_lsn = end_lsn
        self.sent_bytes += length
        if sent < FRAME_HEADER_BYTES:
            self.outbox.add(header[sent:])
        from_byte = max(0, sent - FRAME_HEADER_BYTES)
        if from_byte < length:
            self.outbox.add_spans(self._log.spans(start_lsn + from_byte, length - from_byte))
            self._want_writable(True)
        elif not self.stream.flush():
            self._want_writable(True)

    def committed(self) -> None:
        """The log's durable LSN moved: the Secondary hears of it with the next LOG frame, or soon."""
        if not self.streaming or self.closed:
            return
        behind_bytes = self._log.end_lsn - self.sent_lsn
        if behind_bytes >= GATHER_BYTES or (not self.gathers and (behind_bytes or self.prompt_commit)):
            self.pump()
        elif self._commit_timer is None:
            delay_s = GATHER_DELAY_S if self.gathers else COMMIT_DELAY_S
            self._commit_timer = self.loop.call_at(self.loop.clock.monotonic_s() + delay_s, self._commit_due)

    def _commit_due(self) -> None:
        self._commit_timer = None
        self.pump()

    def refill(self) -> bool:
        if not self.streaming:
            return False
        if self._announce_due:
            self._announce_due = False
            writes = self._log.writes_since(self._start_lsn)
            self.outbox.add(frame(FrameType.ANNOUNCE, lsn=self._log.end_lsn, aux=writes))
            return True
        if self._region_turn and self._add_region():
            return True
        if self.sent_lsn < self._log.end_lsn:
            self._add_log()
            return True
        if self._announced_lsn < self._log.durable_lsn and (
                self._commit_timer is None or (self.prompt_commit and not self.gathers)):
            self._announced_lsn = self._log.durable_lsn
            self.outbox.add(frame(FrameType.COMMIT, lsn=self._announced_lsn))
            return True
        return self._add_region()

    def beat(self) -> None:
        """Also to a Secondary that is behind: a takeover there can say what it lacks."""
        self._announce_due = True
        if self.outbox.idle:
            self.pump()

    def _add_log(self) -> None:
        length = min(LOG_BODY_MAX, self._log.end_lsn - self.sent_lsn)
        self._announced_lsn = self._log.durable_lsn
        self.outbox.add(frame_header(FrameType.LOG, length=length, lsn=self.sent_lsn, aux=self._announced_lsn))
        self.outbox.add_spans(self._log.spans(self.sent_lsn, length))
        self.sent_lsn += length
        self.sent_bytes += length
        self._region_turn = True

    def _add_region(self) -> bool:
        self._region_turn = False
        if self._log.applied_lsn < self.sent_lsn:
            return False  # a region read now would lack writes that went out before it
        try:
            buffers = self.regions.next_frame() if self.regions is not None else ()
        except OSError as error:
            self.close(f"the copy stands still, a data volume cannot be read: {error}")
            return False
        for buffer in buffers:
            self.outbox.add(buffer)
            self.sent_bytes += len(buffer)
        return bool(buffers)

    # the Secondary answers

    def handle(self, received: Frame) -> None:
        kind, lsn, aux, body = received
        if kind == _ACK and self.streaming:
            self._acked(lsn, aux, u64_body(body))
        elif kind == _REGION_ACK and self.regions is not None:
            self.regions.acked(lsn)
            self.pump()
        elif kind == _CONSISTENT and self.streaming:
            self._owner.consistent(lsn)
        elif kind == _VERIFY and self.streaming:
            self._owner.verify(lsn, aux, u64_body(body))
        elif kind == _VERDICT and self.streaming:
            self._owner.verdict(lsn, aux, u64_body(body))
        elif kind == _WELCOME and not self.streaming:
            self._welcomed(parse_said(Welcome, json_body(body)))
        elif kind == _DIVERGED and self._diverged is not None:
            self._add_diverged(lsn, aux, body)
        elif kind == _REFUSE:
            refuse = parse_said(Refuse, json_body(body))
            self._owner.refused(refuse)
            self.close(f"refused by the Secondary: {refuse.reason}")
        else:
            self.close(f"unexpected {FrameType(kind).name} from the Secondary")

    def damaged(self, error: Damaged) -> None:
        self._owner.mismatch(str(error))

    def _acked(self, network_lsn: int, data_lsn: int, applied_lsn: int) -> None:
        if network_lsn > self.sent_lsn or data_lsn > min(network_lsn, self._log.durable_lsn):
            raise BadFrame(f"acknowledges LSN {network_lsn}/{data_lsn}, sent were {self.sent_lsn}, "
                           f"committed {self._log.durable_lsn}")
        self.network_lsn, self.data_lsn, self.applied_lsn = network_lsn, data_lsn, applied_lsn
        self._owner.acked()

    def _welcomed(self, welcome: Welcome) -> None:
        decision = self._owner.welcomed(welcome)
        if isinstance(decision, Detach):
            self._detach = True
            self.push(json_frame(FrameType.REFUSE, {"reason": decision.reason}))
            self.close(decision.reason)
        elif isinstance(decision, Later):
            self.close(decision.reason)
        elif isinstance(decision, Rewind):
            self._diverged = bytearray()
            self.push(frame(FrameType.REWIND, lsn=decision.lsn))
        else:
            self.begin(decision)

    def _add_diverged(self, total_bytes: int, offset: int, piece: memoryview) -> None:
        assert self._diverged is not None
        if total_bytes > self._owner.diverged_max_bytes() or offset != len(self._diverged) or not len(piece):
            raise BadFrame(f"byte {offset} of {total_bytes} of its region maps, expected byte {len(self._diverged)}")
        self._diverged += piece
        if len(self._diverged) >= total_bytes:
            maps, self._diverged = bytes(self._diverged), None
            self._owner.diverged(maps)

    def begin(self, decision: Start) -> None:
        """Say START; the log flows from now on."""
        self.sent_lsn = self.network_lsn = self.data_lsn = self._announced_lsn = self._start_lsn = decision.lsn
        self.streaming = True
        self.push(json_frame(FrameType.START, decision.data(), lsn=decision.lsn))

    def lost(self, reason: str) -> None:
        if self._commit_timer is not None:
            self._commit_timer.cancel()
        self.streaming = False
        self._owner.lost(reason, detach=self._detach)


def _no_log(lsn: int, length: int) -> memoryview:
    raise BadFrame(f"a Secondary sent {length} log bytes at LSN {lsn}")
