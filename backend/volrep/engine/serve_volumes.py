"""Methods of the control API: volumes."""

from __future__ import annotations

import asyncio
import os
import uuid
from pathlib import Path

from volrep.engine.api import Scope, VolumeAdd, VolumeCreate, VolumeInfo, VolumeList, VolumeRef
from volrep.engine.host import Host
from volrep.engine.serve_exports import export_uri
from volrep.engine.store import Change
from volrep.model.config import VolumeConfig, VolumeKind
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.messages import volumes as volume_messages
from volrep.model.names import check_name
from volrep.model.worker import Nothing
from volrep.volume import provision


def info(host: Host, volume: VolumeConfig) -> VolumeInfo:
    rvg, use = host.rvg_using(volume.dg, volume.name)
    exports = host.store.exports(volume.dg, volume.name)
    return VolumeInfo(config=volume, rvg=rvg.name if rvg else "", use=use,
                      export=export_uri(exports[0][1]) if exports else "")


async def list_volumes(host: Host, request: Scope, _client: str) -> VolumeList:
    return VolumeList(volumes=[info(host, volume) for volume in host.store.volumes(request.dg)
                               if request.name in ("", volume.name)])


async def create(host: Host, request: VolumeCreate, client: str) -> VolumeInfo:
    """The volume is entered first and made then: what a crash leaves can be seen, finished or destroyed."""
    check_name("disk group", request.dg)
    check_name("volume", request.name)
    provision.check_size(request.name, request.size_bytes)
    directory = Path(request.directory) if request.directory else host.paths.volumes(request.dg)
    if not directory.is_absolute():
        raise VolrepError(volume_messages.VOLUME_NOT_MADE, name=request.name, path=directory / request.name,
                          reason="the directory is not an absolute path")
    path = directory / request.name
    async with host.volumes_lock:
        existing = host.store.volume(request.dg, request.name)
        if existing is not None:
            _check_same(host, existing, str(path), request.size_bytes)
            if not _is_unfinished(host, existing):
                return info(host, existing)
            path.unlink(missing_ok=True)
        volume = VolumeConfig(dg=request.dg, name=request.name, path=str(path), size_bytes=request.size_bytes,
                              kind=VolumeKind.FILE, volume_id=str(uuid.uuid4()), created_by_us=True)
        if not request.directory:
            await asyncio.to_thread(_make_directory, directory, request.name)
        with host.store.change(Change("volume.create", request, client)) as history_id:
            host.store.put_volume(volume)
        try:
            await asyncio.to_thread(provision.create_volume, request.name, path, request.size_bytes)
        except BaseException:
            with host.store.change(None):
                host.store.remove_volume(request.dg, request.name)
                host.store.forget_history(history_id)
            raise
        return info(host, volume)


def _make_directory(directory: Path, name: str) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise VolrepError(volume_messages.VOLUME_NOT_MADE, name=name, path=directory / name,
                          reason=error.strerror or error) from error


def _check_same(host: Host, existing: VolumeConfig, path: str, size_bytes: int | None) -> None:
    if existing.path != path or (size_bytes is not None and existing.size_bytes != size_bytes):
        raise VolrepError(messages.VOLUME_DIFFERS, volume=existing.name, dg=existing.dg, host=host.name,
                          found=f"{existing.path}, {existing.size_bytes} bytes")


def _is_unfinished(host: Host, volume: VolumeConfig) -> bool:
    """Whether an engine was killed between entering this volume and making its file."""
    if not volume.created_by_us or host.rvg_using(volume.dg, volume.name)[0] is not None:
        return False
    path = Path(volume.path)
    return not path.exists() or path.stat().st_size == 0


async def add(host: Host, request: VolumeAdd, client: str) -> VolumeInfo:
    check_name("disk group", request.dg)
    check_name("volume", request.name)
    path = os.path.realpath(request.path)
    async with host.volumes_lock:
        existing = host.store.volume(request.dg, request.name)
        if existing is not None:
            _check_same(host, existing, path, None)
            return info(host, existing)
        found = await asyncio.to_thread(check_adoptable, host, request.name, path, host.store.volumes())
        volume = VolumeConfig(dg=request.dg, name=request.name, path=path, size_bytes=found.size_bytes,
                              kind=VolumeKind.BLOCK if found.is_device else VolumeKind.FILE,
                              volume_id=str(uuid.uuid4()), created_by_us=False)
        with host.store.change(Change("volume.add", request, client)):
            host.store.put_volume(volume)
        return info(host, volume)


def check_adoptable(host: Host, name: str, path: str, others: list[VolumeConfig]) -> provision.Provisioned:
    """What is there, if it may become volume `name`. Raises VR-1203, VR-1204, VR-1739."""
    own = host.paths.root.resolve()
    if Path(path).is_relative_to(own) and not Path(path).is_relative_to(own / "volumes"):
        raise VolrepError(volume_messages.NO_SUCH_DEVICE, name=name, path=path,
                          reason="it is a file of the engine itself")
    for other in others:
        if os.path.exists(path) and os.path.exists(other.path) and os.path.samefile(path, other.path):
            raise VolrepError(messages.PATH_IS_VOLUME, path=path, volume=other.name, dg=other.dg)
    return provision.adopt_volume(name, path)


async def destroy(host: Host, request: VolumeRef, client: str) -> Nothing:
    async with host.volumes_lock:
        volume = host.store.volume(request.dg, request.name)
        if volume is None:
            return Nothing()
        rvg, use = host.rvg_using(volume.dg, volume.name)
        if rvg is not None:
            raise VolrepError(messages.VOLUME_IN_RVG, volume=volume.name, dg=volume.dg, host=host.name,
                              rvg=rvg.name, use=use)
        if volume.created_by_us:
            await asyncio.to_thread(provision.destroy_volume, volume.name, volume.path)
        with host.store.change(Change("volume.destroy", request, client)):
            host.store.remove_volume(volume.dg, volume.name)
    return Nothing()
