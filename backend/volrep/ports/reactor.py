"""The worker's one event loop: readiness of sockets, timers, and results handed in by threads.

One thread runs everything of an RVG, so nothing on the data path takes a lock and a batch is
whatever has arrived when the loop comes round. `after_events` hooks run once per turn, after all
ready handlers: that is where a batch collected from several connections is committed.

Why not asyncio: measured on this path, a future and a callback per request cost more than the
request (docs/decisions/0003-one-reactor-thread.md).
"""

from __future__ import annotations

import heapq
import os
import select
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Protocol

from volrep.ports.clock import Clock

Callback = Callable[[], None]


class Handler(Protocol):
    """Something that owns a file descriptor. Errors and hang-ups arrive as readable."""

    def on_readable(self) -> None: ...

    def on_writable(self) -> None: ...


class Timer:
    """A pending `call_at`; `cancel` is idempotent."""

    __slots__ = ("callback", "when_s")

    def __init__(self, when_s: float, callback: Callback | None) -> None:
        self.when_s = when_s
        self.callback = callback

    def cancel(self) -> None:
        self.callback = None


class Loop(Protocol):
    """What handlers may ask of the loop; the simulator provides another one."""

    clock: Clock
    after_events: list[Callback]  # run at the end of each turn

    def register(self, fd: int, handler: Handler, *, reading: bool = True, writing: bool = False) -> None: ...

    def modify(self, fd: int, *, reading: bool, writing: bool) -> None: ...

    def unregister(self, fd: int) -> None: ...

    def call_at(self, when_s: float, callback: Callback) -> Timer: ...

    def call_soon(self, callback: Callback) -> None: ...

    def call_from_thread(self, callback: Callback) -> None: ...

    def stop(self) -> None: ...


class Reactor:
    """`Loop` over epoll, level-triggered."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._soon: deque[Callback] = deque()
        self._handed_in: deque[Callback] = deque()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake_fd, select.EPOLLIN)
        self._running = False
        self.after_events: list[Callback] = []

    def register(self, fd: int, handler: Handler, *, reading: bool = True, writing: bool = False) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, _mask(reading, writing))

    def modify(self, fd: int, *, reading: bool, writing: bool) -> None:
        self._epoll.modify(fd, _mask(reading, writing))

    def unregister(self, fd: int) -> None:
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_at(self, when_s: float, callback: Callback) -> Timer:
        timer = Timer(when_s, callback)
        heapq.heappush(self._timers, (when_s, next(self._order), timer))
        return timer

    def call_soon(self, callback: Callback) -> None:
        self._soon.append(callback)

    def call_from_thread(self, callback: Callback) -> None:
        self._handed_in.append(callback)
        os.eventfd_write(self._wake_fd, 1)

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        """Until `stop`. An exception of a handler ends the loop: a bug stops the worker."""
        self._running = True
        while self._running:
            self.turn()

    def turn(self) -> None:
        """One round: wait, run ready handlers, run hooks, then timers and deferred calls."""
        for fd, mask in self._epoll.poll(self._timeout_s()):
            if fd == self._wake_fd:
                os.eventfd_read(fd)
                continue
            handler = self._handlers.get(fd)
            if handler is not None and mask & ~select.EPOLLOUT:
                handler.on_readable()
            if mask & select.EPOLLOUT and self._handlers.get(fd) is handler and handler is not None:
                handler.on_writable()
        while self._handed_in:
            self._handed_in.popleft()()
        for _ in range(len(self._soon)):
            self._soon.popleft()()
        now_s = self.clock.monotonic_s()
        while self._timers and self._timers[0][0] <= now_s:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()
        for hook in self.after_events:
            hook()

    def _timeout_s(self) -> float:
        if self._soon or self._handed_in:
            return 0.0
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return -1.0
        return max(0.0, self._timers[0][0] - self.clock.monotonic_s())

    def close(self) -> None:
        self._epoll.close()
        os.close(self._wake_fd)


def _mask(reading: bool, writing: bool) -> int:
    return (select.EPOLLIN if reading else 0) | (select.EPOLLOUT if writing else 0)
