"""Where clients come in: addresses, stale sockets, one too many, and leaving no trace."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.nbd.services import RamService
from volrep.model.errors import Message, VolrepError
from volrep.model.messages import access
from volrep.nbd import listener as module
from volrep.nbd.exports import ExportInfo, ExportTable
from volrep.nbd.listener import Listener, listen
from volrep.ports.clock import SystemClock
from volrep.ports.reactor import Reactor

EXPORTS = ExportTable([ExportInfo("v", 1 << 20, 0)])
SERVICE = RamService(1 << 20)


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor(SystemClock())
    yield reactor
    reactor.close()


def _refusal(address: str, reactor: Reactor) -> VolrepError:
    with pytest.raises(VolrepError) as caught:
        listen(address, reactor, EXPORTS, SERVICE)
    assert caught.value.text
    assert caught.value.hint
    return caught.value


def _knock(listener: Listener, reactor: Reactor, path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(path))
    reactor.turn()
    return client


def test_a_unix_socket_is_its_owners_alone_and_goes_with_its_listener(reactor: Reactor, tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    listener = listen(f"unix:{path}", reactor, EXPORTS, SERVICE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert listener.uri("hr dv") == f"nbd+unix:///hr%20dv?socket={path}"
    listener.close()
    listener.close()
    assert not path.exists()


def test_a_stale_socket_is_replaced_and_a_living_one_is_not(reactor: Reactor, tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listener = listen(f"unix:{path}", reactor, EXPORTS, SERVICE)
    assert _refusal(f"unix:{path}", reactor).message is access.LISTEN_SOCKET_IN_USE
    assert path.exists()
    listener.close()


def test_a_listener_does_not_remove_the_socket_of_its_successor(reactor: Reactor, tmp_path: Path) -> None:
    path = tmp_path / "v.sock"
    first = listen(f"unix:{path}", reactor, EXPORTS, SERVICE)
    os.rename(path, tmp_path / "moved")
    second = listen(f"unix:{path}", reactor, EXPORTS, SERVICE)
    first.close()
    assert path.exists()
    second.close()


@pytest.mark.parametrize(("address", "message"), [
    ("tcp:0.0.0.0:10809", access.LISTEN_BEYOND_LOOPBACK),
    ("tcp:192.0.2.7:10809", access.LISTEN_BEYOND_LOOPBACK),
    ("tcp:[::]:10809", access.LISTEN_BEYOND_LOOPBACK),
    ("tcp:somewhere:10809", access.LISTEN_BAD),
    ("tcp:127.0.0.1:70000", access.LISTEN_BAD),
    ("tcp:127.0.0.1", access.LISTEN_BAD),
    ("unix:relative", access.LISTEN_BAD),
    ("", access.LISTEN_BAD),
    ("unix:/" + "x" * 107, access.LISTEN_PATH_LONG),
    ("unix:/nowhere/at/all/v.sock", access.LISTEN_FAILED),
    ("unix:/etc/passwd", access.LISTEN_NOT_A_SOCKET),
])
def test_addresses_that_are_refused(reactor: Reactor, address: str, message: Message) -> None:
    assert _refusal(address, reactor).message is message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_loopback_works_and_a_port_in_use_is_named(reactor: Reactor, host: str) -> None:
    listener = listen(f"tcp:{host}:0", reactor, EXPORTS, SERVICE)
    assert listener.port
    assert f":{listener.port}/v" in listener.uri("v")
    error = _refusal(f"tcp:{host}:{listener.port}", reactor)
    assert error.message is access.LISTEN_PORT_IN_USE
    assert str(listener.port) in error.text
    listener.close()


def test_one_client_too_many_is_turned_away_and_a_place_becomes_free_again(
        reactor: Reactor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS_MAX", 2)
    path = tmp_path / "v.sock"
    listener = listen(f"unix:{path}", reactor, EXPORTS, SERVICE)
    clients = [_knock(listener, reactor, path) for _ in range(3)]
    assert [client.recv(8) for client in clients] == [b"NBDMAGIC", b"NBDMAGIC", b""]
    clients[0].close()
    reactor.turn()
    assert len(listener.connections) == 1
    assert _knock(listener, reactor, path).recv(8) == b"NBDMAGIC"
    listener.close()
    assert listener.connections == set()
    assert clients[1].recv(100).endswith(b"\x03")
    assert clients[1].recv(100) == b""


class Clock:
    """Time that a test moves."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def wall_ns(self) -> int:
        return int(self.now_s * 1e9)


def test_running_out_of_descriptors_pauses_accepting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, path = Clock(), tmp_path / "v.sock"
    reactor = Reactor(clock)
    listener = listen(f"unix:{path}", reactor, EXPORTS, SERVICE)
    real = listener._sock

    class Exhausted:
        fileno = real.fileno

        def accept(self) -> None:
            raise OSError(24, "Too many open files")

    monkeypatch.setattr(listener, "_sock", Exhausted())
    client = _knock(listener, reactor, path)
    monkeypatch.setattr(listener, "_sock", real)
    for now_s, connections in ((0.5, 0), (1.5, 0), (1.5, 1)):  # at 1.5 s the pause ends, and the next round accepts
        clock.now_s = now_s
        reactor.call_soon(lambda: None)
        reactor.turn()
        assert len(listener.connections) == connections
    assert client.recv(8) == b"NBDMAGIC"
    listener.close()
    reactor.close()
