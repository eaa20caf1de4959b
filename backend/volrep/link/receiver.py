"""The Secondary's end of a link: what arrives is checked, acknowledged, committed in order, acknowledged again.

Nothing is acknowledged before its CRC was checked, nothing reaches the SRL before the Primary's commit LSN covers
it, nothing reaches a volume before the SRL is durable. The second ack may be a little late on purpose: one sync
serves all that was committed within COMMIT_DELAY_S, unless the Primary waits for it (sync_ack=data).
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from volrep.link.frames import (
    DIVERGED_BODY_MAX,
    U64,
    BadFrame,
    Damaged,
    Frame,
    FrameType,
    frame,
    json_body,
    json_frame,
    u64_body,
)
from volrep.link.logbuffer import LogBuffer
from volrep.link.negotiate import Hello, Refuse, Start, Welcome, parse_said
from volrep.link.session import Session
from volrep.log.record import Record
from volrep.ports.reactor import Loop, Timer
from volrep.ports.streams import Stream

COMMIT_DELAY_S = 0.002
COMMIT_NOW_BYTES = 256 << 10  # this much is worth a sync of its own
COMMIT_AMID_BYTES = 6 << 20  # commit between two frames, so that what arrives in one turn fits the buffer (8 MiB)
ZERO_MAX_BYTES = 64 << 20  # of one REGION_ZERO: bounds how long the loop stands still

_VERIFIED = int(FrameType.VERIFIED)
_LOG, _COMMIT, _REGION = int(FrameType.LOG), int(FrameType.COMMIT), int(FrameType.REGION)
_REGION_ZERO, _SYNC_END = int(FrameType.REGION_ZERO), int(FrameType.SYNC_END)
_HELLO, _START, _REFUSE, _STATE = (int(FrameType.HELLO), int(FrameType.START), int(FrameType.REFUSE),
                                   int(FrameType.STATE))
_ANNOUNCE, _REWIND = int(FrameType.ANNOUNCE), int(FrameType.REWIND)


class ReceiverOwner(Protocol):
    """Who decides and who writes: the Secondary RVG."""

    def hello(self, hello: Hello) -> Welcome | Refuse:
        """The answer, or why this Primary is refused."""
        ...

    def rewind(self, lsn: int) -> None:
        """The Primary asks what is here beyond `lsn`; `Receiver.diverged` answers. Raises BadFrame."""
        ...

    def begin(self, start: Start) -> tuple[int, int, int]:
        """Carry out START; (LSN, generation, incarnation) from which the log goes on. Raises BadFrame."""
        ...

    def commit(self, view: memoryview, start: int, end: int, records: list[Record]) -> None:
        """Make view[start:end] durable in the SRL, then apply its records."""
        ...

    def has_room(self, length: int) -> bool:
        """Whether the SRL takes `length` bytes now; if not, the owner calls `Receiver.resume` later."""
        ...

    def applied_lsn(self) -> int: ...

    def region(self, volume: int, offset: int, data: memoryview | None, length: int) -> None:
        """Write a region (zeroes when `data` is None). Raises BadFrame for a place that does not exist."""
        ...

    def sync_end(self, lsn: int) -> None: ...

    def told(self, state: dict[str, object]) -> None:
        """What the Primary says of the link."""
        ...

    def announced(self, end_lsn: int, writes: int) -> None:
        """How far the Primary's log reaches, and its count of writes there."""
        ...

    def mismatch(self, reason: str) -> None:
        """Something arrived damaged; nothing of it was acknowledged."""
        ...

    def started(self) -> None:
        """The log flows from here on."""
        ...

    def verified(self, lsn: int, length: int, verdict: int) -> None:
        """The answer to a VERIFY. Raises BadFrame."""
        ...

    def lost(self, reason: str) -> None: ...


class Receiver(Session):
    def __init__(self, stream: Stream, loop: Loop, log_fd: int, buffer: LogBuffer, owner: ReceiverOwner) -> None:
        self._buffer = buffer
        self._owner = owner
        self._greeted = False
        self._started = False
        self._prompt = False
        self._commit_lsn = 0
        self._unacked = False
        self._ack_due = False
        self._waiting_room = False
        self._commit_timer: Timer | None = None
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._pieces_bytes = 0
        super().__init__(stream, loop, log_fd, self._log_space)

    def _log_space(self, lsn: int, length: int) -> memoryview:
        if not self._started:
            raise BadFrame("log bytes before START")
        return self._buffer.space(lsn, length)

    def handle(self, received: Frame) -> None:
        kind, lsn, aux, body = received
        if kind == _LOG:
            self._commit_lsn = max(self._commit_lsn, aux)
            self._buffer.verify()
            self._unacked = True
            if self._due_bytes() >= COMMIT_AMID_BYTES:
                self.after_frames()
        elif kind == _COMMIT:
            self._commit_lsn = max(self._commit_lsn, lsn)
        elif not self._started and kind in (_HELLO, _START, _REWIND):
            self._greet(kind, lsn, body)
        elif kind == _REFUSE:
            self.close(f"the Primary ended the link: {json_body(body).get('reason', '')}")
        elif kind == _STATE:
            self._owner.told(json_body(body))
        elif self._started and kind == _VERIFIED:
            self._owner.verified(lsn, aux, u64_body(body))
        elif self._started and kind in (_REGION, _REGION_ZERO, _SYNC_END, _ANNOUNCE):
            self._while_started(kind, lsn, aux, body)
        else:
            raise BadFrame(f"unexpected {FrameType(kind).name} from the Primary")

    def _greet(self, kind: int, lsn: int, body: memoryview) -> None:
        if kind == _HELLO:
            self._answer(parse_said(Hello, json_body(body)))
        elif not self._greeted:
            raise BadFrame(f"unexpected {FrameType(kind).name} from the Primary, which has not said HELLO")
        elif kind == _START:
            self._start(parse_said(Start, json_body(body)))
        else:
            self._owner.rewind(lsn)

    def damaged(self, error: Damaged) -> None:
        """Keep what came before it. The Primary looks into its own log when one place arrives damaged repeatedly."""
        if self._started:
            self._commit()
        self._owner.mismatch(str(error))
        if error.lsn:
            self.push(json_frame(FrameType.REFUSE, Refuse(reason=str(error), damaged_lsn=error.lsn).data()))

    def _answer(self, hello: Hello) -> None:
        answer = self._owner.hello(hello)
        if isinstance(answer, Refuse):
            self.push(json_frame(FrameType.REFUSE, answer.data()))
            self.close(answer.reason)
            return
        self._greeted = True
        self.push(json_frame(FrameType.WELCOME, answer.data()))

    def _start(self, start: Start) -> None:
        lsn, generation, incarnation = self._owner.begin(start)
        self._buffer.begin(lsn, generation, incarnation)
        self._started = True
        self._prompt = start.sync_ack == "data"
        self._unacked = True
        self._owner.started()

    def _while_started(self, kind: int, lsn: int, aux: int, body: memoryview) -> None:
        if kind == _REGION:
            self._owner.region(aux, lsn, body, len(body))
        elif kind == _REGION_ZERO:
            length = u64_body(body)
            if length > ZERO_MAX_BYTES:
                raise BadFrame(f"a zero region of {length} bytes exceeds {ZERO_MAX_BYTES}")
            self._owner.region(aux, lsn, None, length)
        elif kind == _ANNOUNCE:
            self._owner.announced(lsn, aux)
        else:
            self._owner.sync_end(lsn)

    def after_frames(self) -> None:
        """Network ack first: a synchronous application waits for it. Then, when it pays, the commit."""
        if self.closed or not self._started:
            return
        if self._unacked:
            self._ack()
        due_bytes = self._due_bytes()
        if due_bytes <= 0:
            return
        if self._prompt or due_bytes >= COMMIT_NOW_BYTES:
            self._commit()
        elif self._commit_timer is None:
            self._commit_timer = self.loop.call_at(self.loop.clock.monotonic_s() + COMMIT_DELAY_S, self._commit_due)

    def _due_bytes(self) -> int:
        """Verified, covered by the Primary's commit, not yet in the SRL."""
        return min(self._commit_lsn, self._buffer.verified_lsn) - self._buffer.committed_lsn

    def _commit_due(self) -> None:
        self._commit_timer = None
        if not self.closed:
            self._commit()

    def _commit(self) -> None:
        buffer, due_bytes = self._buffer, self._due_bytes()
        if due_bytes <= 0:
            return
        if not self._owner.has_room(due_bytes):
            self._waiting_room = True
            self.set_reading(False)
            return
        start, end, records = buffer.take(self._commit_lsn)
        if records:
            self._owner.commit(buffer.view, start, end, records)
            self._ack()

    def resume(self) -> None:
        """The SRL has room again."""
        if self._waiting_room and not self.closed:
            self._waiting_room = False
            self._commit()
            if not self._waiting_room:
                self.set_reading(True)

    def _ack(self) -> None:
        self._unacked = False
        self._ack_due = True
        self.pump()

    def refill(self) -> bool:
        """One ACK says it all: while the Primary reads nothing they do not gather."""
        if self._pieces:
            offset, piece = self._pieces.popleft()
            self.outbox.add(frame(FrameType.DIVERGED, piece, lsn=self._pieces_bytes, aux=offset))
            return True
        if not self._ack_due:
            return False
        self._ack_due = False
        self.outbox.add(frame(FrameType.ACK, U64.pack(self._owner.applied_lsn()), lsn=self._buffer.verified_lsn,
                              aux=self._buffer.committed_lsn))
        return True

    def acknowledge_regions(self, count: int) -> None:
        """`count` region frames since START are durable."""
        self.push(frame(FrameType.REGION_ACK, lsn=count))

    def diverged(self, maps: bytes) -> None:
        """Regions written beyond the fork, as `rvg.maps` encodes them."""
        self._pieces = deque((at, maps[at : at + DIVERGED_BODY_MAX]) for at in range(0, len(maps), DIVERGED_BODY_MAX))
        self._pieces_bytes = len(maps)
        self.pump()

    def say_consistent(self, lsn: int) -> None:
        self.push(frame(FrameType.CONSISTENT, lsn=lsn))

    def lost(self, reason: str) -> None:
        if self._commit_timer is not None:
            self._commit_timer.cancel()
        self._owner.lost(reason)
