"""TLS 1.3 between two engines that know each other's certificate, and nobody else's.

Each end trusts exactly one certificate: the peer's, carried over SSH by addsec. There is no authority, no
name check and no renewal to go wrong; a certificate that is not the pinned one ends the handshake.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from volrep.ports.streams import Buffer, StreamClosed

HELD_MAX_BYTES = 256 << 10  # plaintext the stream may own while the kernel takes nothing: 16 TLS records


def context(*, server: bool, certificate_path: Path, private_key_path: Path, peer_certificate: str) -> ssl.SSLContext:
    """A context that accepts only `peer_certificate` (PEM). Raises ssl.SSLError on bad PEM."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    made.load_verify_locations(cadata=peer_certificate)
    made.load_cert_chain(certificate_path, private_key_path)
    if server:
        made.num_tickets = 0  # no resumption: every connection proves itself anew
    return made


def is_pinned(sock: ssl.SSLSocket, peer_certificate: str) -> bool:
    """Whether the peer showed exactly the pinned certificate (a trusted one could have signed others)."""
    return sock.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(peer_certificate)


class TlsStream:
    """`ports.streams.Stream` over an established TLS socket.

    OpenSSL wants an interrupted write repeated with the same bytes, so the stream owns a copy of what it has
    accepted (at most HELD_MAX_BYTES) until it is through; `send` then takes nothing more.
    """

    def __init__(self, sock: ssl.SSLSocket, name: str) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self.name = name
        self._held = b""
        self._scratch = memoryview(bytearray(HELD_MAX_BYTES))

    def fileno(self) -> int:
        return self._sock.fileno()

    def recv_into(self, view: memoryview) -> int:
        try:
            received = self._sock.recv_into(view)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return -1
        except (OSError, ValueError) as error:
            raise StreamClosed(str(error)) from error
        if received == 0:
            raise StreamClosed("closed by the other end")
        return received

    def send(self, buffers: Sequence[Buffer]) -> int:
        if not self.flush():
            return 0
        taken: list[Buffer] = []
        room = HELD_MAX_BYTES
        for buffer in buffers:
            taken.append(buffer if len(buffer) <= room else memoryview(buffer)[:room])
            room -= len(taken[-1])
            if not room:
                break
        self._held = b"".join(taken)
        self.flush()
        return HELD_MAX_BYTES - room

    def send_file(self, fd: int, offset: int, length: int) -> int:
        if not self.flush():
            return 0
        try:
            count = os.preadv(fd, [self._scratch[: min(length, HELD_MAX_BYTES)]], offset)
        except OSError as error:
            raise StreamClosed(f"the log cannot be read: {error.strerror}") from error
        return self.send([self._scratch[:count]]) if count else 0

    def flush(self) -> bool:
        while self._held:
            try:
                sent = self._sock.send(self._held)
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False
            except (OSError, ValueError) as error:
                raise StreamClosed(str(error)) from error
            self._held = self._held[sent:]
        return True

    def pending(self) -> bool:
        return self._sock.pending() > 0

    def close(self) -> None:
        self._sock.close()
