"""Whatever the other end of a link says: that connection ends with a logged reason, and nothing else happens."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import crc32c
import pytest

from tests.system.nbd_client import NbdClient
from tests.system.pair import Rds, rds_maker, wait_for
from tests.system.peer import FakeSecondary, Peer, as_primary, hello, log_text, rss_bytes, start, wait_for_log, welcomed
from volrep.link import connect
from volrep.link.frames import LOG_BODY_MAX, U64, FrameType, frame, frame_header, json_frame
from volrep.link.negotiate import LINK_PROTOCOL, Welcome
from volrep.log.record import BatchEncoder, RecordType
from volrep.model.status import LinkState, RvgState
from volrep.model.units import Reign
from volrep.ports.streams import StreamClosed

MIB = 1 << 20
BLOCK = 4096
OTHER_ORDER = "0" * 32
WRITE_WAITS_MAX_S = 2.0

# A worker of this test: interpreter and libraries, one NBD connection's buffers, a Secondary's log buffer.
RSS_MAX_BYTES = 128 * MIB

Abuse = Callable[[Peer, Rds], None]


@pytest.fixture
def make_rds(tmp_path: Path) -> Iterator[Callable[..., Rds]]:
    with rds_maker(Rds, tmp_path, srl_bytes=17 * MIB) as make:
        yield lambda encryption="off", **how: make(attributes={"encryption": encryption}, **how)


def write(rds: Rds, number: int, block: int = 0) -> None:
    """One write of an application, which must not wait for links."""
    client = NbdClient(rds.primary.uri())
    before_s = time.monotonic()
    client.write(block * BLOCK, struct.pack("<Q", number) * (BLOCK // 8))
    waited_s = time.monotonic() - before_s
    client.close()
    assert waited_s < WRITE_WAITS_MAX_S, f"the application waited {waited_s:.1f} s"


def record(lsn: int) -> bytes:
    """A good record at `lsn` that would change block 0."""
    buffers, _ = BatchEncoder().encode([(int(RecordType.WRITE), 0, 0, BLOCK, memoryview(b"\xee" * BLOCK))], lsn=lsn,
                                       generation=1, incarnation=1, timestamp_ns=1, durable_lsn=lsn)
    return b"".join(bytes(buffer) for buffer in buffers)


def log_frame(lsn: int, body: bytes, commit_lsn: int = 0) -> bytes:
    return frame_header(FrameType.LOG, length=len(body), lsn=lsn, aux=commit_lsn) + body


def after_start(make: Callable[[Welcome], bytes]) -> Abuse:
    def abuse(peer: Peer, rds: Rds) -> None:
        welcome = welcomed(peer, rds)
        peer.send(start(welcome))
        peer.receive(FrameType.ACK)
        peer.send(make(welcome))

    return abuse


def after_welcome(make: Callable[[Welcome], bytes]) -> Abuse:
    return lambda peer, rds: peer.send(make(welcomed(peer, rds)))


def first(make: Callable[[Rds], bytes]) -> Abuse:
    return lambda peer, rds: peer.send(make(rds))


def damaged(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def begin_at(lsn: int) -> Abuse:
    return after_welcome(lambda w: start(w, mode="begin", order_id=OTHER_ORDER, lsn=lsn))


def header_of(kind: int, flags: int = 0) -> bytes:
    fields = struct.pack("<BBHIQQI", kind, flags, 0, 0, 0, 0, 0)
    return fields + struct.pack("<I", crc32c.crc32c(fields))


FROM_A_PRIMARY: dict[str, tuple[Abuse, str]] = {
    "noise": (first(lambda _: os.urandom(64)), "frame header checksum does not match"),
    "noise later": (after_start(lambda _: os.urandom(64)), "frame header checksum does not match"),
    "unknown type": (first(lambda _: header_of(99)), "unknown frame type 99"),
    "flags": (first(lambda _: header_of(FrameType.HEARTBEAT, flags=1)), "flags 1"),
    "body checksum": (first(lambda rds: damaged(hello(rds), 40)), "HELLO body checksum does not match"),
    "not JSON": (first(lambda _: frame(FrameType.HELLO, b"{")), "body is not JSON"),
    "deep JSON": (first(lambda _: frame(FrameType.HELLO, b"[" * 60_000)), "body is not JSON"),
    "JSON of another shape": (first(lambda _: json_frame(FrameType.HELLO, {"protocol": 1})), "Hello has"),
    "STATE without JSON": (first(lambda _: frame(FrameType.STATE, b"[]")), "not a JSON object"),
    "oversize": (first(lambda _: frame_header(FrameType.LOG, length=LOG_BODY_MAX + 1)), "exceeds 1048576"),
    "oversize JSON": (first(lambda _: frame_header(FrameType.HELLO, length=1 << 31)), "exceeds 65536"),
    "answers as if a Secondary": (first(lambda _: frame(FrameType.ACK, U64.pack(0))), "unexpected ACK"),
    "region before START": (after_welcome(lambda _: frame(FrameType.REGION, b"x" * BLOCK)), "unexpected REGION"),
    "log before START": (after_welcome(lambda w: log_frame(w.end_lsn, record(w.end_lsn))), "log bytes before START"),
    "START before HELLO": (first(lambda _: json_frame(FrameType.START, {
        "mode": "begin", "lsn": 4096, "order_id": OTHER_ORDER, "consistent": False, "history": [(1, 4096)],
        "sync_ack": "network"})), "unexpected START"),
    "START elsewhere": (after_welcome(lambda w: start(w, lsn=w.end_lsn + 8)), "the log here ends at"),
    "START again": (after_start(start), "unexpected START"),
    "an old order again": (after_welcome(lambda w: start(w, mode="begin")), "carried out already"),
    **{f"START at {lsn}": (begin_at(lsn), "Start has a bad field") for lsn in (0, -8, 4097, 1 << 63, 1 << 70)},
    "impossible history": (after_welcome(lambda w: start(w, history=[(-1, 4096)])), "Start has"),
    "endless history": (after_welcome(lambda w: start(w, history=[Reign(1, 4096)] * 300)), "Start has"),
    "log with a gap": (after_start(lambda w: log_frame(w.end_lsn + 8, record(w.end_lsn + 8))), "expected"),
    "log again": (after_start(lambda w: log_frame(w.end_lsn, record(w.end_lsn)[:64]) * 2), "expected"),
    "damaged header of a record": (after_start(
        lambda w: log_frame(w.end_lsn, damaged(record(w.end_lsn), 33), w.end_lsn + BLOCK + 64)), "is damaged"),
    "damaged payload of a record": (after_start(
        lambda w: log_frame(w.end_lsn, damaged(record(w.end_lsn), 99), w.end_lsn + BLOCK + 64)), "is damaged"),
    "a record of another place": (after_start(
        lambda w: log_frame(w.end_lsn, record(w.end_lsn + 8), w.end_lsn + BLOCK + 64)), "is damaged"),
    "more than fits uncommitted": (after_start(lambda w: flood(w.end_lsn)), "await their commit"),
    "region for equal volumes": (after_start(lambda _: frame(FrameType.REGION, b"x" * BLOCK)), "are consistent"),
    "zero region for equal volumes": (after_start(lambda _: frame(FrameType.REGION_ZERO, U64.pack(BLOCK))),
                                      "are consistent"),
    "VERIFIED unasked": (after_start(lambda w: frame(FrameType.VERIFIED, U64.pack(0), lsn=w.end_lsn, aux=8)),
                         "which nobody asked for"),
    "endless zero region": (after_start(lambda _: frame(FrameType.REGION_ZERO, U64.pack((1 << 64) - 1))), "exceeds"),
    "heartbeats unread": (after_start(lambda _: frame(FrameType.HEARTBEAT) * 200_000 + bytes(32)),
                          "frame header checksum does not match"),
}


def flood(lsn: int) -> bytes:
    """13 MiB of good records that are never committed."""
    parts: list[bytes] = []
    while len(parts) < 13 * MIB // (BLOCK + 64):
        parts.append(log_frame(lsn, record(lsn)))
        lsn += BLOCK + 64
    return b"".join(parts)


@pytest.mark.parametrize("encryption", ["off", "tls"])
def test_a_secondary_survives_a_primary_that_talks_nonsense(make_rds: Callable[..., Rds], encryption: str) -> None:
    rds = make_rds(volumes=[MIB], encryption=encryption)
    tokyo = rds.secondaries[0]
    rds.startrep("blank")
    write(rds, 1)
    rds.wait_up_to_date()
    link = {"link_id": rds.primary.links[0]["link_id"]}
    rds.primary.call("link.pause", link)
    before, end_lsn = tokyo.data(0), tokyo.status().srl.end_lsn
    assert tokyo.process is not None
    for name, (abuse, reason) in FROM_A_PRIMARY.items():
        said = len(log_text(tokyo))
        peer = as_primary(rds)
        with contextlib.suppress(StreamClosed):  # it had enough before everything was said
            abuse(peer, rds)
        assert peer.closed(), name
        peer.close()
        wait_for_log(tokyo, said, reason, name)
        assert tokyo.process.poll() is None, f"{name}: {log_text(tokyo)[said:]}"
        status = tokyo.status()
        assert (status.state, status.srl.end_lsn, status.consistent) == (RvgState.ACTIVE, end_lsn, True), name
    assert tokyo.data(0) == before
    rds.primary.call("link.resume", link)
    write(rds, 2)
    rds.wait_up_to_date()
    assert tokyo.data(0) == rds.primary.data(0)


def test_a_commit_beyond_what_was_sent_commits_what_was_sent(make_rds: Callable[..., Rds]) -> None:
    rds = make_rds(volumes=[MIB])
    tokyo = rds.secondaries[0]
    peer = as_primary(rds)
    welcome = welcomed(peer, rds)
    peer.send(start(welcome, mode="begin", order_id=OTHER_ORDER))
    one = record(welcome.end_lsn)
    peer.send(log_frame(welcome.end_lsn, one + record(welcome.end_lsn + len(one))[:-8], 1 << 62))
    wait_for(lambda: tokyo.status().srl.end_lsn == welcome.end_lsn + len(one), "the whole record is committed")
    peer.send(frame(FrameType.COMMIT, lsn=1 << 63))
    peer.send(frame(FrameType.HEARTBEAT))
    peer.receive(FrameType.HEARTBEAT)
    assert tokyo.status().srl.end_lsn == welcome.end_lsn + len(one)
    peer.close()


@pytest.mark.parametrize(("place", "length"), [
    ({"lsn": MIB}, BLOCK), ({"lsn": MIB - BLOCK + 1}, BLOCK), ({"aux": 1}, BLOCK), ({"lsn": (1 << 64) - 1}, BLOCK),
    ({"aux": (1 << 64) - 1}, BLOCK)])
def test_a_region_outside_the_volumes_is_not_written(make_rds: Callable[..., Rds], place: dict[str, int],
                                                     length: int) -> None:
    rds = make_rds(volumes=[MIB])
    tokyo = rds.secondaries[0]
    for region in (frame(FrameType.REGION, b"x" * length, **place),
                   frame(FrameType.REGION_ZERO, U64.pack(length), **place)):
        peer = as_primary(rds)
        welcome = welcomed(peer, rds)
        mode = "stream" if welcome.order_id else "begin"
        peer.send(start(welcome, mode=mode, order_id=OTHER_ORDER, consistent=False), region)
        assert peer.closed()
        peer.close()
    assert log_text(tokyo).count("does not exist here") >= 2
    assert tokyo.data(0) == bytes(MIB)
    assert not tokyo.status().consistent


def raw(rds: Rds) -> socket.socket:
    """A connection whose hello line is right, by somebody without a key."""
    sock = socket.create_connection(("127.0.0.1", rds.secondaries[0].port))
    sock.sendall(connect.hello_line(rds.primary.rds_id, rds.primary.links[0]["link_id"], "london"))
    return sock


@pytest.mark.parametrize("encryption", ["off", "tls"])
def test_who_cannot_prove_itself_or_dawdles_keeps_nobody_out(make_rds: Callable[..., Rds], encryption: str) -> None:
    rds = make_rds(volumes=[MIB], encryption=encryption)
    strangers = [raw(rds) for _ in range(4)]
    for number, stranger in enumerate(strangers):
        stranger.sendall(os.urandom(500) if number < 2 else b"\x16")  # noise, and one byte that could be a beginning
    rds.startrep("blank")
    write(rds, 1)
    rds.wait_up_to_date()
    for stranger in strangers[:2]:
        stranger.settimeout(20)
        try:
            answer = stranger.recv(100)
        except ConnectionResetError:
            answer = b""
        assert encryption == "tls" or answer == b"", "somebody without the key was answered"
    assert rds.secondaries[0].data(0) == rds.primary.data(0)
    for stranger in strangers:
        stranger.close()
    wait_for(lambda: "rlk_refused" in log_text(rds.secondaries[0]), "the refusal is logged")


def welcome_frame(**changes: object) -> bytes:
    said = Welcome(protocol=LINK_PROTOCOL, host="tokyo", order_id="", history=[Reign(1, 4096)], end_lsn=4096,
                   applied_lsn=4096, consistent=True).data()
    return json_frame(FrameType.WELCOME, {**said, **changes})


def ack(network_lsn: int, data_lsn: int, applied_lsn: int = 0) -> bytes:
    return frame(FrameType.ACK, U64.pack(applied_lsn), lsn=network_lsn, aux=data_lsn)


def before_start(data: bytes) -> Callable[[Peer], None]:
    return lambda peer: peer.send(data)


def once_started(make: Callable[[int], bytes]) -> Callable[[Peer], None]:
    def abuse(peer: Peer) -> None:
        peer.send(welcome_frame())
        peer.send(make(peer.receive(FrameType.START)[1]))

    return abuse


FROM_A_SECONDARY: dict[str, tuple[Callable[[Peer], None], str]] = {
    "noise": (before_start(os.urandom(64)), "frame header checksum does not match"),
    "malformed WELCOME": (before_start(frame(FrameType.WELCOME, b"\xff{")), "body is not JSON"),
    "WELCOME of another shape": (before_start(json_frame(FrameType.WELCOME, {"protocol": 1})), "Welcome has"),
    "WELCOME with a negative end": (before_start(welcome_frame(end_lsn=-8)), "Welcome has a bad field"),
    "WELCOME with half an LSN": (before_start(welcome_frame(end_lsn=4097)), "Welcome has a bad field"),
    "ack before START": (before_start(ack(0, 0)), "unexpected ACK"),
    "region ack before START": (before_start(frame(FrameType.REGION_ACK, lsn=1)), "unexpected REGION_ACK"),
    "log bytes": (before_start(log_frame(4096, record(4096))), "a Secondary sent"),
    "REFUSE without JSON": (before_start(frame(FrameType.REFUSE, b"no")), "body is not JSON"),
    "network ack of what was not sent": (once_started(lambda lsn: ack(lsn + MIB, lsn)), "acknowledges LSN"),
    "data ack of what was not sent": (once_started(lambda lsn: ack(lsn, lsn + 8)), "acknowledges LSN"),
    "ack without a body": (once_started(lambda lsn: frame(FrameType.ACK, lsn=lsn, aux=lsn)), "body has 0 bytes"),
    "WELCOME again": (once_started(lambda _: welcome_frame()), "unexpected WELCOME"),
    "CONSISTENT unasked": (once_started(lambda lsn: frame(FrameType.CONSISTENT, lsn=lsn)), "unexpected CONSISTENT"),
    "START": (once_started(lambda _: json_frame(FrameType.START, {})), "unexpected START"),
    "VERIFY before START": (before_start(frame(FrameType.VERIFY, U64.pack(0), aux=8)), "unexpected VERIFY"),
    "VERIFY beyond its end": (once_started(lambda lsn: frame(FrameType.VERIFY, U64.pack(0), lsn=lsn, aux=8)),
                              "VERIFY of 8 bytes"),
    "VERIFY of nothing": (once_started(lambda lsn: frame(FrameType.VERIFY, U64.pack(0), lsn=lsn)), "VERIFY of 0 bytes"),
    "VERIFY without a body": (once_started(lambda lsn: frame(FrameType.VERIFY, lsn=lsn, aux=8)), "body has 0 bytes"),
    "VERDICT unasked": (once_started(lambda lsn: frame(FrameType.VERDICT, U64.pack(0), lsn=lsn, aux=8)),
                        "are not disputed"),
    "heartbeats unread": (once_started(lambda _: frame(FrameType.HEARTBEAT) * 200_000 + bytes(32)),
                          "frame header checksum does not match"),
}


@pytest.mark.parametrize("method", ["blank", "autosync"])
def test_a_primary_serves_whatever_its_secondary_says(make_rds: Callable[..., Rds], method: str) -> None:
    rds = make_rds(volumes=[MIB])
    london = rds.primary
    assert london.process is not None
    write(rds, 1)
    fake = FakeSecondary(rds)
    rds.startrep(method)
    for number, (name, (abuse, reason)) in enumerate(FROM_A_SECONDARY.items()):
        said = len(log_text(london))
        peer, _ = fake.accept()
        with contextlib.suppress(StreamClosed):  # it had enough before everything was said
            abuse(peer)
        write(rds, number + 2, number % 8)
        assert peer.closed(), name
        peer.close()
        wait_for_log(london, said, reason, name)
        status = london.status()
        assert (status.state, status.links[0].state) == (RvgState.ACTIVE, LinkState.ACTIVE), name
        assert status.links[0].consistent == (method == "blank"), name
    fake.close()
    if method == "blank":  # what the fake Secondary saw of the log is the real one's beginning, too
        rds.wait_up_to_date()
        assert rds.secondaries[0].data(0)[BLOCK:] == london.data(0)[BLOCK:]
    else:
        rds.wait_up_to_date()
        assert rds.secondaries[0].data(0) == london.data(0)


def test_memory_stays_bounded_while_a_secondary_stands_still(make_rds: Callable[..., Rds]) -> None:
    rds = make_rds(volumes=[32 * MIB], srl_bytes=64 * MIB, encryption="tls")
    tokyo = rds.secondaries[0]
    rds.startrep("blank")
    rds.wait_up_to_date()
    assert tokyo.process is not None
    tokyo.process.send_signal(signal.SIGSTOP)
    client = NbdClient(rds.primary.uri())
    highest_bytes = 0
    try:
        for number in range(200):
            client.write(number % 32 * MIB, bytes([number % 255 + 1]) * MIB)
            if number % 10 == 9:
                highest_bytes = max(highest_bytes, rss_bytes(rds.primary))
        stopped = rss_bytes(tokyo)
    finally:
        tokyo.process.send_signal(signal.SIGCONT)
        client.close()
    assert max(highest_bytes, stopped) < RSS_MAX_BYTES, f"{highest_bytes >> 20} and {stopped >> 20} MiB"
    assert rds.primary.status().links[0].state == LinkState.STALE, "the log cannot hold 200 MiB"


