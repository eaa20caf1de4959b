"""The replication port: reads the hello line of each link connection and hands the connection to the right worker.

Nothing is ever sent. The line is looked at without being taken (MSG_PEEK) until it is whole; SO_RCVLOWAT makes the
kernel report only more bytes than were seen already, so an unfinished line costs nothing while it waits.

Bounds: HALF_OPEN_MAX connections without a whole line, each for at most HELLO_DEADLINE_S; beyond that new ones are
closed at once. Connections that nobody here wants are closed, counted, and told about once in REPORT_EVERY_S.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from volrep.engine.hello import HELLO_MAX_BYTES, HelloLine, NotHello, parse_hello
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.ports.clock import Clock

HALF_OPEN_MAX = 64  # 32 links that reconnect all at once, twice
HELLO_DEADLINE_S = 5.0
REPORT_EVERY_S = 60.0
ACCEPT_PAUSE_S = 1.0  # after accept failed for want of descriptors
BACKLOG = 128

log = logging.getLogger("volrep.engine")

HandOver = Callable[[HelloLine, socket.socket], str]
"""Gives the connection away and returns "", or says why nobody wants it."""


def open_port(listen: str, port: int) -> socket.socket:
    """A listening socket on an address ("" and "::": all); port 0: the kernel's choice. Raises VR-1703."""
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(listen != "::"))
        sock.bind((listen, port))
        sock.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise VolrepError(messages.PORT_IN_USE, listen=listen, port=port, reason=reason.lower()) from error
    return sock


class Door:
    """Accepts on one socket. `open`, then `close`."""

    def __init__(self, sock: socket.socket, hand_over: HandOver, report: Callable[[str], None], clock: Clock) -> None:
        self._sock = sock
        self._hand_over = hand_over
        self._report = report
        self._clock = clock
        self._accepting: asyncio.Task[None] | None = None
        self._half_open: set[asyncio.Task[None]] = set()
        self.refused = 0
        self._reported = 0
        self._next_report_s = 0.0

    def open(self) -> None:
        self._accepting = asyncio.create_task(self._accept(), name="replication port")

    async def close(self) -> None:
        tasks = {task for task in (self._accepting, *self._half_open) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._sock.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(self._sock)
            except OSError as error:
                log.warning("replication port: accept: %s", error)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if len(self._half_open) >= HALF_OPEN_MAX:
                self._refuse(sock, peer[0], f"{HALF_OPEN_MAX} connections are unfinished already")
                continue
            task = asyncio.create_task(self._greet(sock, str(peer[0])))
            self._half_open.add(task)
            task.add_done_callback(self._half_open.discard)

    async def _greet(self, sock: socket.socket, peer: str) -> None:
        try:
            async with asyncio.timeout(HELLO_DEADLINE_S):
                hello = await _read_hello(sock)
        except TimeoutError:
            self._refuse(sock, peer, f"no hello line within {HELLO_DEADLINE_S:g} s")
        except (NotHello, OSError) as error:
            self._refuse(sock, peer, str(error))
        except asyncio.CancelledError:
            sock.close()
            raise
        else:
            problem = self._hand_over(hello, sock)
            if problem:
                self._refuse(sock, peer, problem)
            else:
                sock.close()  # the worker has its own

    def _refuse(self, sock: socket.socket, peer: str, reason: str) -> None:
        sock.close()
        self.refused += 1
        now_s = self._clock.monotonic_s()
        log.debug("replication port: %s: %s", peer, reason)
        if now_s >= self._next_report_s:
            count, self._reported = self.refused - self._reported, self.refused
            self._next_report_s = now_s + REPORT_EVERY_S
            self._report(f"{count} connections refused, the last from {peer}: {reason}")


async def _read_hello(sock: socket.socket) -> HelloLine:
    """The line, taken off the socket; not a byte behind it. Raises NotHello, OSError."""
    seen = -1
    while True:
        await _readable(sock)
        try:
            data = sock.recv(HELLO_MAX_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        hello = parse_hello(data)
        if hello is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            taken = sock.recv(hello.length_bytes)
            assert len(taken) == hello.length_bytes, "what was peeked is there"
            return hello
        if len(data) <= seen or not data:
            raise NotHello("closed before its line was complete")
        seen = len(data)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, seen + 1)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock.fileno(), wake)
    try:
        await ready
    finally:
        loop.remove_reader(sock.fileno())
