"""One host as its engine sees it: what the methods of the control API act on.

Joins store, supervisors, events and paths. Must not know sockets of clients, nor single methods.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from weakref import WeakValueDictionary

from volrep.engine.api import PROTOCOL, EngineStatus, RvgInfo
from volrep.engine.events import Events
from volrep.engine.hooks import Hooks
from volrep.engine.identity import fingerprint
from volrep.engine.paths import StateDir, check_socket_path
from volrep.engine.rebuild import Rebuilder
from volrep.engine.spawn import worker_argv
from volrep.engine.store import Change, RvgObject, Store
from volrep.engine.supervisor import Supervisor
from volrep.model.config import RvgConfig, RvgVolume
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.status import Event, RvgStatus
from volrep.model.worker import LINE_MAX_BYTES
from volrep.ports.clock import Clock

SRL_INDEX = -1
_LINE_OVERHEAD_BYTES = 200  # what a request line holds beside its parameters

Call = Callable[["Host", Any, str], Awaitable[Any]]
"""A method: (host, request, name of the client) -> response."""


def key_print(key: str) -> str:
    """Whether two ends have the same key, without telling it: it is 32 random bytes, which no hash gives away."""
    return sha256(f"volrep link key {key}".encode()).hexdigest()[:16]


@dataclass
class Host:
    """Everything of one engine. `stopping` is set when the engine is to end."""

    name: str
    version: str
    paths: StateDir
    store: Store
    events: Events
    clock: Clock
    certificate: str
    pid: int
    started_ns: int
    hooks: Hooks
    listen: str = ""
    port: int = 0  # of replication, once it is open
    problem: str = ""
    supervisors: dict[tuple[str, str], Supervisor] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    volumes_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    listeners: list[Callable[[Host, Event], None]] = field(default_factory=list)  # told every event of a worker
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def __post_init__(self) -> None:
        self.rebuilder = Rebuilder(self.paths, self.name)

    def status(self) -> EngineStatus:
        return EngineStatus(
            name=self.name, version=self.version, protocol=PROTOCOL, pid=self.pid, state_dir=str(self.paths.root),
            port=self.port, listen=self.listen, certificate=self.certificate,
            fingerprint=fingerprint(self.certificate), started_ns=self.started_ns, rvgs=len(self.supervisors),
            problem=self.problem or self.store.copy_problem)

    def lock(self, dg: str, rvg: str) -> asyncio.Lock:
        """Held by whoever changes this RVG. It lives as long as somebody holds or awaits it."""
        lock = self._locks.get((dg, rvg))
        if lock is None:
            lock = self._locks[dg, rvg] = asyncio.Lock()
        return lock

    def hooks_lock(self, dg: str, rvg: str) -> asyncio.Lock:
        """Held while hooks of this RVG run; apart from `lock`, which what they ask this engine for needs."""
        return self.lock(dg, f"{rvg} hooks")  # no RVG's: names have no space

    # ---- RVGs

    def rvg(self, dg: str, name: str) -> RvgObject:
        """Raises VR-1730."""
        found = self.store.rvg(dg, name)
        if found is None:
            raise VolrepError(messages.RVG_UNKNOWN, dg=dg, rvg=name, host=self.name)
        return found

    def rvg_using(self, dg: str, volume: str) -> tuple[RvgObject | None, str]:
        """The RVG that uses a volume, and as what: data or srl; (None, "free")."""
        for rvg in self.store.rvgs(dg):
            if volume == rvg.srl:
                return rvg, "srl"
            if volume in rvg.volumes:
                return rvg, "data"
        return None, "free"

    def config_of(self, rvg: RvgObject) -> RvgConfig:
        """All that the worker needs, put together from the store."""
        return RvgConfig(
            rds_id=rvg.rds_id, rvg_id=rvg.rvg_id, dg=rvg.dg, name=rvg.name, host=self.name, role=rvg.role,
            srl=self._use(rvg.dg, rvg.srl, SRL_INDEX),
            volumes=[self._use(rvg.dg, name, index) for index, name in enumerate(rvg.volumes)],
            links=self.store.links(rvg.dg, rvg.name),
            exports=[export for name in rvg.volumes for _, export in self.store.exports(rvg.dg, name)],
            certificate_path=str(self.paths.certificate), private_key_path=str(self.paths.private_key),
            startup=rvg.startup)

    def _use(self, dg: str, name: str, index: int) -> RvgVolume:
        volume = self.store.volume(dg, name)
        assert volume is not None, f"RVG volume {dg}/{name} is not in the store"
        return RvgVolume(index=index, name=name, path=volume.path, size_bytes=volume.size_bytes,
                         volume_id=volume.volume_id)

    def check_size(self, rvg: RvgObject) -> None:
        """Raises VR-1722 when the configuration does not fit a line to the worker. Before it is committed."""
        length = len(self.config_of(rvg).json().encode()) + _LINE_OVERHEAD_BYTES
        if length > LINE_MAX_BYTES:
            raise VolrepError(messages.CONFIG_TOO_LARGE, rvg=rvg.name, length=length, limit=LINE_MAX_BYTES)

    async def info_of(self, rvg: RvgObject) -> RvgInfo:
        """As clients see it: without keys, with the worker's status when it gives one."""
        supervisor = self.supervisors.get((rvg.dg, rvg.name))
        status, problem = await supervisor.status() if supervisor is not None else (None, "the worker is stopped")
        if status is not None:
            self.note_role(rvg, status)
        kept = self.store.rvg(rvg.dg, rvg.name) or rvg
        config = self.config_of(kept)
        prints = {link.link_id: key_print(link.key) for link in config.links}
        for link in config.links:
            link.key = ""
        if supervisor is None:
            return RvgInfo(config=config, status=None, problem=problem, key_prints=prints, took=kept.took)
        return RvgInfo(config=config, status=status, problem=problem, worker_pid=supervisor.pid,
                       worker_restarts=supervisor.restarts, key_prints=prints, took=kept.took)

    def note_role(self, rvg: RvgObject, status: RvgStatus) -> None:
        """The SRL's header says what the role is; the store follows it."""
        kept = self.store.rvg(rvg.dg, rvg.name)
        if kept is not None and kept.role != status.role and status.history:
            with self.store.change(None):
                self.store.put_rvg(kept.changed(role=status.role))

    async def _role_changed(self, dg: str, name: str) -> None:
        rvg = self.store.rvg(dg, name)
        if rvg is not None:
            await self.info_of(rvg)

    # ---- workers

    def supervisor(self, rvg: RvgObject) -> Supervisor:
        """Raises VR-1720."""
        found = self.supervisors.get((rvg.dg, rvg.name))
        if found is None:
            raise VolrepError(messages.WORKER_ABSENT, rvg=rvg.name, host=self.name, reason="it is stopped")
        return found

    def supervise(self, rvg: RvgObject, *, accept: str = "") -> Supervisor:
        """Start keeping this RVG's worker alive. `accept`: for its first start. Raises VR-1707."""
        socket_path = check_socket_path(self.paths.worker_socket(rvg.dg, rvg.name))

        def config() -> RvgConfig:
            return self.config_of(self.rvg(rvg.dg, rvg.name))

        made = Supervisor(config, socket_path, worker_argv(socket_path),
                          log_path=self.paths.worker_log(rvg.dg, rvg.name), on_event=self._worker_event,
                          clock=self.clock, accept=accept)
        self.supervisors[rvg.dg, rvg.name] = made
        made.start()
        return made

    async def stop_worker(self, rvg: RvgObject) -> None:
        """Raises VR-1720 when it does not end."""
        supervisor = self.supervisors.get((rvg.dg, rvg.name))
        if supervisor is None:
            return
        try:
            await supervisor.stop()
        except VolrepError:
            supervisor.start()
            raise
        self.supervisors.pop((rvg.dg, rvg.name), None)
        self.paths.worker_socket(rvg.dg, rvg.name).unlink(missing_ok=True)  # one that was killed could not remove it

    async def stop_workers(self) -> None:
        """All of them, at the same time; one that does not end is told in the events."""
        supervisors = list(self.supervisors.values())
        results = await asyncio.gather(*(supervisor.stop() for supervisor in supervisors), return_exceptions=True)
        for supervisor, result in zip(supervisors, results, strict=True):
            if isinstance(result, VolrepError):
                self.events.happened("worker_stuck", result.text, dg=supervisor.dg, rvg=supervisor.rvg)
            elif isinstance(result, BaseException):
                raise result

    def _worker_event(self, event: Event) -> None:
        self.events.happened(event.type, event.message, dg=event.dg, rvg=event.rvg, time_ns=event.time_ns)
        if event.type.startswith("role_"):
            self.background(self._role_changed(event.dg, event.rvg))
        for listener in self.listeners:
            listener(self, event)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Something that nobody waits for; ended with the engine."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end_background(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # ---- changes of an RVG

    async def change_rvg(self, rvg: RvgObject, change: Change, apply: Callable[[], None]) -> None:
        """Commit `apply` and bring the worker to it; when the worker refuses, take it back and raise its refusal.

        The caller holds the RVG's lock.
        """
        links = self.store.links(rvg.dg, rvg.name)
        exports = {name: [export.listen for _, export in self.store.exports(rvg.dg, name)] for name in rvg.volumes}
        with self.store.change(change) as history_id:
            apply()
            self.check_size(rvg)
        supervisor = self.supervisors.get((rvg.dg, rvg.name))
        if supervisor is None:
            return
        try:
            await supervisor.reconfigure()
        except VolrepError:
            with self.store.change(None):
                self.store.set_links(rvg.dg, rvg.name, links)
                for name, listens in exports.items():
                    self.store.set_exports(rvg.dg, name, listens)
                self.store.forget_history(history_id)
            await supervisor.reconfigure()
            raise
