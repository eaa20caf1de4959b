"""The demo's application: a thread that writes at a steady pace, into a file system or straight over NBD.

Knows how to be a plain client of one export. Must not know RVGs, links, or what the demo does with the volume.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from volrep.nbd import wire

BLOCK_BYTES = 16 << 10
PACE_S = 0.008  # at most 125 writes/s of 16 KiB = 2 MB/s per volume: visible on a screen, small for a laptop
FILES_MAX = 64  # 64 files of 64 blocks = 64 MiB: fits into the file system several times over
BLOCKS_PER_FILE = 64
_IO_DEADLINE_S = 60.0
_REQUEST = struct.Struct(">IHH8sQI")
_REPLY = struct.Struct(">II8s")
_GREETING_BYTES = 18  # two magics of 8 bytes, flags of 2


class Writer:
    """Calls `write(number, data)` for ever; `stop` ends that and says how it went."""

    def __init__(self, name: str, write: Callable[[int, bytes], None], close: Callable[[], None]) -> None:
        self.name = name
        self.writes = 0
        self.ran_s = 0.0  # from its start to its last write
        self.error: OSError | None = None
        self._write, self._close = write, close
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"writer {name}", daemon=True)

    @property
    def bytes(self) -> int:
        return self.writes * BLOCK_BYTES

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End it, wait for its last write, close what it has open. `error` says why it ended early, if it did."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(_IO_DEADLINE_S)
        try:
            self._close()
        except OSError as error:
            self.error = self.error or error

    def _run(self) -> None:
        begin_s = time.monotonic()
        try:
            while not self._end.wait(PACE_S):
                self._write(self.writes, os.urandom(BLOCK_BYTES))
                self.writes += 1
                self.ran_s = time.monotonic() - begin_s
        except OSError as error:
            self.error = error


def file_writer(folder: Path) -> Writer:
    """Writes a ring of files through the page cache, each file ended by an fsync."""
    def write(number: int, data: bytes) -> None:
        file, block = divmod(number, BLOCKS_PER_FILE)
        with (folder / f"file{file % FILES_MAX:02}").open("r+b" if block else "wb") as stream:
            stream.seek(block * BLOCK_BYTES)
            stream.write(data)
            if block == BLOCKS_PER_FILE - 1:
                stream.flush()
                os.fsync(stream.fileno())

    return Writer("file system", write, lambda: None)


def nbd_writer(uri: str) -> Writer:
    """Overwrites blocks at random places of an export. Raises OSError."""
    client = NbdClient(uri)
    places = random.Random(1)

    def write(_number: int, data: bytes) -> None:
        client.write(places.randrange(client.size_bytes // BLOCK_BYTES) * BLOCK_BYTES, data)

    return Writer("NBD client", write, client.close)


class NbdClient:
    """One connection, fixed newstyle, simple replies, one write at a time (NBD protocol, "Option haggling")."""

    def __init__(self, uri: str) -> None:
        """`uri`: nbd+unix:///NAME?socket=PATH. Raises OSError."""
        parts = urlsplit(uri)
        self.size_bytes = 0
        self._sock = socket.socket(socket.AF_UNIX)
        try:
            self._sock.settimeout(_IO_DEADLINE_S)
            self._sock.connect(parse_qs(parts.query)["socket"][0])
            self._negotiate(unquote(parts.path.lstrip("/")).encode())
        except OSError:
            self._sock.close()
            raise

    def _negotiate(self, name: bytes) -> None:
        self._receive(_GREETING_BYTES)
        body = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
        flags = struct.pack(">I", 3)  # fixed newstyle, no zeroes
        self._sock.sendall(flags + wire.OPTION.pack(wire.OPTION_MAGIC, wire.OPT_GO, len(body)) + body)
        while True:
            _, _, kind, length = wire.OPTION_REPLY.unpack(self._receive(wire.OPTION_REPLY.size))
            reply = self._receive(length)
            if kind == wire.REP_ACK:
                return
            if kind != wire.REP_INFO:
                raise ConnectionRefusedError(f"the export is refused ({kind:#x})")
            if struct.unpack_from(">H", reply)[0] == wire.INFO_EXPORT:
                self.size_bytes = wire.INFO_EXPORT_DATA.unpack(reply)[1]

    def write(self, offset: int, data: bytes) -> None:
        """Until it is acknowledged. Raises OSError."""
        self._sock.sendall(_REQUEST.pack(wire.REQUEST_MAGIC, 0, wire.CMD_WRITE, bytes(8), offset, len(data)) + data)
        magic, error, _ = _REPLY.unpack(self._receive(_REPLY.size))
        if magic != wire.SIMPLE_REPLY_MAGIC:
            raise ConnectionAbortedError(f"not a reply ({magic:#x})")
        if error:
            raise OSError(error, os.strerror(error))

    def close(self) -> None:
        self._sock.close()

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._sock.recv(count - len(data))
            if not part:
                raise ConnectionResetError("the export closed the connection")
            data += part
        return bytes(data)
