"""What both ends of an established link share: reading frames, sending them, noticing a dead peer.

A peer that has said nothing for HEARTBEAT_TIMEOUT_S is gone, whatever TCP believes (VVR's vol_nm_hb_timeout).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from volrep.link.frames import BadFrame, Damaged, Frame, FrameReader, FrameType, frame
from volrep.link.outbox import Outbox
from volrep.model.errors import VolrepError
from volrep.ports.reactor import Loop, Timer
from volrep.ports.streams import Stream, StreamClosed

logger = logging.getLogger("volrep.link")

HEARTBEAT_INTERVAL_S = 1.0
HEARTBEAT_TIMEOUT_S = 5.0
FRAMES_PER_TURN = 64  # then other connections get their turn; at 1 MiB a frame that is 64 MiB at most

_HEARTBEAT = int(FrameType.HEARTBEAT)


class Session:
    """Base of `Sender` and `Receiver`: a `ports.reactor.Handler` over one stream."""

    def __init__(self, stream: Stream, loop: Loop, log_fd: int, log_space: Callable[[int, int], memoryview]) -> None:
        self.stream = stream
        self.loop = loop
        self.outbox = Outbox(log_fd)
        self.closed = False
        self.round_trip_s = 0.0
        self.received_bytes = 0
        self._reader = FrameReader(log_space)
        self._writing = False
        self._reading = True
        self._heard_s = loop.clock.monotonic_s()
        self._heartbeat: Timer = loop.call_at(self._heard_s + HEARTBEAT_INTERVAL_S, self._beat)
        loop.register(stream.fileno(), self)
        if stream.pending():
            loop.call_soon(self._resume_reading)

    # what the two ends define

    def handle(self, received: Frame) -> None:
        raise AssertionError("defined by both ends")

    def after_frames(self) -> None:
        """All that had arrived has been handled."""

    def damaged(self, error: Damaged) -> None:
        """What arrived fails its checksum: count it, say so; the connection is closed then, and begins anew."""
        raise AssertionError("defined by both ends")

    def refill(self) -> bool:
        """Put the next thing into an idle outbox; False when there is nothing to send."""
        return False

    def beat(self) -> None:
        """Once in HEARTBEAT_INTERVAL_S."""

    def lost(self, reason: str) -> None:
        """The connection is over; called once."""
        raise AssertionError("defined by both ends")

    # shared

    @property
    def heard_s(self) -> float:
        """When something last came, by the loop's clock."""
        return self._heard_s

    def on_readable(self) -> None:
        if self.closed:
            return
        before_bytes = self.received_bytes
        try:
            self._read_frames()
            if self.received_bytes != before_bytes:  # also half a frame: on a slow line a whole one takes long
                self._heard_s = self.loop.clock.monotonic_s()
            self.after_frames()
        except StreamClosed as error:
            self.close(str(error))
        except Damaged as error:
            logger.warning("link %s: closing the connection: %s", self.stream.name, error)
            self.damaged(error)
            self.close(f"damaged traffic: {error}")
        except BadFrame as error:
            logger.warning("link %s: closing the connection: %s", self.stream.name, error)
            self.close(f"malformed traffic: {error}")
        except VolrepError as error:  # this end cannot read its own log: the link says so and may try again
            logger.error("link %s: closing the connection: %s %s", self.stream.name, error.id, error.text)
            self.close(f"{error.id} {error.text}")

    def _read_frames(self) -> None:
        stream, reader = self.stream, self._reader
        for _ in range(FRAMES_PER_TURN):
            while True:
                count = stream.recv_into(reader.want())
                if count < 0:
                    return
                self.received_bytes += count
                received = reader.received(count)
                if received is not None:
                    break
            if received[0] == _HEARTBEAT:
                self._heartbeat_received(received)
            else:
                self.handle(received)
            if self.closed or not self._reading:
                return
        if stream.pending():
            self.loop.call_soon(self._resume_reading)

    def _resume_reading(self) -> None:
        if not self.closed and self._reading:
            self.on_readable()

    def set_reading(self, reading: bool) -> None:
        """Backpressure: the peer's bytes stay in the kernel, and TCP tells the peer."""
        if reading == self._reading or self.closed:
            return
        self._reading = reading
        self._heard_s = self.loop.clock.monotonic_s()
        self.loop.modify(self.stream.fileno(), reading=reading, writing=self._writing)
        if reading:
            self.loop.call_soon(self._resume_reading)

    def on_writable(self) -> None:
        self.pump()

    def pump(self) -> None:
        """Send until the stream takes no more or there is nothing left."""
        if self.closed:
            return
        try:
            while self.outbox.flush(self.stream):
                more = self.refill()
                if self.closed:  # a copy that cannot read its volume ends the connection
                    return
                if not more:
                    self._want_writable(False)
                    return
            self._want_writable(True)
        except StreamClosed as error:
            self.close(str(error))

    def push(self, data: bytes) -> None:
        """Send a control frame behind whatever is under way."""
        if self.closed:
            return
        if self.outbox.full:
            self.close("the other end reads nothing")
            return
        self.outbox.add(data)
        self.pump()

    def _want_writable(self, writing: bool) -> None:
        if writing != self._writing:
            self._writing = writing
            self.loop.modify(self.stream.fileno(), reading=self._reading, writing=writing)

    def _beat(self) -> None:
        if self.closed:
            return
        now_s = self.loop.clock.monotonic_s()
        silence_s = now_s - self._heard_s
        if silence_s > HEARTBEAT_TIMEOUT_S and self._reading:
            self.close(f"nothing heard for {silence_s:.1f} s")
            return
        self._heartbeat = self.loop.call_at(now_s + HEARTBEAT_INTERVAL_S, self._beat)
        self.beat()
        if self.outbox.idle:  # otherwise something is under way, which says as much
            self.push(frame(FrameType.HEARTBEAT, lsn=int(now_s * 1e9)))

    def _heartbeat_received(self, received: Frame) -> None:
        _, sent_ns, echoed, _ = received
        if echoed:
            self.round_trip_s = max(0.0, self.loop.clock.monotonic_s() - sent_ns / 1e9)
        elif self.outbox.idle:  # an answer that had to wait would measure nothing
            self.push(frame(FrameType.HEARTBEAT, lsn=sent_ns, aux=1))

    def close(self, reason: str) -> None:
        """End the connection; `lost` is told once."""
        if self.closed:
            return
        self.closed = True
        self._heartbeat.cancel()
        self.loop.unregister(self.stream.fileno())
        self.stream.close()
        self.outbox.clear()
        self.lost(reason)
