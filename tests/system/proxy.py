"""A TCP proxy on the way from a Primary to a Secondary that changes bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

Change = Callable[[int, int, bytes], bytes]
"""(number of the connection, bytes of it that went before, a piece on its way to the Secondary) -> what arrives."""


class Proxy:
    """Listens on `port`; connects each connection through to `target_port`. `close` ends everything."""

    def __init__(self, target_port: int, change: Change) -> None:
        self._target_port = target_port
        self._change = change
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target_port))
                self._sockets += [near, far]
                self.connections += 1
                threading.Thread(target=self._pass, args=(near, far, self.connections), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, 0), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, number: int) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(self._change(number, passed, data) if number else data)
                passed += len(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()
        for sock in self._sockets:
            sock.close()
