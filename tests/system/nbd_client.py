"""A small blocking NBD client: what a test needs to know exactly which write was completed when."""

from __future__ import annotations

import socket
import struct
from urllib.parse import parse_qs, urlparse

from volrep.nbd import wire

_REQUEST = struct.Struct(">IHH8sQI")


class NbdClient:
    """Fixed newstyle, simple replies. `issue` and `complete` may be used apart to keep writes in flight."""

    def __init__(self, uri: str) -> None:
        parts = urlparse(uri)
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(30)
        self._sock.connect(parse_qs(parts.query)["socket"][0])
        name = parts.path.lstrip("/").encode()
        self._receive(18)
        data = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
        self._sock.sendall(struct.pack(">I", 3) + wire.OPTION.pack(wire.OPTION_MAGIC, wire.OPT_GO, len(data)) + data)
        self.size_bytes = 0
        while True:
            _, _, kind, length = wire.OPTION_REPLY.unpack(self._receive(wire.OPTION_REPLY.size))
            body = self._receive(length)
            if kind == wire.REP_ACK:
                break
            assert kind == wire.REP_INFO, hex(kind)
            if struct.unpack(">H", body[:2])[0] == wire.INFO_EXPORT:
                self.size_bytes = wire.INFO_EXPORT_DATA.unpack(body)[1]

    def issue(self, cookie: int, offset: int, data: bytes) -> None:
        self._sock.sendall(_REQUEST.pack(wire.REQUEST_MAGIC, 0, wire.CMD_WRITE, cookie.to_bytes(8, "big"), offset,
                                         len(data)) + data)

    def issue_zeroes(self, cookie: int, offset: int, length: int, command: int = wire.CMD_WRITE_ZEROES) -> None:
        self._sock.sendall(_REQUEST.pack(wire.REQUEST_MAGIC, 0, command, cookie.to_bytes(8, "big"), offset, length))

    def fileno(self) -> int:
        return self._sock.fileno()

    def complete(self) -> int:
        """Wait for one reply; its cookie. Raises OSError when the server is gone or the request failed."""
        magic, error, cookie = struct.unpack(">II8s", self._receive(16))
        assert magic == wire.SIMPLE_REPLY_MAGIC
        if error:
            raise OSError(error, "NBD error")
        return int.from_bytes(cookie, "big")

    def write(self, offset: int, data: bytes) -> None:
        self.issue(1, offset, data)
        self.complete()

    def read(self, offset: int, length: int) -> bytes:
        self._sock.sendall(_REQUEST.pack(wire.REQUEST_MAGIC, 0, wire.CMD_READ, bytes(8), offset, length))
        self.complete()
        return self._receive(length)

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._sock.recv(count - len(data))
            if not part:
                raise ConnectionResetError("the server closed the connection")
            data += part
        return bytes(data)

    def close(self) -> None:
        self._sock.close()
