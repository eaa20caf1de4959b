"""Byte streams as arguments: what NBD connections and links need of a socket, and no more."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Protocol

Buffer = bytes | bytearray | memoryview

IOV_MAX = 1024  # Linux UIO_MAXIOV: more buffers in one vectored call is EINVAL


class StreamClosed(Exception):
    """The other end is gone, or the connection broke; `str()` says how."""


class Stream(Protocol):
    """A non-blocking byte stream. Every method raises StreamClosed when the connection is over."""

    name: str

    def fileno(self) -> int: ...

    def recv_into(self, view: memoryview) -> int:
        """Bytes received, or -1 when nothing is there now."""
        ...

    def send(self, buffers: Sequence[Buffer]) -> int:
        """Bytes taken (0 when the kernel takes nothing now). At most IOV_MAX buffers count."""
        ...

    def send_file(self, fd: int, offset: int, length: int) -> int:
        """Bytes taken straight from a file, 0 when the kernel takes nothing now."""
        ...

    def pending(self) -> bool:
        """Whether received bytes wait inside the stream (TLS), invisible to epoll."""
        ...

    def flush(self) -> bool:
        """Push on what the stream itself holds (TLS); whether nothing is held any more."""
        ...

    def close(self) -> None: ...


class SocketStream:
    """`Stream` over a plain socket; the socket is made non-blocking."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self.name = name

    def fileno(self) -> int:
        return self._sock.fileno()

    def recv_into(self, view: memoryview) -> int:
        try:
            received = self._sock.recv_into(view)
        except (BlockingIOError, InterruptedError):
            return -1
        except OSError as error:
            raise StreamClosed(error.strerror or str(error)) from error
        if received == 0:
            raise StreamClosed("closed by the other end")
        return received

    def send(self, buffers: Sequence[Buffer]) -> int:
        try:
            return self._sock.sendmsg(buffers if len(buffers) <= IOV_MAX else buffers[:IOV_MAX])
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise StreamClosed(error.strerror or str(error)) from error

    def send_file(self, fd: int, offset: int, length: int) -> int:
        try:
            sent = os.sendfile(self._sock.fileno(), fd, offset, length)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise StreamClosed(error.strerror or str(error)) from error
        if not sent and length:
            raise StreamClosed(f"the file that is sent ends before byte {offset}")
        return sent

    def pending(self) -> bool:
        return False

    def flush(self) -> bool:
        return True

    def close(self) -> None:
        self._sock.close()
