"""Methods of the control API: exports of data volumes over NBD."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

from volrep.engine.api import ExportAdd, ExportInfo, ExportList, ExportRemove, Scope
from volrep.engine.host import Host
from volrep.engine.paths import check_socket_path
from volrep.engine.store import Change, RvgObject
from volrep.model.config import ExportConfig, Role
from volrep.model.errors import VolrepError
from volrep.model.messages import access
from volrep.model.messages import engine as messages
from volrep.model.status import RoleFlag, RvgStatus
from volrep.model.worker import Nothing

EXPORTS_MAX = 8  # of one volume: a unix socket and a few addresses
_TCP = re.compile(r"tcp:(?:[0-9A-Za-z.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([1-9][0-9]{0,4})")


def export_uri(export: ExportConfig) -> str:
    """What NBD clients are given."""
    kind, _, where = export.listen.partition(":")
    if kind == "unix":
        return f"nbd+unix:///{export.volume}?socket={quote(where)}"
    return f"nbd://{where}/{export.volume}"


def closed_because(status: RvgStatus | None, problem: str, export: ExportConfig) -> str:
    """Why nobody listens at an export; "" when somebody does. `problem`: why there is no status."""
    if status is None:
        return f"its RVG is not running: {problem}" if problem else "its RVG is not running"
    _, _, where = export.listen.partition(":")
    end = f"?socket={quote(where)}" if export.listen.startswith("unix:") else \
        f":{where.rpartition(':')[2]}/{quote(export.volume, safe='')}"
    if any(uri.endswith(end) for volume in status.volumes if volume.name == export.volume for uri in volume.exported):
        return ""
    if RoleFlag.ACTING_SECONDARY in status.role_flags:
        other = status.superseded_by.host if status.superseded_by is not None else ""
        return f"{status.host} is an acting Secondary: superseded" + (f", as {other} says" if other else "")
    if status.role is Role.SECONDARY:
        return f"{status.host} is a Secondary"
    if status.asking:
        return f"{status.host} waits for {', '.join(status.asking)} to answer before it serves"
    return status.reason or "nobody listens there; the events say why"


def check_listen(listen: str) -> str:
    """The form only: the worker knows whether it can. Raises VR-1600, VR-1707."""
    if listen.startswith("unix:/"):
        check_socket_path(Path(listen.removeprefix("unix:")))
        return listen
    port = _TCP.fullmatch(listen)
    if port is None or int(port[1]) > 65535:
        raise VolrepError(access.LISTEN_BAD, listen=listen)
    return listen


def connections(status: RvgStatus | None, volume: str) -> int:
    if status is None:
        return 0
    return sum(found.open_connections for found in status.volumes if found.name == volume)


def data_rvg(host: Host, dg: str, volume: str) -> RvgObject:
    """The RVG of a data volume. Raises VR-1732, VR-1751."""
    if host.store.volume(dg, volume) is None:
        raise VolrepError(messages.VOLUME_UNKNOWN, dg=dg, volume=volume, host=host.name)
    rvg, use = host.rvg_using(dg, volume)
    if rvg is None or use != "data":
        raise VolrepError(messages.NOT_IN_RVG, volume=volume, dg=dg, host=host.name)
    return rvg


async def add(host: Host, request: ExportAdd, client: str) -> ExportInfo:
    rvg = data_rvg(host, request.dg, request.volume)
    async with host.lock(rvg.dg, rvg.name):
        rvg = data_rvg(host, request.dg, request.volume)
        if rvg.role is not Role.PRIMARY:
            raise VolrepError(messages.SECONDARY_NOT_EXPORTED, volume=request.volume, rvg=rvg.name, host=host.name)
        listen = check_listen(request.listen or f"unix:{host.paths.nbd_socket(request.dg, request.volume)}")
        supervisor = host.supervisor(rvg)
        present = [export.listen for _, export in host.store.exports(request.dg, request.volume)]
        if listen not in present:
            _check_room(host, request.volume, listen, present)
            status, _ = await supervisor.status()
            if status is None:  # nobody would listen when this returns
                raise supervisor.absent()
            await host.change_rvg(rvg, Change("export.add", request, client),
                                  lambda: host.store.set_exports(request.dg, request.volume, [*present, listen]))
        status, problem = await supervisor.status()
    config = ExportConfig(volume=request.volume, listen=listen)
    return ExportInfo(dg=rvg.dg, rvg=rvg.name, config=config, uri=export_uri(config),
                      connections=connections(status, request.volume), closed=closed_because(status, problem, config))


def _check_room(host: Host, volume: str, listen: str, present: list[str]) -> None:
    for _, export in host.store.exports():
        if export.listen == listen:
            raise VolrepError(messages.LISTEN_TAKEN, listen=listen, volume=export.volume)
    if len(present) >= EXPORTS_MAX:
        raise VolrepError(messages.TOO_MANY_EXPORTS, volume=volume, limit=EXPORTS_MAX)


async def remove(host: Host, request: ExportRemove, client: str) -> Nothing:
    if not host.store.exports(request.dg, request.name):
        drop_sockets(host)
        return Nothing()
    rvg = data_rvg(host, request.dg, request.name)
    async with host.lock(rvg.dg, rvg.name):
        check_detached(host, request.dg, [request.name])
        if not request.force:
            check_unused(request.name, [request.name], (await host.supervisor(rvg).status())[0])
        await host.change_rvg(rvg, Change("export.remove", request, client),
                              lambda: host.store.set_exports(request.dg, request.name, []))
    drop_sockets(host)
    return Nothing()


def drop_sockets(host: Host) -> None:
    """Sockets of exports that are no more: a worker that was killed could not remove its own."""
    used = {export.listen for _, export in host.store.exports()}
    for path in host.paths.nbd.glob("*.sock"):
        if f"unix:{path}" not in used:
            path.unlink(missing_ok=True)


def check_unused(what: str, volumes: list[str], status: RvgStatus | None) -> None:
    """Raises VR-1750 when applications have the volumes open."""
    if used := sum(connections(status, volume) for volume in volumes):
        raise VolrepError(messages.EXPORTS_IN_USE, volume=what, connections=used)


def check_detached(host: Host, dg: str, volumes: list[str]) -> None:
    """Raises VR-1766."""
    for attached in host.store.attachments(dg):
        if attached.volume in volumes:
            raise VolrepError(messages.STILL_ATTACHED, volume=attached.volume, dg=dg, device=attached.device)


async def list_exports(host: Host, request: Scope, _client: str) -> ExportList:
    """`name` may be a volume or an RVG."""
    listed = []
    statuses: dict[tuple[str, str], tuple[RvgStatus | None, str]] = {}
    for dg, export in host.store.exports(request.dg):
        rvg = data_rvg(host, dg, export.volume)
        if request.name not in ("", export.volume, rvg.name):
            continue
        if (dg, rvg.name) not in statuses:
            statuses[dg, rvg.name] = await host.supervisor(rvg).status()
        status, problem = statuses[dg, rvg.name]
        listed.append(ExportInfo(dg=dg, rvg=rvg.name, config=export, uri=export_uri(export),
                                 connections=connections(status, export.volume),
                                 closed=closed_because(status, problem, export)))
    return ExportList(exports=listed)
