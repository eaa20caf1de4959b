"""Identity: a link comes up between the two that were paired, and for nobody else."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.system.pair import make_identity
from volrep.link import connect
from volrep.link.connect import Security, SetupFailed
from volrep.ports.streams import Stream


def security(directory: Path, peer: str, *, encryption: str, key: bytes) -> Security:
    return Security(encryption=encryption, certificate_path=directory / "cert.pem",
                    private_key_path=directory / "key.pem", peer_certificate=peer, key=key)


@pytest.fixture
def identities(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    made = {}
    for name in ("london", "tokyo", "mallory"):
        (tmp_path / name).mkdir()
        made[name] = (tmp_path / name, make_identity(tmp_path / name))
    return made


def join(dialling: Security, accepting: Security, *, line: bytes = b"VOLREP/1 r l london\n",
         expected: bytes | None = None) -> tuple[Stream | SetupFailed, Stream | SetupFailed]:
    """Both ends over a real TCP connection: what each of them got."""
    listener = socket.create_server(("127.0.0.1", 0))
    got: list[Stream | SetupFailed] = []

    def accepting_end() -> None:
        sock, _ = listener.accept()
        assert sock.recv(len(line), socket.MSG_WAITALL) == line
        got.append(outcome(lambda: connect.accept(sock, expected or line, accepting)))

    thread = threading.Thread(target=accepting_end)
    thread.start()
    dialled = outcome(lambda: connect.dial("127.0.0.1", listener.getsockname()[1], line, dialling))
    thread.join(20)
    listener.close()
    return dialled, got[0]


def outcome(make: Callable[[], Stream]) -> Stream | SetupFailed:
    try:
        return make()
    except SetupFailed as error:
        return error


@pytest.mark.parametrize("encryption", ["tls", "off"])
def test_the_two_that_were_paired_come_together(identities: dict[str, tuple[Path, str]], encryption: str) -> None:
    (london, london_pem), (tokyo, tokyo_pem) = identities["london"], identities["tokyo"]
    key = os.urandom(32)
    one, other = join(security(london, tokyo_pem, encryption=encryption, key=key),
                      security(tokyo, london_pem, encryption=encryption, key=key))
    assert not isinstance(one, SetupFailed), one
    assert not isinstance(other, SetupFailed), other
    assert one.send([b"abc", b"def"]) == 6
    view, count = memoryview(bytearray(6)), 0
    while count < 6:
        count += max(0, other.recv_into(view[count:]))
    assert bytes(view) == b"abcdef"
    one.close()
    other.close()


@pytest.mark.parametrize(("dialler", "acceptor"), [("mallory", "tokyo"), ("london", "mallory")])
def test_with_tls_a_certificate_that_is_not_the_pinned_one_is_refused_at_both_ends(
        identities: dict[str, tuple[Path, str]], dialler: str, acceptor: str) -> None:
    key = os.urandom(32)
    one, other = join(security(identities[dialler][0], identities["tokyo"][1], encryption="tls", key=key),
                      security(identities[acceptor][0], identities["london"][1], encryption="tls", key=key))
    assert isinstance(one, SetupFailed)
    assert isinstance(other, SetupFailed)


def test_without_encryption_a_wrong_key_is_refused_and_the_stranger_hears_nothing(
        identities: dict[str, tuple[Path, str]]) -> None:
    (london, london_pem), (tokyo, tokyo_pem) = identities["london"], identities["tokyo"]
    one, other = join(security(london, tokyo_pem, encryption="off", key=bytes(32)),
                      security(tokyo, london_pem, encryption="off", key=os.urandom(32)))
    assert "does not hold this link's key" in str(other)
    assert "closed the connection" in str(one) or "identity not proved" in str(one)


def test_a_proof_made_for_another_hello_line_is_refused(identities: dict[str, tuple[Path, str]]) -> None:
    (london, london_pem), (tokyo, tokyo_pem) = identities["london"], identities["tokyo"]
    key = os.urandom(32)
    _, other = join(security(london, tokyo_pem, encryption="off", key=key),
                    security(tokyo, london_pem, encryption="off", key=key), expected=b"VOLREP/1 r l paris\n")
    assert isinstance(other, SetupFailed)


def test_a_replayed_first_message_proves_nothing(identities: dict[str, tuple[Path, str]]) -> None:
    """What a listener on the line recorded of a good dialler opens no second connection."""
    tokyo, _ = identities["tokyo"]
    key, line = os.urandom(32), b"VOLREP/1 r l london\n"
    nonce = os.urandom(32)
    recorded = nonce + connect._mac(key, b"dial", line, nonce)
    ours, theirs = socket.socketpair()
    result: list[Stream | SetupFailed] = []
    accepting = security(tokyo, identities["london"][1], encryption="off", key=key)
    thread = threading.Thread(target=lambda: result.append(outcome(lambda: connect.accept(theirs, line, accepting))))
    thread.start()
    ours.sendall(recorded)
    ours.recv(64, socket.MSG_WAITALL)
    ours.sendall(os.urandom(32))
    thread.join(20)
    ours.close()
    assert "replayed" in str(result[0])
