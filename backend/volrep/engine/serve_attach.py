"""Methods of the control API: block devices of exported volumes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from volrep.engine import attach
from volrep.engine.api import AttachAdd, AttachInfo, AttachList, Scope, VolumeRef
from volrep.engine.blockdev import DeviceBusy, is_mount_point
from volrep.engine.host import Host
from volrep.engine.serve_exports import data_rvg, export_uri
from volrep.engine.store import Change
from volrep.engine.tools import ToolFailed, run
from volrep.model.config import ExportConfig
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.worker import Nothing


async def list_attached(host: Host, request: Scope, _client: str) -> AttachList:
    return AttachList(attached=[found for found in host.store.attachments(request.dg)
                                if request.name in ("", found.volume)])


async def add(host: Host, request: AttachAdd, client: str) -> AttachInfo:
    rvg = data_rvg(host, request.dg, request.volume)
    async with host.lock(rvg.dg, rvg.name):
        exports = host.store.exports(request.dg, request.volume)
        if not exports:
            raise VolrepError(messages.NOT_EXPORTED, volume=request.volume, dg=request.dg, host=host.name)
        folder = host.paths.attach_dir(request.dg, request.volume)
        left = _left_over(host, request.dg, request.volume)
        if left is not None and left.mount == request.mount:
            with host.store.change(Change("attach.add", request, client)):
                host.store.put_attachment(left)
        present = _find(host, request.dg, request.volume)
        if present is not None and attach.is_alive(folder, present.device):
            if present.mount != request.mount:
                where = f" and mounted on {present.mount}" if present.mount else ", not mounted"
                raise VolrepError(messages.ATTACHED_ELSEWHERE, volume=request.volume, dg=request.dg,
                                  device=present.device, where=where)
            return present
        status, _ = await host.supervisor(rvg).status()
        if status is None:  # whatever is started now would only wait
            raise host.supervisor(rvg).absent()
        source = _source(min((export for _, export in exports), key=lambda export: export.listen.startswith("tcp")))
        made = await asyncio.to_thread(_attach, folder, source, request)
        try:
            with host.store.change(Change("attach.add", request, client)):
                host.store.put_attachment(made)
        except VolrepError:
            await asyncio.to_thread(_detach, folder, made)
            raise
        return made


def _find(host: Host, dg: str, volume: str) -> AttachInfo | None:
    return next((found for found in host.store.attachments(dg) if found.volume == volume), None)


def _left_over(host: Host, dg: str, volume: str) -> AttachInfo | None:
    """A device that is there and that nobody remembers: its engine was killed between making and entering it."""
    found = attach.left_over(host.paths.attach_dir(dg, volume)) if _find(host, dg, volume) is None else None
    if found is None:
        return None
    device, mount = found
    return AttachInfo(dg=dg, volume=volume, device=device.path, way=device.way, mount=mount,
                      survives_restart=device.survives_restart)


def _source(export: ExportConfig) -> attach.Source:
    kind, _, where = export.listen.partition(":")
    if kind == "unix":
        return attach.Source(export.volume, where, "", 0)
    address, _, port = where.rpartition(":")
    return attach.Source(export.volume, "", address.strip("[]"), int(port))


def _attach(folder: Path, source: attach.Source, request: AttachAdd) -> AttachInfo:
    """Blocking. Raises VR-1760 to VR-1765; nothing is left then."""
    if request.mount:
        _check_mount_point(request.mount)
    try:
        device = attach.attach(folder, source)
    except DeviceBusy as error:
        raise VolrepError(messages.DEVICE_BUSY, volume=request.volume, device=error.device, by=error.by) from error
    except ToolFailed as error:
        raise VolrepError(messages.ATTACH_NO_WAY, volume=request.volume, reason=error,
                          uri=export_uri(ExportConfig(volume=source.volume, listen=_listen(source)))) from error
    made = AttachInfo(dg=request.dg, volume=request.volume, device=device.path, way=device.way, mount=request.mount,
                      survives_restart=device.survives_restart)
    if request.mount:
        try:
            run("mount", device.path, request.mount)
        except ToolFailed as error:
            _detach(folder, made)
            raise VolrepError(messages.NO_FILE_SYSTEM, volume=request.volume, mount=request.mount,
                              reason=error) from error
    return made


def _listen(source: attach.Source) -> str:
    return f"unix:{source.socket_path}" if source.socket_path else f"tcp:{source.address}:{source.port}"


def _check_mount_point(mount: str) -> None:
    path = Path(mount)
    if not path.is_absolute():
        reason = "it is not an absolute path"
    elif not path.is_dir():
        reason = "it is not an existing directory"
    elif is_mount_point(path):
        reason = "something is mounted there already"
    elif any(path.iterdir()):
        reason = "it is not empty"
    else:
        return
    raise VolrepError(messages.BAD_MOUNT_POINT, mount=mount, reason=reason)


async def remove(host: Host, request: VolumeRef, client: str) -> Nothing:
    present = _find(host, request.dg, request.name) or _left_over(host, request.dg, request.name)
    if present is None:
        return Nothing()
    rvg = data_rvg(host, request.dg, request.name)
    async with host.lock(rvg.dg, rvg.name):
        await asyncio.to_thread(_detach, host.paths.attach_dir(request.dg, request.name), present)
        with host.store.change(Change("attach.remove", request, client)):
            host.store.remove_attachment(request.dg, request.name)
    return Nothing()


def _detach(folder: Path, present: AttachInfo) -> None:
    """Blocking. Raises VR-1763, VR-1761."""
    try:
        attach.detach(folder, present.device, present.mount)
    except DeviceBusy as error:
        raise VolrepError(messages.DEVICE_BUSY, volume=present.volume, device=error.device, by=error.by) from error
    except ToolFailed as error:
        raise VolrepError(messages.DETACH_FAILED, volume=present.volume, device=present.device,
                          reason=error) from error


async def forget_lost(host: Host) -> None:
    """At start: devices that a reboot, or the end of their helper, has taken away are attached no more."""
    for present in host.store.attachments():
        folder = host.paths.attach_dir(present.dg, present.volume)
        if await asyncio.to_thread(attach.is_alive, folder, present.device):
            continue
        await asyncio.to_thread(attach.drop_remains, folder)
        with host.store.change(None):
            host.store.remove_attachment(present.dg, present.volume)
        host.events.happened("attach_lost", f"{present.device} of volume {present.volume} is gone; attach it again",
                             dg=present.dg)
