"""The worker's end of the protocol with its engine (`model.worker`): lines in, lines out, descriptors with them."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.shape import BadShape, read_json
from volrep.model.worker import EVENTS_WAITING_MAX, LINE_MAX_BYTES
from volrep.ports.reactor import Loop

logger = logging.getLogger("volrep.rvg")

FDS_PER_READ = 8  # descriptors that one read may bring; the engine sends one per line
OUT_MAX_BYTES = 4 << 20  # answers and events an engine may leave unread

Reply = Callable[[dict[str, Any] | None, VolrepError | None], None]
Handle = Callable[[str, dict[str, Any], "list[socket.socket]", Reply], None]


class ControlServer:
    """Listens on the worker's socket; one engine at a time, the newest wins."""

    def __init__(self, path: Path, loop: Loop, handle: Handle) -> None:
        self._loop = loop
        self._handle = handle
        self._peer: _Peer | None = None
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_WAITING_MAX)
        self._path = path
        path.unlink(missing_ok=True)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        old_mask = os.umask(0o177)
        try:
            self._sock.bind(str(path))
        finally:
            os.umask(old_mask)
        self._sock.listen(4)
        loop.register(self._sock.fileno(), self)

    def on_readable(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except BlockingIOError:
            return
        if self._peer is not None:
            self._peer.close()
        self._peer = _Peer(sock, self._loop, self._handle, self._peer_gone)
        while self._events:
            self._peer.send({"event": self._events.popleft()})

    def on_writable(self) -> None:
        raise AssertionError("a listening socket is never asked for writability")

    def _peer_gone(self, peer: _Peer) -> None:
        if self._peer is peer:
            self._peer = None

    def event(self, event: dict[str, Any]) -> None:
        if self._peer is not None:
            self._peer.send({"event": event})
        else:
            self._events.append(event)

    def close(self) -> None:
        self._loop.unregister(self._sock.fileno())
        self._sock.close()
        if self._peer is not None:
            self._peer.close()
        self._path.unlink(missing_ok=True)


class _Peer:
    """One engine connection."""

    def __init__(self, sock: socket.socket, loop: Loop, handle: Handle, gone: Callable[[_Peer], None]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = loop
        self._handle = handle
        self._gone = gone
        self._in = bytearray()
        self._out = bytearray()
        self._fds: list[socket.socket] = []
        self._closed = False
        loop.register(sock.fileno(), self)

    def on_readable(self) -> None:
        if self._closed:
            return
        try:
            data, fds, _, _ = socket.recv_fds(self._sock, 1 << 16, FDS_PER_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        self._fds += [socket.socket(fileno=fd) for fd in fds]
        if not data:
            self.close()
            return
        self._in += data
        while not self._closed and (end := self._in.find(b"\n")) >= 0:
            line = bytes(self._in[:end])
            del self._in[: end + 1]
            self._line(line)
        if len(self._in) > LINE_MAX_BYTES:
            logger.error("control: a line of more than %d bytes; closing", LINE_MAX_BYTES)
            self.close()

    def _line(self, line: bytes) -> None:
        try:
            asked = read_json(line)
            asked_id, method, params = asked["id"], asked["method"], asked.get("params", {})
        except (ValueError, KeyError, TypeError) as error:
            logger.error("control: malformed line (%s); closing", error)
            self.close()
            return
        fds, self._fds = (self._fds[:1], self._fds[1:]) if method == "link.accept" else ([], self._fds)

        def reply(result: dict[str, Any] | None, error: VolrepError | None) -> None:
            if error is not None:
                self.send({"id": asked_id, "error": error.wire()})
            else:
                self.send({"id": asked_id, "result": result or {}})

        try:
            self._handle(method, params, fds, reply)
        except VolrepError as refused:
            reply(None, refused)
        except BadShape as invalid:
            reply(None, VolrepError(messages.BAD_REQUEST, problem=f"{method}: {invalid}"))

    def send(self, value: dict[str, Any]) -> None:
        if self._closed:
            return
        self._out += json.dumps(value, separators=(",", ":")).encode() + b"\n"
        if len(self._out) > OUT_MAX_BYTES:
            logger.error("control: the engine reads nothing; closing")
            self.close()
            return
        self.on_writable()

    def on_writable(self) -> None:
        try:
            while self._out:
                sent = self._sock.send(self._out)
                del self._out[:sent]
        except (BlockingIOError, InterruptedError):
            self._loop.modify(self._sock.fileno(), reading=True, writing=True)
            return
        except OSError:
            self.close()
            return
        self._loop.modify(self._sock.fileno(), reading=True, writing=False)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._loop.unregister(self._sock.fileno())
        self._sock.close()
        for sock in self._fds:
            sock.close()
        self._fds.clear()
        self._gone(self)
