"""One connection on a real reactor over a real socket: batches, bounds, memory ownership, and how it ends."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.unit.nbd.clients import CLIENT_FLAGS, GREETING_BYTES, go, option, option_replies, request, write
from volrep.nbd import connection as module
from volrep.nbd import wire
from volrep.nbd.connection import DISCONNECTED, HANDSHAKE_S, IN_FLIGHT_MAX, READ_BYTES_MAX, Connection
from volrep.nbd.exports import ExportInfo, ExportTable
from volrep.nbd.transmission import Request
from volrep.ports.disk import DiskFile
from volrep.ports.reactor import Reactor
from volrep.ports.streams import Buffer, SocketStream

MIB = 1 << 20
OK = struct.pack(">II", wire.SIMPLE_REPLY_MAGIC, 0)


class Clock:
    """Time that a test moves."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ns(self) -> int:
        return int(self.now_s * 1e9)


class Bench:
    """A client's socket, a connection on a reactor that the test turns, and a service that only takes notes."""

    def __init__(self, stream_type: type[SocketStream] = SocketStream) -> None:
        self.clock = Clock()
        self.reactor = Reactor(self.clock)
        self.client, server = socket.socketpair()
        self.client.settimeout(0.0)
        self.batches: list[list[Request]] = []
        self.reasons: list[str] = []
        self.received = b""
        self.connection = Connection(stream_type(server, "test"), self.reactor,
                                     ExportTable([ExportInfo("v", 64 * MIB, 0)]), self,
                                     lambda _, reason: self.reasons.append(reason))
        self.reactor.call_soon(lambda: None)

    def submit(self, connection: Connection, requests: list[Request]) -> None:
        assert connection is self.connection
        self.batches.append(requests)

    def turn(self, rounds: int = 1) -> None:
        """So many rounds, none of which may wait; what comes to the client is collected."""
        for _ in range(rounds):
            self.reactor.call_soon(lambda: None)
            self.reactor.turn()
            try:
                while data := self.client.recv(1 << 20):
                    self.received += data
            except BlockingIOError:
                pass

    def send(self, data: bytes) -> None:
        """All of it, turning the reactor whenever the socket is full; stops when nothing moves any more."""
        stuck = 0
        while data and stuck < 3:
            try:
                data = data[self.client.send(data):]
                stuck = 0
            except BlockingIOError:
                stuck += 1
            self.turn()
        self.unsent = data

    def negotiate(self, *options: bytes) -> None:
        self.send(CLIENT_FLAGS + b"".join(options) + go("v"))
        assert self.connection.export is not None
        self.received = b""

    def requests(self) -> list[Request]:
        return [r for batch in self.batches for r in batch]

    def close(self) -> None:
        self.connection.close("end of the test")
        self.client.close()
        self.reactor.close()


class HoardingStream(SocketStream):
    """Takes all there is from the socket and hands it on in small pieces, as a TLS stream does."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        super().__init__(sock, name)
        self._hoard = bytearray()

    def recv_into(self, view: memoryview) -> int:
        if not self._hoard:
            self._hoard += self._sock.recv(1 << 20)
        piece = self._hoard[:min(len(view), 50)]
        del self._hoard[:50]
        view[:len(piece)] = piece
        return len(piece)

    def pending(self) -> bool:
        return bool(self._hoard)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_negotiation_and_first_request_in_one_packet(bench: Bench) -> None:
    bench.send(CLIENT_FLAGS + go("v") + request(wire.CMD_FLUSH, cookie=3))
    assert bench.received[:8] == b"NBDMAGIC"
    assert option_replies(bench.received[GREETING_BYTES:])[-1] == (wire.OPT_GO, wire.REP_ACK, b"")
    assert [r[0] for r in bench.requests()] == [wire.CMD_FLUSH]


def test_all_that_arrived_is_one_batch_and_its_replies_one_send(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.negotiate()
    sends = []
    real_send = bench.connection._stream.send

    def counted_send(buffers: Sequence[Buffer]) -> int:
        sends.append(len(buffers))
        return real_send(buffers)

    monkeypatch.setattr(bench.connection._stream, "send", counted_send)
    bench.send(b"".join(write(i * 4096, bytes(4096), cookie=i) for i in range(30)) + request(wire.CMD_READ, 0, 4))
    assert [len(batch) for batch in bench.batches] == [31]
    bench.connection.reply_writes([r[2] for r in bench.batches[0][:30]])
    bench.connection.reply_read(bench.batches[0][30][2], 0, b"data")
    bench.connection.release()
    bench.connection.flush_replies()
    bench.turn()
    done = b"".join(OK + struct.pack(">Q", i) for i in range(30))
    assert bench.received == done + OK + struct.pack(">Q", 1) + b"data"
    assert len(sends) == 1


def test_payloads_stay_untouched_until_they_are_released(bench: Bench) -> None:
    bench.negotiate()
    bench.send(write(0, b"A" * 4096))
    payload = bench.batches[0][0][5]
    assert payload is not None
    bench.send(write(0, b"B" * 4096))
    bench.turn(5)
    assert (len(bench.batches), bytes(payload)) == (1, b"A" * 4096)
    bench.connection.release()
    bench.turn(2)
    assert [bytes(r[5] or b"") for r in bench.batches[1]] == [b"B" * 4096]


def test_a_batch_without_payloads_needs_no_release(bench: Bench) -> None:
    bench.negotiate()
    bench.send(request(wire.CMD_READ, 0, 1))
    bench.send(request(wire.CMD_READ, 0, 1))
    assert len(bench.batches) == 2


def test_an_incomplete_request_is_kept_across_a_release(bench: Bench) -> None:
    bench.negotiate()
    second = write(4096, b"C" * 5000, cookie=2)
    bench.send(write(0, b"A" * 4096) + second[:2000])
    assert [(r[3], r[4]) for r in bench.requests()] == [(0, 4096)]
    bench.connection.release()
    bench.send(second[2000:])
    assert [(r[3], bytes(r[5] or b"")) for r in bench.batches[1]] == [(4096, b"C" * 5000)]


def test_long_writes_pass_in_slices_through_the_one_buffer(bench: Bench) -> None:
    bench.negotiate()
    payload = b"".join(bytes([i]) * MIB for i in range(1, 6)) + b"end"
    seen = bytearray()
    waiting = write(0, payload, cookie=9) + request(wire.CMD_FLUSH)
    while waiting:
        bench.send(waiting)
        waiting = bench.unsent
        for r in bench.requests():
            seen += r[5] or b""
        assert sum(len(batch) for batch in bench.batches) <= 3
        if bench.batches[-1][-1][0] == wire.CMD_FLUSH:
            break
        bench.batches.clear()
        bench.connection.release()
        bench.turn()
    bench.connection.release()
    bench.turn(3)
    for r in bench.requests():
        seen += r[5] or b"" if bytes(seen) != payload else b""
    assert bytes(seen) == payload


def test_a_long_write_is_one_request_with_one_reply(bench: Bench) -> None:
    bench.negotiate()
    waiting = write(0, bytes(3 * MIB), cookie=9) + request(wire.CMD_DISC)
    while waiting:
        bench.send(waiting)
        waiting = bench.unsent
        bench.connection.release()
        bench.turn(2)
    assert [r[6] for r in bench.requests()] == [False, False, True]
    assert bench.reasons == []
    bench.connection.reply_writes([bench.requests()[-1][2]])
    bench.connection.flush_replies()
    assert bench.reasons == [DISCONNECTED]


def test_requests_in_flight_are_bounded(bench: Bench) -> None:
    bench.negotiate()
    bench.send(request(wire.CMD_READ, 0, 1) * (IN_FLIGHT_MAX + 500))
    assert len(bench.requests()) == IN_FLIGHT_MAX
    for r in bench.requests()[:200]:
        bench.connection.reply_read(r[2], 0, b"x")
    bench.connection.flush_replies()
    bench.turn(3)
    assert len(bench.requests()) == IN_FLIGHT_MAX + 200


def test_bytes_asked_for_by_reads_are_bounded_also_after_errors(bench: Bench) -> None:
    bench.negotiate()
    bench.send(request(wire.CMD_READ, 0, MIB) * 20)
    first = READ_BYTES_MAX // MIB
    assert len(bench.requests()) == first
    for r in bench.requests():
        bench.connection.reply_error(r[2], 5)
    bench.connection.flush_replies()
    bench.turn(3)
    assert len(bench.requests()) == 2 * first


def test_a_client_that_takes_no_replies_gets_no_more_requests_in(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUED_BYTES_MAX", MIB)
    bench.negotiate()
    bench.client.send(request(wire.CMD_READ, 0, 4 * MIB))
    bench.reactor.turn()
    bench.connection.reply_read(bench.batches[0][0][2], 0, bytes(4 * MIB))
    bench.connection.flush_replies()
    bench.client.send(request(wire.CMD_FLUSH))
    for _ in range(5):
        bench.reactor.call_soon(lambda: None)
        bench.reactor.turn()
    assert len(bench.batches) == 1
    bench.turn(100)  # now it takes them
    assert len(bench.received) == 16 + 4 * MIB
    assert len(bench.batches) == 2


def test_what_the_kernel_did_not_take_is_the_connections_own(bench: Bench) -> None:
    bench.negotiate()
    bench.client.send(request(wire.CMD_READ, 0, 2 * MIB, cookie=5))
    bench.reactor.turn()
    data = bytearray(b"r" * (2 * MIB))
    bench.connection.reply_read(bench.batches[0][0][2], 0, memoryview(data))
    bench.connection.flush_replies()
    data[:] = b"!" * len(data)
    bench.turn(50)
    assert bench.received == OK + struct.pack(">Q", 5) + b"r" * (2 * MIB)


def test_reads_from_a_volume_and_from_memory_keep_their_order(bench: Bench, tmp_path: Path) -> None:
    bench.negotiate()
    (tmp_path / "volume").write_bytes(b"a" * MIB + b"b" * MIB)
    volume = DiskFile.open(tmp_path / "volume")
    bench.client.send(request(wire.CMD_READ, 100, 4, cookie=5) + request(wire.CMD_READ, 1000, 2 * MIB - 1000, cookie=6)
                      + request(wire.CMD_READ, 0, 3, cookie=7))
    bench.reactor.turn()
    bench.connection.reply_read(bench.batches[0][0][2], 100, b"aaaa")
    bench.connection.reply_read_from(bench.batches[0][1][2], 1000, 2 * MIB - 1000, volume)
    bench.connection.reply_read(bench.batches[0][2][2], 0, b"end")
    bench.connection.flush_replies()
    bench.turn(100)
    assert bench.received == b"".join(
        OK + struct.pack(">Q", cookie) + data for cookie, data in (
            (5, b"aaaa"), (6, b"a" * (MIB - 1000) + b"b" * MIB), (7, b"end")))
    bench.connection.close("end of the test")
    bench.connection.reply_read_from(bench.batches[0][0][2], 0, 10, volume)  # dropped without a word
    volume.close()


def test_structured_replies_once_negotiated(bench: Bench) -> None:
    bench.negotiate(option(wire.OPT_STRUCTURED_REPLY))
    bench.send(request(wire.CMD_READ, 512, 3, cookie=6) + request(wire.CMD_READ, 64 * MIB, 1, cookie=7))
    bench.connection.reply_read(bench.batches[0][0][2], 512, b"abc")
    bench.connection.flush_replies()
    bench.turn()
    error, data = bench.received[:26], bench.received[26:]
    assert wire.CHUNK_ERROR.unpack(error)[2:] == (wire.REPLY_TYPE_ERROR, struct.pack(">Q", 7), 6, wire.EINVAL, 0)
    assert wire.CHUNK_OFFSET_DATA.unpack(data[:28])[2:] == (wire.REPLY_TYPE_OFFSET_DATA, struct.pack(">Q", 6), 11, 512)
    assert data[28:] == b"abc"


def test_disc_waits_for_the_requests_before_it(bench: Bench) -> None:
    bench.negotiate()
    bench.send(request(wire.CMD_FLUSH, cookie=4) + request(wire.CMD_DISC) + request(wire.CMD_FLUSH))
    assert (bench.reasons, len(bench.requests())) == ([], 1)
    bench.connection.reply_writes([bench.batches[0][0][2]])
    bench.connection.flush_replies()
    assert bench.reasons == [DISCONNECTED]
    bench.turn()
    assert bench.received == OK + struct.pack(">Q", 4)


def test_garbage_closes_with_a_reason_and_late_replies_are_dropped(bench: Bench) -> None:
    bench.negotiate()
    bench.send(request(wire.CMD_READ, 0, 1))
    bench.client.send(b"garbage, and more than a header of it")
    bench.turn()
    assert bench.reasons == ["bad request magic 0x67617262"]
    cookie = bench.batches[0][0][2]
    bench.connection.reply_read(cookie, 0, b"x")
    bench.connection.reply_writes([cookie])
    bench.connection.reply_error(cookie, 5)
    bench.connection.reply_block_status(cookie, [(1, 0)])
    bench.connection.release()
    bench.connection.flush_replies()
    assert len(bench.reasons) == 1


def test_a_client_that_vanishes_while_its_writes_are_under_way_does_not_spin_the_loop(bench: Bench) -> None:
    bench.negotiate()
    bench.send(write(0, b"A" * 4096))
    payload = bench.batches[0][0][5]
    bench.client.close()
    bench.reactor.turn()
    bench.reactor.turn()
    assert bench.connection.closed
    assert payload is not None
    assert bytes(payload) == b"A" * 4096  # still the service's


def test_a_refused_handshake_is_answered_before_it_is_closed(bench: Bench) -> None:
    bench.client.send(CLIENT_FLAGS + option(wire.OPT_ABORT))
    bench.turn()
    assert option_replies(bench.received[GREETING_BYTES:]) == [(wire.OPT_ABORT, wire.REP_ACK, b"")]
    assert bench.reasons == ["the client ended the negotiation"]


def test_a_client_that_never_chooses_loses_its_place(bench: Bench) -> None:
    bench.turn()
    bench.clock.now_s = HANDSHAKE_S + 1
    bench.turn()
    assert bench.reasons == ["no export chosen within 30 seconds"]


def test_a_client_that_chose_may_be_idle(bench: Bench) -> None:
    bench.negotiate()
    bench.clock.now_s = HANDSHAKE_S + 1
    bench.turn()
    assert bench.reasons == []


def test_requests_are_never_submitted_from_within_a_reply(bench: Bench) -> None:
    """A service that answers in the middle of its own commit must not be entered again."""
    bench.negotiate()
    bench.send(request(wire.CMD_READ, 0, 1) * (IN_FLIGHT_MAX + 1))
    batches = len(bench.batches)
    for r in bench.requests():
        bench.connection.reply_read(r[2], 0, b"x")
    bench.connection.flush_replies()
    assert len(bench.batches) == batches
    bench.turn()
    assert len(bench.batches) == batches + 1


def test_bytes_that_wait_inside_the_stream_are_not_forgotten() -> None:
    """epoll knows nothing of them: neither a full receive nor a release may leave them lying there."""
    bench = Bench(HoardingStream)
    bench.client.send(CLIENT_FLAGS + go("v") + write(0, b"A" * 200) + request(wire.CMD_READ, 0, 1) * 10)
    bench.turn()
    assert bench.requests()[0][0] == wire.CMD_WRITE
    assert len(bench.requests()) < 11
    bench.connection.release()
    bench.turn()
    assert [r[0] for r in bench.requests()] == [wire.CMD_WRITE] + [wire.CMD_READ] * 10
    bench.close()
