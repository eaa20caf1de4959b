"""Methods of the control API: an RVG in FAIL is tried again, gets a new SRL, or another file for a data volume.

Each stops the RVG's worker and starts a fresh one: nothing of a failed run is believed. Other RVGs notice nothing.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from volrep.engine import released
from volrep.engine.api import RvgAslog, RvgInfo, RvgRecover, VolumeInfo, VolumeReplace
from volrep.engine.host import SRL_INDEX, Host
from volrep.engine.serve_exports import check_detached, check_unused, data_rvg
from volrep.engine.serve_rvgs import check_disks, check_srl_size
from volrep.engine.serve_volumes import check_adoptable, info
from volrep.engine.store import Change, RvgObject
from volrep.engine.supervisor import Phase
from volrep.log.renew import renewed
from volrep.log.srl import Srl
from volrep.log.tails import keep_end
from volrep.model.config import RvgConfig, RvgVolume, VolumeConfig, VolumeKind
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.messages import log as log_messages
from volrep.model.messages import volumes as volume_messages
from volrep.model.status import RvgState, RvgStatus
from volrep.ports.disk import DiskFile
from volrep.volume import provision


async def recover(host: Host, request: RvgRecover, client: str) -> RvgInfo:
    """Raises VR-1534 when `accept` is not the damage there is, VR-1770 when the RVG is in FAIL again."""
    async with host.lock(request.dg, request.name):
        rvg = host.rvg(request.dg, request.name)
        status = await _status(host, rvg)
        if status is not None and status.state is not RvgState.FAIL:
            return await host.info_of(rvg)
        if request.accept:
            damage = status.damage if status is not None else None
            if damage is None or damage.accept != request.accept:
                raise VolrepError(log_messages.NOT_ACCEPTED, rvg=rvg.name, found=damage.found if damage else "unknown")
        with host.store.change(Change("rvg.recover", request, client)):
            pass  # nothing but the line of history
        async with _restarting(host, rvg, accept=request.accept):
            pass
        return await host.info_of(rvg)


async def _status(host: Host, rvg: RvgObject) -> RvgStatus | None:
    supervisor = host.supervisors.get((rvg.dg, rvg.name))
    return (await supervisor.status())[0] if supervisor is not None else None


async def _is_failed(host: Host, rvg: RvgObject) -> bool:
    """In FAIL, or refused by its worker: not one that is only starting, or has just died."""
    supervisor = host.supervisors.get((rvg.dg, rvg.name))
    if supervisor is None:
        return False
    status, _ = await supervisor.status()
    return status.state is RvgState.FAIL if status is not None else supervisor.phase is Phase.REFUSED


@asynccontextmanager
async def _restarting(host: Host, rvg: RvgObject, accept: str = "") -> AsyncIterator[None]:
    """Something is done while no worker has the files; then one starts, whatever happened. Raises VR-1770."""
    await host.stop_worker(rvg)
    try:
        yield
    finally:
        supervisor = host.supervise(host.rvg(rvg.dg, rvg.name), accept=accept)
    try:
        await supervisor.first_outcome()
    except VolrepError as error:
        status, _ = await supervisor.status()
        damage = status.damage if status is not None else None
        raise VolrepError(messages.STILL_FAILED, rvg=rvg.name, host=host.name,
                          reason=damage.found if damage is not None else error.text,
                          next=damage.next[0] if damage is not None else f"volrep -H {host.name} events") from error


# ---- a new SRL


async def aslog(host: Host, request: RvgAslog, client: str) -> RvgInfo:
    """The same volume may be named again: its log is made anew. `force`: also while exports are in use.

    Only an RVG that cannot be brought to a clean stop loses what its log holds; any other is asked to stop again.

    Raises VR-1500, VR-1503, VR-1732, VR-1734, VR-1738, VR-1750, VR-1770, VR-1774.
    """
    async with host.lock(request.dg, request.name):
        rvg = host.rvg(request.dg, request.name)
        async with host.volumes_lock:
            failed = await _is_failed(host, rvg)
            volume = _new_srl(host, rvg, request.srl)
            await asyncio.to_thread(check_disks, [volume])
            await _check_idle(host, rvg, rvg.volumes, force=request.force)
            wanted = rvg.changed(srl=request.srl)
            old_path = host.config_of(rvg).srl.path
            config = host.config_of(rvg).changed(srl=RvgVolume(
                index=SRL_INDEX, name=volume.name, path=volume.path, size_bytes=volume.size_bytes,
                volume_id=volume.volume_id))
            async with _restarting(host, rvg):
                await asyncio.to_thread(make_log, config, old_path, give_up=failed)
                with host.store.change(Change("rvg.aslog", request, client)):
                    host.store.put_rvg(wanted)
                if old_path != volume.path:
                    released.wipe_quietly(host, old_path, rvg.rvg_id)
        return await host.info_of(wanted)


def _new_srl(host: Host, rvg: RvgObject, name: str) -> VolumeConfig:
    volume = host.store.volume(rvg.dg, name)
    if volume is None:
        raise VolrepError(messages.VOLUME_UNKNOWN, dg=rvg.dg, volume=name, host=host.name)
    user, use = host.rvg_using(rvg.dg, name)
    if user is not None and (user.name, name) != (rvg.name, rvg.srl):
        raise VolrepError(messages.VOLUME_IN_RVG, volume=name, dg=rvg.dg, host=host.name, rvg=user.name, use=use)
    check_srl_size(volume)
    return volume


async def _check_idle(host: Host, rvg: RvgObject, volumes: list[str], *, force: bool) -> None:
    """Raises VR-1750 when applications use an RVG that works: in FAIL they get errors anyway."""
    status = await _status(host, rvg)
    if not force and status is not None and status.state is not RvgState.FAIL:
        check_unused(f"RVG {rvg.name}", volumes, status)


def make_log(config: RvgConfig, old_path: str, *, give_up: bool) -> None:
    """Blocking. `give_up`: also what an SRL that was not closed cleanly may hold.

    Raises VR-1774, VR-1503 when the volume carries the SRL of another RVG, VR-1506, VR-1204.
    """
    log = _log(old_path, config, own=True)
    old = log.header if log is not None else None
    if old is not None and not old.clean and not give_up:
        raise VolrepError(messages.STOPPED_AMID, rvg=config.name, host=config.host)
    if old_path != config.srl.path:
        _log(config.srl.path, config, own=False)
    try:
        file = DiskFile.open(config.srl.path, exclusive=True)
    except (OSError, ValueError) as error:
        raise VolrepError(log_messages.SRL_CREATE_FAILED, path=config.srl.path, reason=error) from error
    try:
        header, first_lsn = renewed(old, config, uuid.uuid4().hex[:16])
        Srl.create(file, header, first_lsn=first_lsn, over=log if old_path == config.srl.path else None)
    finally:
        file.close()


def _log(path: str, config: RvgConfig, *, own: bool) -> Srl | None:
    """The SRL there (closed), if its header is good; another RVG's counts as none where `own` is expected."""
    try:
        file = DiskFile.open(path, writable=False)
    except (OSError, ValueError):
        return None
    try:
        log = Srl.open(file)
        if own:
            # The header that takes its place knows by it a Secondary that has all of the old log, or gets a copy
            keep_end(log, max(log.header.applied_lsn, log.header.durable_lsn))
    except VolrepError:
        return None
    finally:
        file.close()
    found = log.header
    if found.rvg_id == config.rvg_id:
        return log
    if own:
        return None
    raise VolrepError(log_messages.SRL_FOREIGN, path=path, found=f"{found.dg}/{found.rvg} ({found.rvg_id})",
                      wanted=f"{config.dg}/{config.name} ({config.rvg_id})")


# ---- another file for a data volume


async def replace(host: Host, request: VolumeReplace, client: str) -> VolumeInfo:
    """The volume keeps its name and size. What is on the new file or device stays; the log is not replayed onto it.

    Nothing is done when an RVG that works has that very file or device: it has been said before.

    Raises VR-1732, VR-1750, VR-1751, VR-1766, VR-1770 to VR-1773, and what `volume add` raises.
    """
    rvg = data_rvg(host, request.dg, request.name)
    async with host.lock(rvg.dg, rvg.name):
        async with host.volumes_lock:
            volume = host.store.volume(request.dg, request.name)
            assert volume is not None, "it is in an RVG"
            status = await _status(host, rvg)
            if _stands(volume, request.path) and status is not None and status.state is not RvgState.FAIL:
                return info(host, volume)
            check_detached(host, request.dg, [request.name])
            await _check_idle(host, rvg, [request.name], force=request.force)
            others = [other for other in host.store.volumes() if other != volume]
            changed = await asyncio.to_thread(_take_place, host, volume, request.path, others)
            async with _restarting(host, rvg):
                with host.store.change(Change("volume.replace", request, client)):
                    host.store.put_volume(changed)
        return info(host, changed)


def _stands(volume: VolumeConfig, path: str) -> bool:
    return bool(path) and os.path.realpath(path) == volume.path and not volume.created_by_us


def _take_place(host: Host, volume: VolumeConfig, path: str, others: list[VolumeConfig]) -> VolumeConfig:
    """Blocking. Without a path a fresh file is made where the old one was."""
    volume_id = str(uuid.uuid4())
    if not path:
        if not volume.created_by_us:
            raise VolrepError(messages.NO_PLACE, volume=volume.name, path=volume.path)
        _make_room(volume)
        provision.create_volume(volume.name, volume.path, volume.size_bytes)
        return volume.changed(volume_id=volume_id)
    real = os.path.realpath(path)
    found = check_adoptable(host, volume.name, real, others)
    if found.size_bytes != volume.size_bytes:
        raise VolrepError(messages.PLACE_SIZE, volume=volume.name, path=path, found_bytes=found.size_bytes,
                          wanted_bytes=volume.size_bytes)
    return volume.changed(volume_id=volume_id, path=real, created_by_us=False,
                          kind=VolumeKind.BLOCK if found.is_device else VolumeKind.FILE)


def _make_room(volume: VolumeConfig) -> None:
    """A file into which nothing was ever written is what a call that was broken off left. Raises VR-1772, VR-1201."""
    path = Path(volume.path)
    try:
        if path.exists() and not provision.is_blank(path):
            raise VolrepError(messages.STILL_THERE, volume=volume.name, path=volume.path)
        path.unlink(missing_ok=True)
    except OSError as error:
        raise VolrepError(volume_messages.VOLUME_NOT_MADE, name=volume.name, path=path,
                          reason=error.strerror or error) from error
