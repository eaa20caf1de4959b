"""Methods of the control API: the role of an RVG.

The SRL's header says what the role is; the store only remembers it, for what is decided while no worker answers. So the
worker changes first, and the store follows whatever a worker's status says (`Host.note_role`): a crash between the two
is mended by the next status.
"""

from __future__ import annotations

from volrep.engine.api import (
    RvgDemote,
    RvgDemoted,
    RvgDivergenceOf,
    RvgInfo,
    RvgMakesec,
    RvgPromote,
    RvgRef,
    RvgSet,
)
from volrep.engine.host import Host
from volrep.engine.serve_exports import check_detached
from volrep.engine.store import Change
from volrep.model.attributes import check_rvg_attributes
from volrep.model.config import Startup
from volrep.model.shape import Shape
from volrep.model.status import RvgStatus, Took
from volrep.model.worker import Demote, Divergence, DivergenceRequest, Makesec, Nothing, Promote, WorkerMethod


async def demote(host: Host, request: RvgDemote, client: str) -> RvgDemoted:
    """Raises VR-1766 while a volume is attached; what the worker refuses has changed nothing."""
    async with host.lock(request.dg, request.rvg):
        rvg = host.rvg(request.dg, request.rvg)
        check_detached(host, request.dg, rvg.volumes)
        params = Demote(drain=request.drain, link_id=request.link_id, wait_s=request.wait_s)
        before, _ = await host.supervisor(rvg).status()
        missing_bytes = sum(link.behind_bytes for link in (before.links if before is not None else [])
                            if link.link_id == request.link_id)
        status = await _ask(host, WorkerMethod.DEMOTE, params, request, Change("rvg.demote", request, client),
                            missing_bytes)
        info = await host.info_of(host.rvg(request.dg, request.rvg))
        return RvgDemoted(info=info, end_lsn=status.srl.end_lsn)


async def promote(host: Host, request: RvgPromote, client: str) -> RvgInfo:
    async with host.lock(request.dg, request.rvg):
        params = Promote.from_data({key: value for key, value in request.data().items() if key not in ("dg", "rvg")})
        await _ask(host, WorkerMethod.PROMOTE, params, request, Change("rvg.promote", request, client))
        return await host.info_of(host.rvg(request.dg, request.rvg))


async def makesec(host: Host, request: RvgMakesec, client: str) -> RvgInfo:
    """Raises VR-1766 while a volume is attached, unless forced."""
    async with host.lock(request.dg, request.rvg):
        if not request.force:
            check_detached(host, request.dg, host.rvg(request.dg, request.rvg).volumes)
        await _ask(host, WorkerMethod.MAKESEC, Makesec(force=request.force), request,
                   Change("rvg.makesec", request, client))
        return await host.info_of(host.rvg(request.dg, request.rvg))


async def serve(host: Host, request: RvgRef, client: str) -> RvgInfo:
    async with host.lock(request.dg, request.name):
        rvg = host.rvg(request.dg, request.name)
        await host.supervisor(rvg).call(WorkerMethod.SERVE, Nothing())
        with host.store.change(Change("rvg.serve", request, client)):
            pass  # nothing but the line of history
        return await host.info_of(rvg)


async def set_attributes(host: Host, request: RvgSet, client: str) -> RvgInfo:
    """Raises VR-1020, VR-1022."""
    given = check_rvg_attributes(request.attributes)
    async with host.lock(request.dg, request.rvg):
        rvg = host.rvg(request.dg, request.rvg)
        changed = rvg.changed(startup=Startup(given.get("startup", rvg.startup)))
        if changed != rvg:
            with host.store.change(Change("rvg.set", request, client)):
                host.store.put_rvg(changed)
            await host.supervisor(changed).reconfigure()
        return await host.info_of(changed)


async def divergence(host: Host, request: RvgDivergenceOf, _client: str) -> Divergence:
    rvg = host.rvg(request.dg, request.rvg)
    asked = DivergenceRequest(after=request.after, limit=request.limit)
    return Divergence.from_data(await host.supervisor(rvg).call(WorkerMethod.DIVERGENCE, asked))


async def _ask(host: Host, method: WorkerMethod, params: Shape, of: RvgDemote | RvgPromote | RvgMakesec,
               change: Change, missing_bytes: int = 0) -> RvgStatus:
    """The worker changes the role, the store notes it, who asked and how long it took."""
    rvg, began_s = host.rvg(of.dg, of.rvg), host.clock.monotonic_s()
    status = RvgStatus.from_data(await host.supervisor(rvg).call(method, params))
    took = Took(seconds=host.clock.monotonic_s() - began_s, bytes=missing_bytes)
    with host.store.change(change):
        kept = host.rvg(of.dg, of.rvg)  # hooks note their time beside this
        done = {change.method: took} if status.role != rvg.role else {}  # else it found its work done
        host.store.put_rvg(kept.changed(role=status.role, took=kept.took | done))
    return status
