"""Hosts for planner tests: values that answer calls by the rules of the control API, without processes.

They know as much of the API as plans rely on: idempotent creation and removal, refusal of what is missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from volrep.engine.api import EngineStatus, RvgCreate, RvgInfo, VolumeInfo
from volrep.model.config import LinkConfig, Role, RvgConfig, RvgVolume, VolumeConfig, VolumeKind
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.status import KState, LinkKState, LinkState, LinkStatus, RvgState, RvgStatus, SrlStatus
from volrep.rds.plan_rds import Fresh
from volrep.rds.world import HostView, World

MIB = 1 << 20
DG = "hrdg"
FRESH = Fresh("rds-1", "rvg-1", "rvg-2", "link-1", "ab" * 32, "cd" * 8)
VOLUMES = {"dv01": 64 * MIB, "dv02": 32 * MIB, "srl": 128 * MIB}


def engine_status(name: str, port: int) -> EngineStatus:
    return EngineStatus(name=name, version="1", protocol=1, pid=1, state_dir=f"/{name}", port=port, listen="0.0.0.0",
                        certificate=f"certificate of {name}", fingerprint=f"{name}:" + "0" * 30, started_ns=1, rvgs=0)


def link_status(link: LinkConfig, state: LinkState = LinkState.STALE, **more: Any) -> LinkStatus:
    return LinkStatus(link_id=link.link_id, name=link.name, remote_host=link.remote_host, state=state,
                      kstate=LinkKState.DETACHED, flags=[], attributes=link.attributes,
                      **{"connected": False, "consistent": False, **more})


def rvg_status(config: RvgConfig, links: list[LinkStatus], **more: Any) -> RvgStatus:
    srl = SrlStatus(name=config.srl.name, size_bytes=config.srl.size_bytes, capacity_bytes=100 * MIB, tail_lsn=0,
                    end_lsn=0, durable_lsn=0, applied_lsn=0, used_bytes=25 * MIB)
    return RvgStatus(**{"dg": config.dg, "name": config.name, "host": config.host, "role": config.role,
                        "state": RvgState.ACTIVE, "kstate": KState.ENABLED, "generation": 1, "incarnation": 1,
                        "srl": srl, "volumes": [], "links": links, "consistent": True, **more})


class Hosts:
    """A `Caller`. `fail_at` is the number of the call (from 1) that is refused instead of done; with `dies` that
    host dies in it, with `done` when it has done what was asked.
    """

    def __init__(self, *names: str, volumes: dict[str, int] | None = None) -> None:
        self.names = names
        self.volumes = {(name, DG, volume): size for name in names
                        for volume, size in (VOLUMES if volumes is None else volumes).items()}
        self.rvgs: dict[tuple[str, str, str], RvgConfig] = {}
        self.states: dict[tuple[str, str], LinkState] = {}  # (host, link_id)
        self.silent: set[str] = set()
        self.fail_at = 0
        self.dies, self.done = False, False
        self.calls: list[str] = []

    # ---- as the fleet observes them

    def world(self) -> World:
        return World(tuple(self._view(name, 4145 + i) for i, name in enumerate(self.names)))

    def _view(self, name: str, port: int) -> HostView:
        if name in self.silent:
            return HostView(name, problem=gone(name))
        volumes = [self._volume(*key, size) for key, size in self.volumes.items() if key[0] == name]
        rvgs = [self._info(config) for key, config in self.rvgs.items() if key[0] == name]
        return HostView(name, f"10.0.0.{port - 4144}", engine_status(name, port), tuple(rvgs), tuple(volumes))

    def _volume(self, host: str, dg: str, name: str, size: int) -> VolumeInfo:
        config = VolumeConfig(dg=dg, name=name, path=f"/{host}/{name}", size_bytes=size, kind=VolumeKind.FILE,
                              volume_id="v", created_by_us=True)
        for (owner, _, rvg), found in self.rvgs.items():
            if owner == host and name in [v.name for v in (*found.volumes, found.srl)]:
                return VolumeInfo(config=config, rvg=rvg, use="srl" if name == found.srl.name else "data")
        return VolumeInfo(config=config)

    def _info(self, config: RvgConfig) -> RvgInfo:
        links = [link_status(link, self.states.get((config.host, link.link_id), LinkState.STALE))
                 for link in config.links]
        return RvgInfo(config=config.changed(links=[
            link.changed(key="") for link in config.links]), status=rvg_status(config, links))

    def snapshot(self) -> Any:
        """Everything but link ids and keys, which an undo may renew."""
        return {key: (config.rds_id, config.rvg_id, config.role, [v.name for v in config.volumes],
                      sorted((link.name, link.remote_host, tuple(link.attributes.items())) for link in config.links))
                for key, config in self.rvgs.items()}

    # ---- the control API, as far as plans use it

    def call(self, host: str, method: str, request: Any) -> Any:
        self.calls.append(f"{host} {method}")
        last = len(self.calls) == self.fail_at
        if last and self.done and host not in self.silent:
            getattr(self, method.replace(".", "_"))(host, request)
        if last and self.dies:
            self.silent.add(host)
            raise VolrepError(engine_messages.ENGINE_CLOSED, reason="it died")
        if host in self.silent or last:
            raise gone(host)
        return getattr(self, method.replace(".", "_"))(host, request)

    def rvg_create(self, host: str, request: RvgCreate) -> None:
        def use(index: int, name: str) -> RvgVolume:
            return RvgVolume(index=index, name=name, path=name, size_bytes=self.volumes[host, request.dg, name],
                             volume_id="v")

        key = (host, request.dg, request.name)
        config = RvgConfig(rds_id=request.rds_id, rvg_id=request.rvg_id, dg=request.dg, name=request.name, host=host,
                           role=request.role, srl=use(-1, request.srl),
                           volumes=[use(i, name) for i, name in enumerate(request.volumes)],
                           certificate_path="", private_key_path="")
        assert self.rvgs.setdefault(key, config).rvg_id == request.rvg_id

    def rvg_delete(self, host: str, request: Any) -> None:
        found = self.rvgs.get((host, request.dg, request.name))
        if found is not None and found.links:
            raise VolrepError(engine_messages.LINKS_EXIST, rvg=request.name, count=len(found.links))
        self.rvgs.pop((host, request.dg, request.name), None)

    def link_add(self, host: str, request: Any) -> None:
        config = self.rvgs[host, request.dg, request.rvg]
        for other in config.links:
            if other.link_id != request.link.link_id and other.name == request.link.name:
                raise VolrepError(engine_messages.LINK_NAME_TAKEN, rvg=request.rvg, name=other.name,
                                  remote_host=other.remote_host)
        config.links = [link for link in config.links if link.link_id != request.link.link_id] + [request.link]

    def link_remove(self, host: str, request: Any) -> None:
        config = self.rvgs[host, request.dg, request.rvg]
        config.links = [link for link in config.links if link.link_id != request.link_id]

    def link_set(self, host: str, request: Any) -> None:
        for link in self.rvgs[host, request.dg, request.rvg].links:
            if link.link_id == request.link_id:
                link.attributes = link.attributes | request.attributes

    def link_start(self, host: str, request: Any) -> None:
        self.states[host, request.link_id] = LinkState.ACTIVE

    def link_stop(self, host: str, request: Any) -> None:
        self.states[host, request.link_id] = LinkState.STALE

    def link_pause(self, host: str, request: Any) -> None:
        self.states[host, request.link_id] = LinkState.PAUSE

    def link_resume(self, host: str, request: Any) -> None:
        self.states[host, request.link_id] = LinkState.ACTIVE


def gone(host: str) -> VolrepError:
    return VolrepError(engine_messages.ENGINE_NOT_RUNNING, state_dir=f"/{host}", reason="nobody listens")


def fresh(number: int) -> Fresh:
    """Another set of identities for each number."""
    return replace(FRESH, rds_id=f"rds-{number}", primary_rvg_id=f"p-{number}", secondary_rvg_id=f"s-{number}",
                   link_id=f"link-{number}", key=f"{number:064x}", reign=f"{number:016x}")


def numbered(first: int = 100) -> Callable[[], Fresh]:
    """Another set at every call, the same in every run."""
    count = itertools.count(first)
    return lambda: fresh(next(count))


PRIMARY, SECONDARY = Role.PRIMARY, Role.SECONDARY
