"""A configuration put together anew: from its copy, or from RVGs that were found (volrep.engine.find).

Two ways in: an engine whose configuration is damaged serves `Rescue` until it is whole again; an engine that has
nothing configured (a host set up afresh on old disks) takes what is found with the same calls.

The damaged database is kept beside the new one. The new one is made whole under another name first, so a kill
at any moment leaves the damaged state, from which the same command does it again, or the rebuilt one.
"""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from volrep.engine.api import (
    PROTOCOL,
    EngineState,
    EngineStatus,
    FindRequest,
    Found,
    Hello,
    RestoreRequest,
    TakeRequest,
)
from volrep.engine.find import blank_keys, copy_setting, described_copy, find, intact_copy, living_workers, volume_of
from volrep.engine.identity import fingerprint
from volrep.engine.paths import StateDir
from volrep.engine.seal import Copy
from volrep.engine.sound import drop_markers
from volrep.engine.store import Change, RvgObject, Store
from volrep.model.config import RvgConfig
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.shape import Shape
from volrep.model.worker import Nothing
from volrep.ports.clock import Clock
from volrep.ports.disk import sync_directory

DAMAGED_KEPT_MAX = 5  # databases of earlier damage, for whoever wants to look into them


@dataclass
class Rebuilder:
    """What was taken so far. One per engine."""

    paths: StateDir
    name: str
    taken: dict[str, RvgConfig] = field(default_factory=dict)

    async def find(self, state: EngineState, problem: str, port: int, request: FindRequest) -> Found:
        copy, copy_problem = await asyncio.to_thread(intact_copy, self.paths)
        rvgs, volumes = await find(self.paths, self.name, request.search)
        return Found(state=state, problem=problem, copied=described_copy(copy), copy_problem=copy_problem,
                     rvgs=[blank_keys(rvg) for rvg in rvgs], volumes=volumes, port=port)

    async def take(self, request: TakeRequest) -> None:
        """Raises VR-1781 when it cannot be served as it is."""
        rvg = request.rvg
        if rvg.host != self.name:
            raise VolrepError(messages.NOT_TAKEN, rvg=rvg.name, reason=f"it is of host {rvg.host}")
        lacking = {link.link_id for link in rvg.links if not link.key}
        keys = {link.link_id: link.key for config in await living_workers(self.paths) if config.rvg_id == rvg.rvg_id
                for link in config.links} if lacking else {}
        if unknown := lacking - keys.keys():
            raise VolrepError(messages.NOT_TAKEN, rvg=rvg.name, reason=f"no key for link {min(unknown)}")
        links = [link.changed(key=link.key or keys[link.link_id]) for link in rvg.links]
        self.taken[rvg.rvg_id] = rvg.changed(links=links)

    def fill(self, store: Store, request: RestoreRequest, client: str, settings: Mapping[str, str]) -> None:
        """What was taken, into an empty store; one transaction, since each writes a copy. Raises VR-1781, VR-1706."""
        missing = [rvg_id for rvg_id in request.rvg_ids if rvg_id not in self.taken]
        if missing:
            raise VolrepError(messages.NOT_TAKEN, rvg=missing[0], reason="it was not said what it is; the engine was "
                                                                         "started anew meanwhile")
        with store.change(Change("engine.restore", _Said(source="parts", rvgs=sorted(request.rvg_ids)), client)):
            for name, value in settings.items():
                store.put_setting(name, value)
            for rvg_id in request.rvg_ids:
                self._put(store, self.taken[rvg_id])
            for volume in request.volumes:
                if store.volume(volume.dg, volume.name) is None:
                    store.put_volume(volume.changed(volume_id=volume.volume_id or str(uuid.uuid4())))

    def _put(self, store: Store, rvg: RvgConfig) -> None:
        for volume in (*rvg.volumes, rvg.srl):
            try:
                store.put_volume(volume_of(self.paths, rvg.dg, volume))
            except OSError as error:
                reason = f"{volume.path}: {error.strerror}"
                raise VolrepError(messages.NOT_TAKEN, rvg=rvg.name, reason=reason) from error
        store.put_rvg(RvgObject(dg=rvg.dg, name=rvg.name, rds_id=rvg.rds_id, rvg_id=rvg.rvg_id, role=rvg.role,
                                volumes=[volume.name for volume in rvg.volumes], srl=rvg.srl.name))
        store.set_links(rvg.dg, rvg.name, rvg.links)
        for volume in rvg.volumes:
            store.set_exports(rvg.dg, volume.name, [e.listen for e in rvg.exports if e.volume == volume.name])


class _Said(Shape):
    """The line of history of a restore."""

    source: str
    rvgs: list[str]


class Rescue:
    """What an engine with a damaged configuration is: it answers `engine.*`, and says why it does nothing else.

    `restored` is set when there is a whole configuration again, `stopping` when the engine is to end.
    """

    def __init__(self, paths: StateDir, error: VolrepError, *, name: str, version: str, certificate: str, listen: str,
                 port: int, clock: Clock, stopping: asyncio.Event) -> None:
        self.error = error
        self.stopping = stopping
        self.restored = asyncio.Event()
        self._paths = paths
        self._clock = clock
        self._rebuilder = Rebuilder(paths, name)
        self._restoring = asyncio.Lock()
        self._status = EngineStatus(
            name=name, version=version, protocol=PROTOCOL, pid=os.getpid(), state_dir=str(paths.root), port=port,
            listen=listen, certificate=certificate, fingerprint=fingerprint(certificate), started_ns=clock.wall_ns(),
            rvgs=0, state=EngineState.DAMAGED, problem=f"{error.id}: {error.text}")

    async def answer(self, method: str, request: Shape, client: str) -> Shape:
        """Raises the damage, VR-1704, for everything but `hello` and `engine.*`."""
        if isinstance(request, Hello) and request.protocol != PROTOCOL:
            raise VolrepError(messages.PROTOCOL_DIFFERS, ours=PROTOCOL, theirs=request.protocol)
        if isinstance(request, FindRequest):
            status = self._status
            return await self._rebuilder.find(status.state, status.problem, status.port, request)
        if isinstance(request, TakeRequest):
            await self._rebuilder.take(request)
            return Nothing()
        if isinstance(request, RestoreRequest):
            return await self.restore(request, client)
        if method == "engine.stop":
            self.stopping.set()
            return Nothing()
        if method in ("hello", "engine.status"):
            return self._status
        raise self.error

    async def restore(self, request: RestoreRequest, client: str) -> EngineStatus:
        """Raises VR-1780, VR-1781, VR-1706; the damaged state stays then."""
        async with self._restoring:
            if not self.restored.is_set():
                await self._restore(request, client)
        return self._status.changed(state=EngineState.SERVING, problem="")

    async def _restore(self, request: RestoreRequest, client: str) -> None:
        copy, problem = await asyncio.to_thread(intact_copy, self._paths)
        if request.from_copy and copy is None:
            raise VolrepError(messages.NO_COPY, problem=problem)
        fresh = self._paths.root / "config.db.new"
        for part in _files_of(fresh):
            part.unlink(missing_ok=True)
        store = Store.begin(fresh, self._clock, copy.changes if copy is not None else 0)
        try:
            if request.from_copy:
                assert copy is not None
                _fill_from(store, copy, client)
            else:
                port = request.port or self._status.port
                self._rebuilder.fill(store, request, client,
                                     {"name": self._status.name} | ({"port": str(port)} if port else {}))
            kept = {rvg.rvg_id for rvg in store.rvgs()} | {rvg_id for rvg_id, _ in store.released()}
        finally:
            store.close()
        drop_markers(self._paths, kept)
        _swap(fresh, self._paths.store)
        self.restored.set()


def _fill_from(store: Store, copy: Copy, client: str) -> None:
    said = _Said(source=f"copy of change {copy.changes}", rvgs=[f"{row[0]}/{row[1]}" for row in copy.tables["rvgs"]])
    with store.change(Change("engine.restore", said, client)):
        store.load(copy.tables)


def known_name(paths: StateDir) -> str:
    """The engine's name as the copy or its certificate says it; "" when both are lost."""
    copy, _ = intact_copy(paths)
    return copy_setting(copy, "name") or _certified_name(paths.certificate)


def known_port(paths: StateDir) -> int:
    """The replication port as the copy says it; 0 when it is lost."""
    return int(copy_setting(intact_copy(paths)[0], "port") or 0)


def _certified_name(path: Path) -> str:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    except (OSError, ValueError, IndexError):  # lost or damaged: it says nothing
        return ""


def _files_of(database: Path) -> list[Path]:
    """The log first: a database must never meet a log that is not its own."""
    return [database.with_name(database.name + suffix) for suffix in ("-wal", "-shm", "")]


def _swap(fresh: Path, place: Path) -> None:
    """Put `fresh` in its place, and what was there aside. Raises OSError."""
    aside = place.with_name(f"{place.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for old, kept in zip(_files_of(place), _files_of(aside), strict=True):
        if old.exists():
            old.replace(kept)
    fresh.replace(place)
    sync_directory(place.parent)
    stamps = sorted({path.name.partition("-wal")[0].partition("-shm")[0] for path in
                     place.parent.glob(f"{place.name}.damaged-*")})
    for stamp in stamps[:-DAMAGED_KEPT_MAX]:
        for path in _files_of(place.with_name(stamp)):
            path.unlink(missing_ok=True)
