"""Small real services for the tests of NBD: an export over a file, answered at once or a round later.

Also a program (`python -m tests.unit.nbd.services unix:/path/to/socket 512`): a RAM disk to measure the protocol with.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from volrep.nbd import wire
from volrep.nbd.connection import Connection
from volrep.nbd.exports import ExportInfo, Exports, ExportTable
from volrep.nbd.listener import Listener, listen
from volrep.nbd.transmission import Request
from volrep.ports.clock import SystemClock
from volrep.ports.reactor import Reactor

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


def _punch(fd: int, offset: int, length: int) -> None:
    result = _LIBC.fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, ctypes.c_longlong(offset), ctypes.c_longlong(length))
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class FileService:
    """Serves every export from files by volume index. With `reactor`, a batch is answered by a hook of the round."""

    def __init__(self, fds: list[int], reactor: Reactor | None = None) -> None:
        self.fds = fds
        self.broken = False  # every request fails
        self.submitted = 0
        self._waiting: list[tuple[Connection, list[Request]]] = []
        self._later = reactor is not None
        if reactor is not None:
            reactor.after_events.append(self.answer_waiting)

    def submit(self, connection: Connection, requests: list[Request]) -> None:
        self.submitted += len(requests)
        if self._later:
            self._waiting.append((connection, requests))
        else:
            self._answer(connection, requests)

    def answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection, requests in waiting:
            self._answer(connection, requests)
            connection.flush_replies()

    def _answer(self, connection: Connection, requests: list[Request]) -> None:
        assert connection.export is not None
        fd = self.fds[connection.export.volume_index]
        done: list[bytes] = []
        for request in requests:
            if self.broken:
                if request[6]:
                    connection.reply_error(request[2], errno.EIO)
            elif request[0] == wire.CMD_READ:
                connection.reply_read(request[2], request[3], os.pread(fd, request[4], request[3]))
            elif request[0] == wire.CMD_BLOCK_STATUS:
                connection.reply_block_status(request[2], self._extents(fd, request))
            else:
                self._change(fd, request)
                if request[6]:
                    done.append(request[2])
        connection.reply_writes(done)
        connection.release()

    @staticmethod
    def _change(fd: int, request: Request) -> None:
        command, _flags, _cookie, offset, length, payload, _last = request
        if payload is not None:
            assert os.pwrite(fd, payload, offset) == length
        elif command in (wire.CMD_TRIM, wire.CMD_WRITE_ZEROES):
            _punch(fd, offset, length)

    @staticmethod
    def _extents(fd: int, request: Request) -> list[tuple[int, int]]:
        _command, flags, _cookie, at, length, _payload, _last = request
        end = at + length
        extents: list[tuple[int, int]] = []
        while at < end and not (extents and flags & wire.CMD_FLAG_REQ_ONE):
            try:
                data = min(end, os.lseek(fd, at, os.SEEK_DATA))
            except OSError:
                data = end
            if data > at:
                extents.append((data - at, wire.STATE_HOLE | wire.STATE_ZERO))
                at = data
            else:
                hole = min(end, os.lseek(fd, at, os.SEEK_HOLE))
                extents.append((hole - at, 0))
                at = hole
        return extents


class RamService:
    """The least that can be done for a request; flushes, zeroes and trims are only acknowledged."""

    def __init__(self, size_bytes: int) -> None:
        self._ram = memoryview(mmap.mmap(-1, size_bytes))

    def submit(self, connection: Connection, requests: list[Request]) -> None:
        ram = self._ram
        done = []
        for command, _flags, cookie, offset, length, payload, last in requests:
            if payload is not None:
                ram[offset:offset + length] = payload
            elif command == wire.CMD_READ:
                connection.reply_read(cookie, offset, ram[offset:offset + length])
                continue
            if last:
                done.append(cookie)
        connection.reply_writes(done)
        connection.release()


class Server:
    """A reactor in a thread of its own with one listener on it."""

    def __init__(self, address: str, exports: Exports, make_service: Callable[[Reactor], FileService]) -> None:
        self.reactor = Reactor(SystemClock())
        self.service = make_service(self.reactor)
        self.listener: Listener = listen(address, self.reactor, exports, self.service)
        self._thread = threading.Thread(target=self.reactor.run, name="nbd server", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], object]) -> None:
        """Run in the reactor's thread, and wait for it."""
        done = threading.Event()

        def run() -> None:
            function()
            done.set()

        self.reactor.call_from_thread(run)
        assert done.wait(10), "the reactor does not answer"

    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        if self.alive():
            self.reactor.call_from_thread(self.listener.close)
            self.reactor.call_from_thread(self.reactor.stop)
            self._thread.join(10)
        self.reactor.close()


@contextmanager
def serving(address: str, exports: Exports, make_service: Callable[[Reactor], FileService]) -> Iterator[Server]:
    """A server for the length of a test; fails the test when the reactor died by then."""
    server = Server(address, exports, make_service)
    try:
        yield server
        assert server.alive(), "the reactor ended by an exception"
    finally:
        server.close()


def main() -> None:
    address, size_mib = sys.argv[1], int(sys.argv[2])
    reactor = Reactor(SystemClock())
    listen(address, reactor, ExportTable([ExportInfo("ram", size_mib << 20, 0)]), RamService(size_mib << 20))
    reactor.run()


if __name__ == "__main__":
    main()
