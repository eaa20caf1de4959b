"""A network of byte streams: they delay, stall, break at any byte, and are cut in one direction.

A stream is two pipes. What a pipe has taken arrives later, in order; a partition holds it up as TCP does; a break loses
what has not arrived. How a connection comes about (`connect.dial`, the engine's door, `connect.accept`) is
`host.SimDialler`: identity is proved, or there is none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tests.sim.disk import Crash, SimFile
from tests.sim.loop import SimLoop, World
from volrep.ports.streams import IOV_MAX, Buffer, Stream, StreamClosed

if TYPE_CHECKING:
    from tests.sim.host import SimHost

CONNECT_TIMEOUT_S = 10.0


class SetupError(Exception):
    """No connection came about."""


class Pipe:
    """One direction of a connection."""

    def __init__(self, net: Net, source: str, target: str, window_bytes: int) -> None:
        self._net = net
        self.source, self.target = source, target
        self.window_bytes = window_bytes
        self.reader: SimStream | None = None
        self.inbox = bytearray()
        self.ended = False  # the writer has closed, and all it wrote has arrived
        self._under_way: deque[bytes | None] = deque()  # None: the end
        self._under_way_bytes = 0
        self._arrival_s = 0.0
        self.passed_bytes = 0
        self.break_at_byte = -1
        self.flip_at_byte = -1

    def room(self) -> int:
        return max(0, self.window_bytes - len(self.inbox) - self._under_way_bytes)

    def put(self, data: bytes | None) -> None:
        world = self._net.world
        self._under_way.append(data)
        self._under_way_bytes += len(data) if data else 0
        self._arrival_s = max(self._arrival_s, world.now_s + self._net.delay_s(self.source, self.target))
        world.at(self._arrival_s, self.arrive)

    def arrive(self) -> None:
        """The next piece, unless the way is blocked: then `Net.heal` comes back to it."""
        reader = self.reader
        if reader is None or not self._under_way:
            return
        if self._net.is_blocked(self.source, self.target):
            self._net.held.append(self)
            return
        data = self._under_way.popleft()
        if data is None:
            self.ended = True
        else:
            self._under_way_bytes -= len(data)
            before, self.passed_bytes = self.passed_bytes, self.passed_bytes + len(data)
            if before <= self.flip_at_byte < self.passed_bytes:
                spoiled = bytearray(data)
                spoiled[self.flip_at_byte - before] ^= 1 << self._net.world.random.randrange(8)
                data = bytes(spoiled)
                self._net.flips += 1
            if before <= self.break_at_byte < self.passed_bytes:
                self.inbox += data[:self.break_at_byte - before]
                reader.connection_broken()
                return
            self.inbox += data
        reader.wake()


class SimStream:
    """`Stream` of one process."""

    def __init__(self, net: Net, name: str, loop: SimLoop, incoming: Pipe, outgoing: Pipe,
                 step: Callable[[], bool]) -> None:
        self._net = net
        self.name = name
        self.loop = loop
        self.incoming, self.outgoing = incoming, outgoing
        self.peer: SimStream | None = None
        self.broken = False
        self.closed = False
        self._step = step
        self._fd = net.world.new_fd(self)
        incoming.reader = self
        net.streams[self._fd] = self

    def fileno(self) -> int:
        return self._fd

    def readable(self) -> bool:
        return bool(self.incoming.inbox) or self.incoming.ended or self.broken

    def writable(self) -> bool:
        return self.broken or self.outgoing.room() > 0

    def recv_into(self, view: memoryview) -> int:
        self._begin()
        assert not self.closed, "received from a closed stream"
        inbox = self.incoming.inbox
        if inbox:
            count = min(len(view), len(inbox))
            if count > 1 and self._net.world.random.random() < 0.1:
                count = self._net.world.random.randrange(1, count)
            view[:count] = inbox[:count]
            del inbox[:count]
            self.loop.heard.add(self.incoming.source)
            if self.peer is not None:
                self.peer.wake()
            return count
        if self.broken:
            raise StreamClosed("connection reset by peer")
        if self.incoming.ended:
            raise StreamClosed("closed by the other end")
        return -1

    def send(self, buffers: Sequence[Buffer]) -> int:
        self._begin()
        assert not self.closed, "sent on a closed stream"
        if self.broken:
            raise StreamClosed("broken pipe")
        data = b"".join(buffers[:IOV_MAX])[:self.outgoing.room()]
        if len(data) > 1 and self._net.world.random.random() < self._net.partial:
            data = data[:self._net.world.random.randrange(1, len(data))]
        if data:
            self.outgoing.put(data)
        return len(data)

    def send_file(self, fd: int, offset: int, length: int) -> int:
        file = self._net.world.fds[fd]
        assert isinstance(file, SimFile)
        room = min(length, self.outgoing.room())
        if not room:
            return self.send([b""])
        data = bytearray(room)
        try:
            count = file.read_into([memoryview(data)], offset)
        except OSError as error:
            raise StreamClosed(f"the log cannot be read: {error.strerror}") from error
        return self.send([data[:count]])

    def _begin(self) -> None:
        if self._step():
            raise Crash(f"{self.name}: in the middle of a system call")

    def pending(self) -> bool:
        return False

    def flush(self) -> bool:
        return True

    def close(self) -> None:
        """Orderly: what was sent still arrives. As in TCP, unless there is something unread: then the peer is reset."""
        if self.closed:
            return
        self.closed = True
        self._net.streams.pop(self._fd, None)
        self._net.world.fds.pop(self._fd, None)
        self.incoming.reader = None
        if self.incoming.inbox and self.peer is not None:
            self._net.world.after(self._net.delay_s(self.outgoing.source, self.outgoing.target),
                                  self.peer.connection_broken)
        else:
            self.outgoing.put(None)

    def vanish(self) -> None:
        """The host is without power: nobody tells the peer."""
        self.closed = True
        self._net.streams.pop(self._fd, None)
        self._net.world.fds.pop(self._fd, None)
        self.incoming.reader = None

    def connection_broken(self) -> None:
        """Reset: both ends notice, each in its own time."""
        for end in (self, self.peer):
            if end is not None and not end.broken and not end.closed:
                end.broken = True
                end.wake()

    def wake(self) -> None:
        if not self.closed and not self.loop.dead:
            self.loop.wake()


class Accepted:
    """Stands for the descriptor that the engine hands to a worker."""

    def __init__(self, on_close: Callable[[], None]) -> None:
        self._on_close = on_close
        self.taken: Callable[[Callable[[Stream | None, Exception | None], None]], None] | None = None

    def close(self) -> None:
        self._on_close()


class Net:
    """`delays_s`: range of one way's delay. Hosts are known by name."""

    def __init__(self, world: World, delays_s: tuple[float, float], window_bytes: int) -> None:
        self.world = world
        self.delays_s = delays_s
        self.window_bytes = window_bytes
        self.streams: dict[int, SimStream] = {}
        self.blocked: dict[tuple[str, str], float] = {}  # way -> until when
        self.held: list[Pipe] = []
        self.flips = 0
        self.partial = world.random.choice((0.02, 0.3))  # part of the sends of which the kernel takes only a beginning
        self.hosts: dict[str, SimHost] = {}
        self.break_next = -1  # byte at which one way of the next connection breaks
        self.flip_next = -1

    def delay_s(self, source: str, target: str) -> float:
        return self.world.between(*self.delays_s)

    def is_blocked(self, source: str, target: str) -> bool:
        return self.blocked.get((source, target), 0.0) > self.world.now_s

    def block(self, source: str, target: str, for_s: float) -> None:
        self.blocked[source, target] = self.world.now_s + for_s
        self.world.after(for_s + 1e-6, self.heal)

    def heal(self) -> None:
        held, self.held = self.held, []
        for pipe in held:
            pipe.arrive()

    def unblock_all(self) -> None:
        self.blocked.clear()
        self.break_next = self.flip_next = -1
        for stream in self.streams.values():
            stream.outgoing.break_at_byte = stream.outgoing.flip_at_byte = -1
        self.heal()

    def between(self, a: str, b: str) -> list[SimStream]:
        return [s for s in self.streams.values() if {s.outgoing.source, s.outgoing.target} == {a, b}]

    def connect(self, source: SimHost, target: SimHost) -> tuple[SimStream, SimStream]:
        """An established connection between two running processes."""
        assert source.process is not None
        assert target.process is not None
        window = self.world.random.choice((self.window_bytes, self.window_bytes // 4, self.window_bytes * 4))
        there = Pipe(self, source.name, target.name, window)
        back = Pipe(self, target.name, source.name, window)
        chosen = self.world.random.choice((there, back))
        chosen.break_at_byte, self.break_next = self.break_next, -1
        chosen = self.world.random.choice((there, back))
        chosen.flip_at_byte, self.flip_next = self.flip_next, -1
        near = SimStream(self, target.name, source.process.loop, back, there, source.process.step)
        far = SimStream(self, source.name, target.process.loop, there, back, target.process.step)
        near.peer, far.peer = far, near
        return near, far
