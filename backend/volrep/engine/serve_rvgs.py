"""Methods of the control API: RVGs."""

from __future__ import annotations

import asyncio
import os

from volrep.engine import released
from volrep.engine.api import LogDumpOf, RvgCreate, RvgDelete, RvgInfo, RvgList, Scope
from volrep.engine.host import Host
from volrep.engine.serve_exports import check_detached, check_unused, drop_sockets
from volrep.engine.store import Change, RvgObject
from volrep.log.ring import BATCH_MAX_BYTES, HEADER_AREA_BYTES, MIN_BATCHES, SRL_MIN_BYTES
from volrep.model.config import VolumeConfig, VolumeKind
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.messages import log as log_messages
from volrep.model.messages import volumes as volume_messages
from volrep.model.names import check_name
from volrep.model.worker import LogDump, LogDumpRequest, Nothing, WorkerMethod
from volrep.ports.disk import DiskFile
from volrep.volume import provision

# Data volumes of one RVG: each takes about 200 bytes of a 64 KiB header slot of the SRL.
VOLUMES_MAX = 200


async def list_rvgs(host: Host, request: Scope, _client: str) -> RvgList:
    rvgs = host.store.rvgs(request.dg, request.name)
    return RvgList(rvgs=list(await asyncio.gather(*(host.info_of(rvg) for rvg in rvgs))))


async def create(host: Host, request: RvgCreate, client: str) -> RvgInfo:
    """Answers when the worker has accepted it; what it refuses is undone."""
    check_name("disk group", request.dg)
    check_name("RVG", request.name)
    async with host.lock(request.dg, request.name):
        wanted = RvgObject.from_data(request.data())
        async with host.volumes_lock:
            existing = host.store.rvg(request.dg, request.name)
            if existing is not None:  # role and attributes may have changed since it was created
                wanted = wanted.changed(role=existing.role, startup=existing.startup)
            if existing is not None and existing != wanted:
                raise VolrepError(messages.RVG_EXISTS, dg=request.dg, rvg=request.name, host=host.name)
            if existing is not None:
                return await host.info_of(existing)
            volumes = _check_volumes(host, request)
            await asyncio.to_thread(check_disks, volumes)
            with host.store.change(Change("rvg.create", request, client)) as history_id:
                host.store.put_rvg(wanted)
                host.check_size(wanted)
        try:
            await host.supervise(wanted).first_outcome()
        except BaseException:
            await host.stop_worker(wanted)
            with host.store.change(None):
                released.note(host, wanted)
                host.store.remove_rvg(wanted)
                host.store.forget_history(history_id)
            released.wipe_all(host)
            raise
        return await host.info_of(wanted)


def _check_volumes(host: Host, request: RvgCreate) -> list[VolumeConfig]:
    """Data volumes and, last, the SRL. Raises VR-1500, VR-1732, VR-1734 to VR-1737."""
    if not request.volumes:
        raise VolrepError(messages.NO_VOLUMES)
    if len(request.volumes) > VOLUMES_MAX:
        raise VolrepError(messages.TOO_MANY_VOLUMES, limit=VOLUMES_MAX, count=len(request.volumes))
    found: dict[str, VolumeConfig] = {}
    for name in (*request.volumes, request.srl):
        volume = host.store.volume(request.dg, name)
        if volume is None:
            raise VolrepError(messages.VOLUME_UNKNOWN, dg=request.dg, volume=name, host=host.name)
        if name in found:
            raise VolrepError(messages.VOLUME_TWICE, volume=name)
        rvg, use = host.rvg_using(request.dg, name)
        if rvg is not None:
            raise VolrepError(messages.VOLUME_IN_RVG, volume=name, dg=request.dg, host=host.name, rvg=rvg.name,
                              use=use)
        found[name] = volume
    check_srl_size(found[request.srl])
    return list(found.values())


def check_srl_size(srl: VolumeConfig) -> None:
    """Raises VR-1500."""
    if srl.size_bytes < SRL_MIN_BYTES:
        raise VolrepError(log_messages.SRL_TOO_SMALL, name=srl.name, size_bytes=srl.size_bytes,
                          minimum_bytes=SRL_MIN_BYTES, header_bytes=HEADER_AREA_BYTES, batches=MIN_BATCHES,
                          batch_bytes=BATCH_MAX_BYTES, dg=srl.dg)


def check_disks(volumes: list[VolumeConfig]) -> None:
    """What is there is what was configured, and the SRL (last) can be written all over. Nothing is changed.

    Raises VR-1202, VR-1203, VR-1738.
    """
    for volume in volumes:
        try:
            file = DiskFile.open(volume.path)
        except (OSError, ValueError) as error:
            raise VolrepError(volume_messages.NO_SUCH_DEVICE, name=volume.name, path=volume.path,
                              reason=getattr(error, "strerror", None) or error) from error
        size_bytes = file.size_bytes
        file.close()
        if size_bytes != volume.size_bytes:
            raise VolrepError(messages.VOLUME_CHANGED_SIZE, volume=volume.name, found_bytes=size_bytes,
                              wanted_bytes=volume.size_bytes)
    srl = volumes[-1]
    if srl.kind is VolumeKind.FILE:
        missing_bytes = srl.size_bytes - os.stat(srl.path).st_blocks * 512
        provision.check_space(srl.name, os.path.dirname(srl.path), max(0, missing_bytes))


async def delete(host: Host, request: RvgDelete, client: str) -> Nothing:
    """The worker ends first: when nothing is configured any more, nothing runs any more."""
    async with host.lock(request.dg, request.name):
        rvg = host.store.rvg(request.dg, request.name)
        if rvg is None:
            return Nothing()
        if links := host.store.links(rvg.dg, rvg.name):
            raise VolrepError(messages.LINKS_EXIST, rvg=rvg.name, count=len(links))
        check_detached(host, rvg.dg, rvg.volumes)
        supervisor = host.supervisors.get((rvg.dg, rvg.name))
        if supervisor is not None and not request.force:
            check_unused(f"RVG {rvg.name}", rvg.volumes, (await supervisor.status())[0])
        await host.stop_worker(rvg)
        try:
            with host.store.change(Change("rvg.delete", request, client)):
                released.note(host, rvg)
                host.store.remove_rvg(rvg)
        except VolrepError:
            host.supervise(rvg)
            raise
        released.wipe_all(host)
        drop_sockets(host)
    return Nothing()


async def dump_log(host: Host, request: LogDumpOf, _client: str) -> LogDump:
    rvg = host.rvg(request.dg, request.rvg)
    result = await host.supervisor(rvg).call(
        WorkerMethod.LOG_DUMP, LogDumpRequest(from_lsn=request.from_lsn, limit=request.limit))
    return LogDump.from_data(result)
