"""Liveness of a connection, and what a peer that reads nothing may cost."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from volrep.link.frames import Frame, FrameType, frame
from volrep.link.outbox import CONTROL_MAX
from volrep.link.session import HEARTBEAT_INTERVAL_S, HEARTBEAT_TIMEOUT_S, Session
from volrep.ports.reactor import Reactor
from volrep.ports.streams import SocketStream


class Hand:
    """A clock that the test moves."""

    now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ns(self) -> int:
        return int(self.now_s * 1e9)


class Heard(Session):
    """What a session hands on."""

    def __init__(self, stream: SocketStream, loop: Reactor) -> None:
        self.frames: list[int] = []
        self.reason = ""
        super().__init__(stream, loop, -1, lambda lsn, length: memoryview(bytearray(length)))

    def handle(self, received: Frame) -> None:
        self.frames.append(received[0])

    def lost(self, reason: str) -> None:
        self.reason = reason


class Bench:
    def __init__(self) -> None:
        self.clock = Hand()
        self.loop = Reactor(self.clock)
        ours, self.peer = socket.socketpair()
        for sock in (ours, self.peer):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.session = Heard(SocketStream(ours, "peer"), self.loop)

    def turn(self, passed_s: float = 0.0) -> None:
        self.clock.now_s += passed_s
        self.loop.call_soon(_nothing)  # so that the turn does not wait
        self.loop.turn()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.session.close("the test is over")
    made.peer.close()
    made.loop.close()


def test_a_silent_peer_is_gone_after_the_timeout(bench: Bench) -> None:
    for _ in range(int(HEARTBEAT_TIMEOUT_S / HEARTBEAT_INTERVAL_S)):
        bench.turn(HEARTBEAT_INTERVAL_S)
    assert not bench.session.closed
    bench.turn(HEARTBEAT_INTERVAL_S * 1.1)  # beats come every second, so that is when it is noticed
    assert bench.session.reason == "nothing heard for 6.1 s"


def test_a_slow_line_that_takes_long_for_one_frame_is_alive(bench: Bench) -> None:
    slow = frame(FrameType.STATE, b"{}" + b" " * 30)
    for at in range(len(slow)):
        bench.peer.send(slow[at : at + 1])
        bench.turn(HEARTBEAT_TIMEOUT_S * 0.9)
    bench.turn()
    assert bench.session.frames == [FrameType.STATE]
    assert not bench.session.closed


def test_heartbeats_do_not_gather_for_a_peer_that_reads_nothing(bench: Bench) -> None:
    bench.session.push(frame(FrameType.STATE, b"{}" + b" " * 60_000))  # more than the socket takes
    assert not bench.session.outbox.idle
    for _ in range(CONTROL_MAX * 2):
        bench.peer.send(frame(FrameType.HEARTBEAT, lsn=1))
        bench.turn(HEARTBEAT_INTERVAL_S)
    assert not bench.session.closed
    assert not bench.session.outbox.full


def test_a_peer_that_lets_control_frames_gather_loses_the_connection(bench: Bench) -> None:
    bench.session.push(frame(FrameType.STATE, b"{}" + b" " * 60_000))
    for _ in range(CONTROL_MAX):
        bench.session.push(frame(FrameType.STATE, b"{}"))
    assert bench.session.reason == "the other end reads nothing"


def _nothing() -> None:
    """For a turn of the loop that has nothing to wait for."""
