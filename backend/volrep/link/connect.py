"""Making a link connection: hello line, then proof of identity. Blocking, for a helper thread.

On the wire, dialling end first:

    "VOLREP/1 <rds_id> <link_id> <from_host>\\n"      read by the engine, which picks the worker
    encryption=tls   TLS 1.3, both certificates pinned
    encryption=off   D→A  nonce_d (32), HMAC(key, "dial" + line + nonce_d)
                     A→D  nonce_a (32), HMAC(key, "accept" + nonce_d + nonce_a)
                     D→A  HMAC(key, "confirm" + nonce_a + nonce_d)          HMAC-SHA-256, 32 bytes

The accepting end says nothing before the dialling end has shown that it holds the link's key; the confirmation
makes a replayed first message worthless.
"""

from __future__ import annotations

import hmac
import os
import socket
import ssl
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from volrep.link import tls
from volrep.ports.streams import SocketStream, Stream

SETUP_TIMEOUT_S = 10.0
NONCE_BYTES = 32
SOCKET_BUFFER_BYTES = 4 << 20  # asked for; the kernel's wmem_max decides


class SetupFailed(Exception):
    """No usable connection; `str()` is the reason an operator sees."""


@dataclass(frozen=True, slots=True)
class Security:
    """How one link proves itself, at either end."""

    encryption: str  # tls | off
    certificate_path: Path
    private_key_path: Path
    peer_certificate: str
    key: bytes


def hello_line(rds_id: str, link_id: str, from_host: str) -> bytes:
    return f"VOLREP/1 {rds_id} {link_id} {from_host}\n".encode()


def dial(address: str, port: int, line: bytes, security: Security) -> Stream:
    """Connect, say the hello line, prove and check identity. Raises SetupFailed."""
    try:
        sock = socket.create_connection((address, port), timeout=SETUP_TIMEOUT_S)
    except OSError as error:
        raise SetupFailed(f"cannot connect to {address}:{port}: {error.strerror or error}") from error
    try:
        sock.sendall(line)
        return _secure(sock, security, line, server=False, name=f"{address}:{port}")
    except BaseException:
        sock.close()
        raise


def accept(sock: socket.socket, line: bytes, security: Security) -> Stream:
    """The other end, for a connection whose hello line has been read. Raises SetupFailed; closes `sock` then."""
    try:
        sock.settimeout(SETUP_TIMEOUT_S)
        return _secure(sock, security, line, server=True, name=_peer_name(sock))
    except BaseException:
        sock.close()
        raise


def _secure(sock: socket.socket, security: Security, line: bytes, *, server: bool, name: str) -> Stream:
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
    try:
        if security.encryption == "off":
            (_prove_accepting if server else _prove_dialling)(sock, security.key, line)
            return SocketStream(sock, name)
        made = tls.context(server=server, certificate_path=security.certificate_path,
                           private_key_path=security.private_key_path,
                           peer_certificate=security.peer_certificate)
        wrapped = made.wrap_socket(sock, server_side=server)
        if not tls.is_pinned(wrapped, security.peer_certificate):
            raise SetupFailed("the other end showed a certificate that is not the pinned one")
        if server:
            wrapped.sendall(b"\0")  # tells the dialling end that its certificate was accepted
        elif wrapped.recv(1) != b"\0":
            raise SetupFailed("the other end did not accept this host's certificate")
        return tls.TlsStream(wrapped, name)
    except ssl.SSLError as error:
        raise SetupFailed(f"TLS: {error.reason or error}") from error
    except OSError as error:
        raise SetupFailed(f"identity not proved: {error.strerror or error}") from error


def _prove_dialling(sock: socket.socket, key: bytes, line: bytes) -> None:
    nonce_d = os.urandom(NONCE_BYTES)
    sock.sendall(nonce_d + _mac(key, b"dial", line, nonce_d))
    answer = _receive(sock, NONCE_BYTES * 2)
    nonce_a, proof = answer[:NONCE_BYTES], answer[NONCE_BYTES:]
    if not hmac.compare_digest(proof, _mac(key, b"accept", nonce_d, nonce_a)):
        raise SetupFailed("the other end does not hold this link's key")
    sock.sendall(_mac(key, b"confirm", nonce_a, nonce_d))


def _prove_accepting(sock: socket.socket, key: bytes, line: bytes) -> None:
    first = _receive(sock, NONCE_BYTES * 2)
    nonce_d, proof = first[:NONCE_BYTES], first[NONCE_BYTES:]
    if not hmac.compare_digest(proof, _mac(key, b"dial", line, nonce_d)):
        raise SetupFailed("the other end does not hold this link's key")
    nonce_a = os.urandom(NONCE_BYTES)
    sock.sendall(nonce_a + _mac(key, b"accept", nonce_d, nonce_a))
    if not hmac.compare_digest(_receive(sock, NONCE_BYTES), _mac(key, b"confirm", nonce_a, nonce_d)):
        raise SetupFailed("the other end replayed an old proof")


def _mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, b"".join(parts), sha256)


def _receive(sock: socket.socket, count: int) -> bytes:
    received = b""
    end_s = time.monotonic() + SETUP_TIMEOUT_S  # for all of it: a byte now and then must not hold a thread
    while len(received) < count:
        sock.settimeout(max(0.001, end_s - time.monotonic()))
        part = sock.recv(count - len(received))
        if not part:
            raise SetupFailed("the other end closed the connection")
        received += part
    return received


def _peer_name(sock: socket.socket) -> str:
    try:
        peer = sock.getpeername()
    except OSError:
        return "gone"
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer)
