"""The other end of a link, played by a test: real connection, real key, and then any bytes it likes."""

from __future__ import annotations

import select
import socket
from pathlib import Path
from typing import Any

from tests.system.pair import Host, Rds, wait_for
from volrep.link import connect
from volrep.link.frames import FRAME_HEADER_BYTES, FrameType, json_body, json_frame, parse_header
from volrep.link.negotiate import LINK_PROTOCOL, Hello, Start, StartMode, VolumeSaid, Welcome
from volrep.model.units import Reign
from volrep.ports.streams import Stream, StreamClosed

DEADLINE_S = 20.0


def security(host: Host, link: dict[str, Any]) -> connect.Security:
    """How `host` proves itself on `link`."""
    return connect.Security(
        encryption=link["attributes"].get("encryption", "tls"), certificate_path=host.dir / "cert.pem",
        private_key_path=host.dir / "key.pem", peer_certificate=link["peer_certificate"],
        key=bytes.fromhex(link["key"]))


class Peer:
    """Blocking frames over an established stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def send(self, *parts: bytes) -> None:
        """All of it. Raises StreamClosed when the other end has had enough."""
        data = memoryview(b"".join(parts))
        while data:
            sent = self.stream.send([data])
            data = data[sent:]
            if not sent:
                self._wait(writing=True)
        while not self.stream.flush():
            self._wait(writing=True)

    def receive(self, *wanted: FrameType) -> tuple[FrameType, int, int, memoryview]:
        """The next frame of a wanted type; others (heartbeats) are skipped."""
        while True:
            kind, length, lsn, aux, _ = parse_header(self._exactly(FRAME_HEADER_BYTES))
            body = self._exactly(length)
            if kind in wanted:
                return FrameType(kind), lsn, aux, body

    def closed(self) -> bool:
        """Whether the other end closes within the deadline, whatever it says before."""
        try:
            while True:
                self._exactly(1)
        except StreamClosed:
            return True

    def _exactly(self, count: int) -> memoryview:
        view, done = memoryview(bytearray(count)), 0
        while done < count:
            got = self.stream.recv_into(view[done:])
            if got < 0:
                self._wait(writing=False)
            else:
                done += got
        return view

    def _wait(self, *, writing: bool) -> None:
        fd = self.stream.fileno()
        ready = select.select([] if writing else [fd], [fd] if writing else [], [], DEADLINE_S)
        assert any(ready), f"nothing happened for {DEADLINE_S} s"

    def close(self) -> None:
        self.stream.close()


def as_primary(rds: Rds) -> Peer:
    """Dial the Secondary with the Primary's identity."""
    london, tokyo = rds.primary, rds.secondaries[0]
    link = london.links[0]
    line = connect.hello_line(rds.primary.rds_id, link["link_id"], "london")
    return Peer(connect.dial("127.0.0.1", tokyo.port, line, security(london, link)))


def hello(rds: Rds, history: list[Reign] | None = None) -> bytes:
    volumes = [VolumeSaid(index=v["index"], name=v["name"], size_bytes=v["size_bytes"]) for v in rds.primary.volumes]
    said = Hello(protocol=LINK_PROTOCOL, rds_id=rds.primary.rds_id, link_id=rds.primary.links[0]["link_id"],
                 host="london", rvg="rvg", history=history or [Reign(1, 4096)], durable_lsn=4096, incarnation=1,
                 volumes=volumes, sync_ack="network")
    return json_frame(FrameType.HELLO, said.data())


def welcomed(peer: Peer, rds: Rds, history: list[Reign] | None = None) -> Welcome:
    """Say HELLO; what the Secondary has."""
    peer.send(hello(rds, history))
    return Welcome.from_data(json_body(peer.receive(FrameType.WELCOME)[3]))


def start(welcome: Welcome, **changes: object) -> bytes:
    """START that goes on where the Secondary is, or what `changes` make of it."""
    said = Start(mode=StartMode.STREAM, lsn=welcome.end_lsn, order_id=welcome.order_id, consistent=True,
                 history=welcome.history, sync_ack="network").data()
    return json_frame(FrameType.START, {**said, **changes})


class FakeSecondary:
    """A listener in the Secondary's place: the Primary's link is pointed at it."""

    def __init__(self, rds: Rds) -> None:
        self._rds = rds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(DEADLINE_S)
        self._real_port = rds.primary.links[0]["remote_port"]
        self._point(self._listener.getsockname()[1])

    def _point(self, port: int) -> None:
        self._rds.primary.links = [{**self._rds.primary.links[0], "remote_port": port}, *self._rds.primary.links[1:]]
        self._rds.primary.configure()

    def accept(self) -> tuple[Peer, Hello]:
        """The Primary's next connection and its HELLO."""
        tokyo = self._rds.secondaries[0]
        sock, _ = self._listener.accept()
        sock.settimeout(DEADLINE_S)
        line = b""
        while not line.endswith(b"\n"):
            line += sock.recv(1)
        peer = Peer(connect.accept(sock, line, security(tokyo, tokyo.links[0])))
        return peer, Hello.from_data(json_body(peer.receive(FrameType.HELLO)[3]))

    def close(self) -> None:
        """Give the Secondary its place back."""
        self._listener.close()
        self._point(self._real_port)


def log_text(host: Host) -> str:
    return Path(host.dir / "worker.log").read_text()


def rss_bytes(host: Host) -> int:
    assert host.process is not None
    for line in Path(f"/proc/{host.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmRSS")


def wait_for_log(host: Host, since: int, reason: str, what: str) -> None:
    """`reason` stands in the worker's log behind character `since`."""
    said = ""

    def is_said() -> bool:
        nonlocal said
        said = log_text(host)[since:]
        return reason in said

    try:
        wait_for(is_said, reason, DEADLINE_S)
    except AssertionError:
        raise AssertionError(f"{what}: {reason!r} is not in the log, which says {said}") from None
