"""Where NBD clients come in: a unix socket or a loopback TCP port, and the connections that came through it.

Knows sockets and their ways to be in use, stale or forbidden; knows nothing of the protocol. A unix socket is for its
owner alone (mode 0600). TCP beyond loopback is refused: NBD without TLS lets everyone read and write.

Memory: `CONNECTIONS_MAX` × 51 MiB (volrep.nbd.connection, the worst a client can do) = 3.2 GiB; clients that take their
replies and ask for less than 1 MiB at a time stay below 64 × 2 MiB = 128 MiB.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import stat
from contextlib import suppress
from typing import Protocol
from urllib.parse import quote

from volrep.model.errors import VolrepError
from volrep.model.messages import access
from volrep.nbd.connection import Connection, Service
from volrep.nbd.exports import Exports
from volrep.ports.reactor import Loop
from volrep.ports.streams import SocketStream

_log = logging.getLogger("volrep.nbd")

CONNECTIONS_MAX = 64  # per listener; nbdcopy opens 4, a kernel client one per core
BACKLOG = 64
SOCKET_PATH_BYTES_MAX = 107  # sun_path without its final zero byte
SEND_BYTES = 1 << 20
"""What a unix socket may hold for a client that has not read yet, as far as net.core.wmem_max allows (208 KiB, which
the kernel doubles): otherwise four reads of 64 KiB do not fit, and every answer takes two calls and a copy."""
ACCEPT_PAUSE_S = 1.0  # after accept failed for want of descriptors or memory: epoll would report it without end


class Listener:
    """A `volrep.ports.reactor.Handler` that accepts clients. Made by `listen`."""

    def __init__(self, sock: socket.socket, listen: str, loop: Loop, exports: Exports, service: Service) -> None:
        self._sock, self._loop, self._exports, self._service = sock, loop, exports, service
        self._unix_path = sock.getsockname() if sock.family == socket.AF_UNIX else ""
        self._inode = os.stat(self._unix_path).st_ino if self._unix_path else 0
        self._accepted = 0
        self._closed = False
        self.listen = listen
        self.connections: set[Connection] = set()
        sock.setblocking(False)
        loop.register(sock.fileno(), self)

    def uri(self, export: str) -> str:
        """What a client is given to reach `export` here."""
        name = quote(export, safe="")
        if self._unix_path:
            return f"nbd+unix:///{name}?socket={quote(self._unix_path)}"
        host, port = self._sock.getsockname()[:2]
        return f"nbd://{f'[{host}]' if ':' in host else host}:{port}/{name}"

    @property
    def port(self) -> int:
        """The TCP port (the kernel's choice when 0 was asked for), 0 for a unix socket."""
        return 0 if self._unix_path else int(self._sock.getsockname()[1])

    def on_readable(self) -> None:
        """Accept all that wait; one too many is closed at once."""
        while True:
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._accepted += 1
            name = f"{self.listen} client {self._accepted}"
            if len(self.connections) >= CONNECTIONS_MAX:
                _log.warning("%s: refused, %d connections are open", name, CONNECTIONS_MAX)
                sock.close()
                continue
            if self._unix_path:  # TCP finds its own size
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            connection = Connection(SocketStream(sock, name), self._loop, self._exports, self._service, self._forget)
            if not connection.closed:
                self.connections.add(connection)

    def on_writable(self) -> None:
        raise AssertionError("a listening socket is never asked for writing")

    def close(self) -> None:
        """Stop listening, close all connections, remove the socket (unless it is another one's by now). Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._loop.unregister(self._sock.fileno())
        self._sock.close()
        if self._unix_path:
            with suppress(FileNotFoundError):
                if os.stat(self._unix_path).st_ino == self._inode:
                    os.unlink(self._unix_path)
        for connection in list(self.connections):
            connection.close("the export is withdrawn")

    def _forget(self, connection: Connection, _reason: str) -> None:
        self.connections.discard(connection)

    def _pause(self, error: OSError) -> None:
        _log.error("%s: accept: %s; trying again in %.0f s", self.listen, error.strerror, ACCEPT_PAUSE_S)
        self._loop.modify(self._sock.fileno(), reading=False, writing=False)
        self._loop.call_at(self._loop.clock.monotonic_s() + ACCEPT_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if not self._closed:
            self._loop.modify(self._sock.fileno(), reading=True, writing=False)


class Listen(Protocol):
    """How a worker comes to its listeners: `listen`, or the simulator's."""

    def __call__(self, address: str, loop: Loop, exports: Exports, service: Service) -> Listener: ...


def listen(address: str, loop: Loop, exports: Exports, service: Service) -> Listener:
    """Listen on `unix:PATH` or `tcp:ADDRESS:PORT`. Raises VR-1600 to VR-1606, and then nothing has changed."""
    kind, _, rest = address.partition(":")
    if kind == "unix" and rest.startswith("/"):
        sock = _unix_socket(rest)
    elif kind == "tcp":
        sock = _tcp_socket(address, rest)
    else:
        raise VolrepError(access.LISTEN_BAD, listen=address)
    return Listener(sock, address, loop, exports, service)


def _unix_socket(path: str) -> socket.socket:
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_BYTES_MAX:
        raise VolrepError(access.LISTEN_PATH_LONG, path=path, length=length, limit=SOCKET_PATH_BYTES_MAX)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        sock.bind(path)
        os.chmod(path, 0o600)  # before listen: until then nobody can connect
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise VolrepError(access.LISTEN_SOCKET_IN_USE, path=path) from error
        raise VolrepError(access.LISTEN_FAILED, listen=f"unix:{path}", reason=error.strerror) from error
    except VolrepError:
        sock.close()
        raise
    return sock


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens on any more. Raises VolrepError when somebody does."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise VolrepError(access.LISTEN_NOT_A_SOCKET, path=path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # its backlog is full: somebody is there
            pass
    raise VolrepError(access.LISTEN_SOCKET_IN_USE, path=path)


def _tcp_socket(address: str, rest: str) -> socket.socket:
    host, _, port_text = rest.rpartition(":")
    if not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65535:
        raise VolrepError(access.LISTEN_BAD, listen=address)
    try:
        ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]"))
    except ValueError as error:
        raise VolrepError(access.LISTEN_BAD, listen=address) from error
    if not ip.is_loopback:
        raise VolrepError(access.LISTEN_BEYOND_LOOPBACK, address=ip)
    sock = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((str(ip), int(port_text)))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise VolrepError(access.LISTEN_PORT_IN_USE, address=ip, port=port_text) from error
        raise VolrepError(access.LISTEN_FAILED, listen=address, reason=error.strerror) from error
    return sock
