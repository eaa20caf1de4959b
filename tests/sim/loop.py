"""Simulated time: one queue of events for all hosts, and a `volrep.ports.reactor.Loop` for each process.

Everything that happens is an event with a moment; which comes next among those at hand is the seed's choice, by way of
small random delays. The trace hash covers each event, so two runs with one hash did the same things in the same order.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from itertools import count
from random import Random
from typing import Any, Protocol, TypeVar

from tests.sim.disk import Crash
from volrep.ports.clock import Clock
from volrep.ports.reactor import Callback, Handler, Timer

T = TypeVar("T")

EPOCH_NS = 1_760_000_000_000_000_000
RECENT_MAX = 60
TURN_S = (5e-6, 80e-6)  # between two turns of a busy loop


class Violation(AssertionError):
    """A promise was broken, or the code under test did what it never may."""


class Verdict(Exception):
    """Ends a run, though no promise was broken."""


class World:
    """Time, chance and the queue of events."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now_s = 0.0
        self.events = 0
        self._queue: list[tuple[float, int, Callback]] = []
        self._order = count()
        self._trace = blake2b(digest_size=8)
        self.recent: deque[tuple[float, tuple[object, ...]]] = deque(maxlen=RECENT_MAX)
        self.fds: dict[int, Any] = {}
        self._next_fd = count(1000)

    def at(self, when_s: float, callback: Callback) -> None:
        heapq.heappush(self._queue, (max(when_s, self.now_s), next(self._order), callback))

    def after(self, delay_s: float, callback: Callback) -> None:
        self.at(self.now_s + delay_s, callback)

    def between(self, low_s: float, high_s: float) -> float:
        return low_s + (high_s - low_s) * self.random.random()

    def new_fd(self, thing: object) -> int:
        fd = next(self._next_fd)
        self.fds[fd] = thing
        return fd

    def note(self, *what: object) -> None:
        """Into the trace hash, and among the last things that happened."""
        if len(what) > 1:
            self.recent.append((self.now_s, what))
        self._trace.update(repr((round(self.now_s, 9), *what)).encode())

    @property
    def trace_hash(self) -> str:
        return self._trace.hexdigest()

    def run(self, until_s: float, done: Callable[[], bool] = lambda: False) -> None:
        """Until the moment, or until `done` says so between two events."""
        queue = self._queue
        while queue and queue[0][0] <= until_s and not done():
            self.now_s, _, callback = heapq.heappop(queue)
            self.events += 1
            callback()
        if not done():
            self.now_s = max(self.now_s, until_s)


class SimClock:
    def __init__(self, world: World, boot_s: float) -> None:
        self._world = world
        self._boot_s = boot_s
        self.wall_offset_ns = 0

    def monotonic_s(self) -> float:
        return self._world.now_s + self._boot_s

    def wall_ns(self) -> int:
        return EPOCH_NS + int(self._world.now_s * 1e9) + self.wall_offset_ns


class Endpoint(Protocol):
    """What a file descriptor of a simulated stream can be asked."""

    def readable(self) -> bool: ...

    def writable(self) -> bool: ...


class SimLoop:
    """`Loop` of one process. `on_crash` is told when a turn ended in a Crash, `on_bug` when in an exception."""

    def __init__(self, world: World, clock: SimClock, name: str, on_crash: Callable[[Crash], None],
                 on_turn: Callable[[], None]) -> None:
        self.world = world
        self.clock: Clock = clock
        self.name = name
        self.dead = False
        self.lost_power_s = float("inf")  # when its host took it along
        self.heard: set[str] = set()  # hosts from which bytes have come
        self.undone = False  # its host was put back to an older image: what it did and said does not count
        self.after_events: list[Callback] = []
        self._on_crash = on_crash
        self._on_turn = on_turn
        self._handlers: dict[int, tuple[Handler, bool, bool]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._soon: list[Callback] = []
        self._handed_in: list[Callback] = []
        self._turn_due_s = float("inf")

    # what handlers ask

    def register(self, fd: int, handler: Handler, *, reading: bool = True, writing: bool = False) -> None:
        assert fd not in self._handlers, f"descriptor {fd} is registered already"
        self._handlers[fd] = (handler, reading, writing)
        self.wake()

    def modify(self, fd: int, *, reading: bool, writing: bool) -> None:
        self._handlers[fd] = (self._handlers[fd][0], reading, writing)
        self.wake()

    def unregister(self, fd: int) -> None:
        self._handlers.pop(fd, None)

    def call_at(self, when_s: float, callback: Callback) -> Timer:
        timer = Timer(when_s, callback)
        heapq.heappush(self._timers, (when_s, next(self._order), timer))
        self._turn_at(self.world.now_s + when_s - self.clock.monotonic_s())
        return timer

    def call_soon(self, callback: Callback) -> None:
        self._soon.append(callback)
        self.wake()

    def call_from_thread(self, callback: Callback) -> None:
        self._handed_in.append(callback)
        self.wake()

    def stop(self) -> None:
        """The process ends by itself."""
        self.dead = True

    # the world's side

    def wake(self) -> None:
        self._turn_at(self.world.now_s + self.world.between(*TURN_S))

    def _turn_at(self, when_s: float) -> None:
        if self.dead or when_s >= self._turn_due_s:
            return
        self._turn_due_s = when_s = max(when_s, self.world.now_s)

        def due() -> None:
            if not self.dead and self._turn_due_s == when_s:
                self._turn_due_s = float("inf")
                self.run_one(self._turn)

        self.world.at(when_s, due)

    def run_one(self, callback: Callback) -> None:
        """Run something of this process: a crash ends the process, anything else that escapes is a bug."""
        try:
            callback()
        except Crash as crash:
            self._on_crash(crash)
        except (Violation, Verdict):
            raise
        except Exception as error:
            raise Violation(f"{self.name}: an exception ended the worker: {type(error).__name__}: {error}") from error
        if not self.dead:
            self._on_turn()

    def _turn(self) -> None:
        """As `Reactor.turn`: ready handlers, what threads handed in, deferred calls, timers, hooks."""
        self.world.note(self.name)
        ready = self._ready()
        self.world.random.shuffle(ready)
        for fd in ready:
            self._handle(fd)
        handed_in, self._handed_in = self._handed_in, []
        for callback in handed_in:
            callback()
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        now_s = self.clock.monotonic_s()
        while self._timers and self._timers[0][0] <= now_s + 1e-9:
            due = heapq.heappop(self._timers)[2].callback
            if due is not None:
                due()
        for hook in self.after_events:
            hook()
        if self._handed_in or self._soon or self._ready():
            self.wake()
        elif self._timers:
            self._turn_at(self.world.now_s + self._timers[0][0] - self.clock.monotonic_s())

    def _handle(self, fd: int) -> None:
        handler, reading, writing = self._handlers.get(fd, (None, False, False))
        endpoint = self.world.fds.get(fd)
        if handler is None or endpoint is None:
            return
        if reading and endpoint.readable():
            handler.on_readable()
        if writing and fd in self._handlers and endpoint.writable():
            handler.on_writable()

    def _ready(self) -> list[int]:
        fds = self.world.fds
        return [fd for fd, (_, reading, writing) in self._handlers.items()
                if (reading and fds[fd].readable()) or (writing and fds[fd].writable())]


class SimBackground:
    """`Background`: the work happens whole at a later moment, its result comes in at a still later one."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.slow_s = 0.0

    def run(self, work: Callable[[], T], done: Callable[[T | None, Exception | None], None]) -> None:
        world, loop = self._loop.world, self._loop

        def happen() -> None:
            result: T | None = None
            failed: Exception | None = None
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - as a thread pool: the error is the result
                failed = error
            world.after(self._delay_s(), lambda: None if loop.dead else loop.call_from_thread(
                lambda: done(result, failed)))

        world.after(self._delay_s(), lambda: None if loop.dead else loop.run_one(happen))

    def _delay_s(self) -> float:
        world = self._loop.world
        return world.between(1e-5, 2e-3) + (world.between(0, self.slow_s) if world.random.random() < 0.3 else 0.0)
