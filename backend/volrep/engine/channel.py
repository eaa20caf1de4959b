"""The engine's end of one worker's control socket (volrep.model.worker): requests, answers, events, descriptors.

Bounds: a line has at most LINE_MAX_BYTES, at most OUT_MAX lines wait to be sent; a worker that says anything
that is not the protocol loses the connection, and its supervisor makes a new one.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from array import array
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from volrep.model.errors import from_wire
from volrep.model.shape import Shape, read_json
from volrep.model.worker import LINE_MAX_BYTES, WorkerMethod

# One for every client of the engine (64), one for every half-open link (64), configuration and status.
OUT_MAX = 256
_RECV_BYTES = 64 << 10


class ChannelClosed(Exception):
    """The worker is gone or does not speak the protocol; `str()` says why."""


class WorkerChannel:
    """One connection. `closed` is a future that is done when it is over."""

    def __init__(self, sock: socket.socket, on_event: Callable[[dict[str, Any]], None]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self._received = bytearray()
        self._out: deque[tuple[memoryview, int]] = deque()  # (line, descriptor or -1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._last_id = 0
        self._loop.add_reader(sock.fileno(), self._readable)

    @classmethod
    async def connect(cls, path: Path, on_event: Callable[[dict[str, Any]], None]) -> WorkerChannel:
        """Raises OSError when nobody listens there."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, str(path))
            return cls(sock, on_event)
        except BaseException:
            sock.close()
            raise

    def peer_pid(self) -> int:
        """The process that listens at the other end."""
        raw = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", raw)[0])

    async def call(self, method: WorkerMethod, params: Shape) -> dict[str, Any]:
        """The result. Raises what the worker raised (VolrepError), or ChannelClosed."""
        self._last_id = id_ = self._last_id + 1
        answer: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        line = encode(id_, method, params)
        self._waiting[id_] = answer
        try:
            self._send(line, -1)
            return await answer
        finally:
            self._waiting.pop(id_, None)

    def hand_over(self, method: WorkerMethod, params: Shape, fd: int) -> None:
        """Send a call with a descriptor, not waiting for its answer. `fd` stays the caller's. Raises ChannelClosed."""
        self._last_id += 1
        duplicate = os.dup(fd)
        try:
            self._send(encode(self._last_id, method, params), duplicate)
        except BaseException:
            os.close(duplicate)
            raise

    def close(self, reason: str = "closed by the engine") -> None:
        if self.closed.done():
            return
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        for _, fd in self._out:
            if fd >= 0:
                os.close(fd)
        self._out.clear()
        self.closed.set_result(reason)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ChannelClosed(reason))

    def _send(self, line: bytes, fd: int) -> None:
        if self.closed.done():
            raise ChannelClosed(self.closed.result())
        if len(self._out) >= OUT_MAX:
            raise ChannelClosed(f"{OUT_MAX} requests wait already")
        self._out.append((memoryview(line), fd))
        self._writable()

    def _writable(self) -> None:
        try:
            while self._out:
                line, fd = self._out[0]
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))] if fd >= 0 else []
                sent = self._sock.sendmsg([line], ancillary)
                if fd >= 0:
                    os.close(fd)
                if sent < len(line):
                    self._out[0] = (line[sent:], -1)
                else:
                    self._out.popleft()
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._sock.fileno(), self._writable)
        except OSError as error:
            self.close(error.strerror or str(error))
        else:
            self._loop.remove_writer(self._sock.fileno())

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_RECV_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if not data:
            self.close("the worker closed the connection")
            return
        start = len(self._received)
        self._received += data
        while (end := self._received.find(b"\n", start)) >= 0:
            line = bytes(self._received[:end])
            del self._received[:end + 1]
            start = 0
            if not self._line(line):
                return
        if len(self._received) > LINE_MAX_BYTES:
            self.close(f"the worker sent a line of more than {LINE_MAX_BYTES} bytes")

    def _line(self, line: bytes) -> bool:
        """Whether the connection goes on."""
        try:
            message = read_json(line)
            if "event" in message:
                self._on_event(dict(message["event"]))
            else:
                self._answer(message)
        except (ValueError, TypeError, KeyError) as error:
            self.close(f"the worker sent something malformed: {error}")
        return not self.closed.done()

    def _answer(self, message: dict[str, Any]) -> None:
        answer = self._waiting.get(message["id"])
        if answer is None or answer.done():  # nobody waits: a descriptor handed over, a client that went away
            return
        if "error" in message:
            answer.set_exception(from_wire(message["error"]))
        else:
            answer.set_result(message["result"])


def encode(id_: int, method: WorkerMethod, params: Shape) -> bytes:
    """One request line. Raises ValueError when the worker would not take it (CONFIGURE is checked beforehand)."""
    line = json.dumps({"id": id_, "method": method, "params": params.data()},
                      separators=(",", ":")).encode() + b"\n"
    if len(line) > LINE_MAX_BYTES:
        raise ValueError(f"{method} needs {len(line)} bytes")
    return line
