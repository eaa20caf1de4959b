"""Methods of the control API: links."""

from __future__ import annotations

from volrep.engine.api import LinkAdd, LinkOf, LinkSet, LinkStartRequest, RvgInfo
from volrep.engine.host import Host
from volrep.engine.store import Change, RvgObject
from volrep.model.attributes import check_attributes
from volrep.model.config import LinkConfig
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.messages import links as link_messages
from volrep.model.names import check_name
from volrep.model.shape import Shape
from volrep.model.worker import LinkRef, LinkStart, WorkerMethod

LINKS_MAX = 32  # Secondaries of one RVG (volrep.model.worker: what fits one line)


async def add(host: Host, request: LinkAdd, client: str) -> RvgInfo:
    """Said again with the same id, it replaces the link: addresses and certificates may have changed."""
    link = request.link
    check_name("link", link.name)
    check_attributes(link.attributes)
    async with host.lock(request.dg, request.rvg):
        rvg = host.rvg(request.dg, request.rvg)
        present = host.store.links(rvg.dg, rvg.name)
        if link not in present:
            wanted = _with(rvg, present, link)
            await host.change_rvg(rvg, Change("link.add", request, client),
                                  lambda: host.store.set_links(rvg.dg, rvg.name, wanted))
        return await host.info_of(rvg)


def _with(rvg: RvgObject, present: list[LinkConfig], link: LinkConfig) -> list[LinkConfig]:
    if any(other.link_id == link.link_id for other in present):
        return [link if other.link_id == link.link_id else other for other in present]
    for other in present:
        if link.name == other.name or link.remote_host == other.remote_host:
            raise VolrepError(messages.LINK_NAME_TAKEN, rvg=rvg.name, name=other.name, remote_host=other.remote_host)
    if len(present) >= LINKS_MAX:
        raise VolrepError(messages.TOO_MANY_LINKS, rvg=rvg.name, limit=LINKS_MAX)
    return [*present, link]


async def remove(host: Host, request: LinkOf, client: str) -> RvgInfo:
    async with host.lock(request.dg, request.rvg):
        rvg = host.rvg(request.dg, request.rvg)
        present = host.store.links(rvg.dg, rvg.name)
        wanted = [link for link in present if link.link_id != request.link_id]
        if wanted != present:
            await host.change_rvg(rvg, Change("link.remove", request, client),
                                  lambda: host.store.set_links(rvg.dg, rvg.name, wanted))
        return await host.info_of(rvg)


async def set_attributes(host: Host, request: LinkSet, client: str) -> RvgInfo:
    """Those given; the others stay."""
    given = check_attributes(request.attributes)
    async with host.lock(request.dg, request.rvg):
        rvg, link = _find(host, request.dg, request.rvg, request.link_id)
        changed = link.changed(attributes=link.attributes | given)
        if changed != link:
            wanted = _with(rvg, host.store.links(rvg.dg, rvg.name), changed)
            await host.change_rvg(rvg, Change("link.set", request, client),
                                  lambda: host.store.set_links(rvg.dg, rvg.name, wanted))
        return await host.info_of(rvg)


def _find(host: Host, dg: str, rvg_name: str, link_id: str) -> tuple[RvgObject, LinkConfig]:
    rvg = host.rvg(dg, rvg_name)
    for link in host.store.links(dg, rvg_name):
        if link.link_id == link_id:
            return rvg, link
    raise VolrepError(link_messages.LINK_UNKNOWN, rvg=rvg_name, link=link_id)


async def start(host: Host, request: LinkStartRequest, client: str) -> RvgInfo:
    return await _forward(host, WorkerMethod.LINK_START, LinkStart(link_id=request.link_id, method=request.method),
                          request, Change("link.start", request, client))


async def stop(host: Host, request: LinkOf, client: str) -> RvgInfo:
    return await _forward(host, WorkerMethod.LINK_STOP, LinkRef(link_id=request.link_id), request,
                          Change("link.stop", request, client))


async def pause(host: Host, request: LinkOf, client: str) -> RvgInfo:
    return await _forward(host, WorkerMethod.LINK_PAUSE, LinkRef(link_id=request.link_id), request,
                          Change("link.pause", request, client))


async def resume(host: Host, request: LinkOf, client: str) -> RvgInfo:
    return await _forward(host, WorkerMethod.LINK_RESUME, LinkRef(link_id=request.link_id), request,
                          Change("link.resume", request, client))


async def _forward(host: Host, method: WorkerMethod, params: Shape, of: LinkOf | LinkStartRequest,
                   change: Change) -> RvgInfo:
    """The worker keeps the state of its links; the store keeps who changed it."""
    async with host.lock(of.dg, of.rvg):
        rvg, _ = _find(host, of.dg, of.rvg, of.link_id)
        await host.supervisor(rvg).call(method, params)
        with host.store.change(change):
            pass  # nothing but the line of history
        return await host.info_of(rvg)
