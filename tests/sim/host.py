"""A host: disks and a folder that outlive its processes, and one worker process at a time, as the engine keeps it.

The worker is volrep's own; only its ports are simulated.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from random import Random
from typing import Any, cast

from tests.sim.disk import Crash, SimDisk, SimFile, Trouble
from tests.sim.loop import SimBackground, SimClock, SimLoop, World
from tests.sim.net import CONNECT_TIMEOUT_S, Accepted, Net, SetupError
from volrep.model.config import LinkConfig, RvgConfig
from volrep.model.errors import VolrepError
from volrep.nbd.exports import Exports
from volrep.nbd.listener import Listener
from volrep.ports.reactor import Loop
from volrep.ports.streams import Stream
from volrep.rvg.dialling import Done
from volrep.rvg.ports import WorkerPorts
from volrep.rvg.primary import Primary
from volrep.rvg.worker import Worker

RESET_AT_ONCE = 0.04  # part of the connections that are reset between their set-up and their first byte

Exported = Callable[["Process", int, Primary], None]
"""(process, volume index, service): an export has opened; applications may come."""


class SimHost:
    """`config` is what its engine would deliver."""

    def __init__(self, world: World, net: Net, config: RvgConfig, random: Random) -> None:
        self.world = world
        self.net = net
        self.name = config.host
        self.config = config
        self.random = random
        self.disks = {v.path: SimDisk(v.path, v.size_bytes, Random(random.random()), inode)
                      for inode, v in enumerate([config.srl, *config.volumes], 1)}
        self.files: dict[str, bytes] = {}
        self.process: Process | None = None
        self.down_s = 0.0  # how long it stays down after its next death; 0: as the engine does it
        self.fails_in_a_row = 0
        self.beyond_repair = False
        self.reverts = 0  # times that it was put back to an older image
        self.starts = self.kills = self.power_losses = 0
        self.slow_s = 0.0
        self.disk_errors = 0  # injected so far: a FAIL needs a reason
        self.on_exported: Exported = lambda *_: None
        self.on_started: Callable[[Process], None] = lambda _: None
        self.on_turn: Callable[[Process], None] = lambda _: None
        self.on_event: Callable[[Process, str, str], None] = lambda *_: None
        self.on_failed: Callable[[Process], None] = lambda _: None
        self.on_dead: Callable[[Process], None] = lambda _: None
        net.hosts[self.name] = self

    @property
    def srl(self) -> SimDisk:
        return self.disks[self.config.srl.path]

    @property
    def volumes(self) -> list[SimDisk]:
        return [self.disks[v.path] for v in self.config.volumes]

    def start(self) -> None:
        assert self.process is None
        self.starts += 1
        self.process = Process(self)
        self.process.configure()

    def kill(self, *, power: bool) -> None:
        """SIGKILL of the worker, or a loss of power of the host."""
        process, self.process = self.process, None
        if process is not None:
            self.kills += 1
            self.world.note(self.name, "dies", "power" if power else "kill")
            process.die(power=power)
            self.on_dead(process)
        if power:
            self.power_losses += 1
            for disk in self.disks.values():
                disk.lose_power(self.random)

    def calm(self) -> None:
        """No more trouble from here on."""
        self.slow_s = 0.0
        if self.process is not None:
            self.process.crash_in = -1
            self.process.background.slow_s = 0.0
        for disk in self.disks.values():
            disk.trouble = Trouble(cold=disk.trouble.cold)

    # Folder

    def read(self, name: str) -> bytes:
        try:
            return self.files[name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from None

    def save(self, name: str, data: bytes) -> None:
        process = self.process
        if process is not None and process.step():
            if self.random.random() < 0.5:
                self.files[name] = data
            raise Crash(f"{self.name}: in the middle of saving {name}")
        self.files[name] = data

    def remove(self, name: str) -> None:
        self.files.pop(name, None)


class Process:
    """One run of the worker."""

    def __init__(self, host: SimHost) -> None:
        world = host.world
        self.host = host
        self.clock = SimClock(world, boot_s=host.random.uniform(10, 1e6))
        self.loop = SimLoop(world, self.clock, f"{host.name}#{host.starts}", self._crashed, self._turned)
        self.background = SimBackground(self.loop)
        self.background.slow_s = host.slow_s
        self.crash_in = -1  # calls to disks and network until it dies in one; -1: never
        self.crash_in_log = False  # only writes to the SRL count down
        self.crash_power = False
        self.files: list[SimFile] = []
        self.exports: list[SimListener] = []
        self.events: list[tuple[str, str]] = []
        self.opened = False
        self.failure_seen = False
        self.answers = 0  # times that answers went out to applications
        self.receive_bytes = 0  # what one client may bring at once
        self.in_flight_max = 0
        self.worker = Worker(WorkerPorts(
            loop=self.loop, background=self.background, open_file=self._open_file, folder=lambda _: host,
            dialler=lambda config: SimDialler(self, config), listen=self._listen,
            new_id=lambda: f"{world.random.getrandbits(128):032x}"), self._emit)

    def step(self, *, log: bool = False) -> bool:
        """Before each call to the outside: whether the process dies in this one. `log`: it writes to the SRL."""
        if self.crash_in > 0 and (log or not self.crash_in_log):
            self.crash_in -= 1
            return self.crash_in == 0
        return False

    def configure(self) -> None:
        self.call("configure", self.host.config.data())

    def call(self, method: str, params: dict[str, Any], fds: list[Any] | None = None,
             done: Callable[[VolrepError | None], None] = lambda _: None) -> None:
        """As the engine asks: in the loop's next turn; refusals come back."""
        def ask() -> None:
            try:
                self.worker.handle(method, params, cast("list[socket.socket]", fds or []), lambda _, error: done(error))
            except VolrepError as refused:
                done(refused)

        self.loop.call_from_thread(ask)

    def die(self, *, power: bool) -> None:
        self.loop.dead = True
        if power:
            self.loop.lost_power_s = self.host.world.now_s
        for stream in [s for s in self.host.net.streams.values() if s.loop is self.loop]:
            if power:
                stream.vanish()
            else:
                stream.close()
        for file in self.files:
            file.close()

    def _crashed(self, crash: Crash) -> None:
        self.host.world.note("crash", str(crash))
        self.host.kill(power=self.crash_power)

    def _turned(self) -> None:
        if not self.opened and self.worker.journal is not None:
            self.opened = True
            self.host.fails_in_a_row = 0
            self.host.on_started(self)
        self.host.on_turn(self)

    def _emit(self, kind: str, message: str) -> None:
        self.events.append((kind, message))
        self.host.world.note(self.loop.name, kind, message)
        self.host.on_event(self, kind, message)

    def _open_file(self, path: str, *, exclusive: bool) -> SimFile:
        disk = self.host.disks[path]
        if exclusive and disk.holder is not None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
        is_log = disk is self.host.srl
        file = SimFile(disk, -1, lambda writing: self.step(log=writing and is_log))
        file._fd = self.host.world.new_fd(file)
        self.files.append(file)
        return file

    def _listen(self, address: str, loop: Loop, exports: Exports, service: object) -> Listener:
        listener = SimListener(address)
        self.exports.append(listener)
        name = exports.names()[0]
        info = exports.find(name)
        assert info is not None
        assert isinstance(service, Primary)
        self.host.on_exported(self, info.volume_index, service)
        return cast("Listener", listener)

    @property
    def failed(self) -> VolrepError | None:
        return self.worker.failure


class SimListener:
    """What a worker asks of a listener; applications come by way of `SimHost.on_exported`."""

    def __init__(self, address: str) -> None:
        self.listen = address
        self.connections: set[Any] = set()

    def uri(self, export: str) -> str:
        return f"sim:{self.listen}/{export}"

    def close(self) -> None:
        for connection in sorted(self.connections, key=lambda c: int(c.number)):
            connection.close("the export is withdrawn")


class SimDialler:
    """`Dialler` and the engine's door on the other host."""

    def __init__(self, process: Process, config: RvgConfig) -> None:
        self._process = process
        self._config = config

    def dial(self, link: LinkConfig, done: Done) -> None:
        process, net = self._process, self._process.host.net
        world, here, there = net.world, process.host, net.hosts[link.remote_host]
        finished = False

        def finish(stream: Stream | None, error: Exception | None) -> None:
            nonlocal finished
            if not finished and not process.loop.dead:
                finished = True
                process.loop.call_from_thread(lambda: done(stream, error))

        def at_the_door() -> None:
            target = there.process
            if net.is_blocked(here.name, there.name) or net.is_blocked(there.name, here.name):
                return  # the time-out will tell
            if target is None or target.loop.dead or target.worker.config is None or process.loop.dead:
                finish(None, SetupError("connection refused"))
                return
            accepted = Accepted(lambda: finish(None, SetupError("the other end closed the connection")))

            def taken(far_done: Done) -> None:
                """Both ends prove who they are, then each has its stream."""
                if finished or process.loop.dead or target.loop.dead:
                    far_done(None, SetupError("the dialling end is gone"))
                    return
                if here.process is not process or there.process is not target:
                    far_done(None, SetupError("connection reset"))
                    return
                near, far = net.connect(here, there)
                if world.random.random() < RESET_AT_ONCE:
                    near.connection_broken()  # before anybody has said a word
                target.loop.call_from_thread(lambda: far_done(far, None))
                world.after(net.delay_s(there.name, here.name), lambda: finish(near, None))

            accepted.taken = lambda far_done: world.after(2 * net.delay_s(here.name, there.name),
                                                          lambda: taken(far_done))
            target.call("link.accept", {"link_id": link.link_id}, [accepted])

        world.after(CONNECT_TIMEOUT_S, lambda: finish(None, SetupError("timed out")))
        world.after(net.delay_s(here.name, there.name), at_the_door)

    def accept(self, link: LinkConfig, sock: socket.socket, done: Done) -> None:
        accepted = cast("Accepted", sock)
        assert accepted.taken is not None
        accepted.taken(done)

