"""Methods of the control API: the engine itself, its events and its history."""

from __future__ import annotations

from volrep.engine.api import (
    PROTOCOL,
    EngineStatus,
    EventList,
    EventsRequest,
    FindRequest,
    Found,
    Hello,
    HistoryList,
    RestoreRequest,
    Scope,
    TakeRequest,
)
from volrep.engine.host import Host
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.worker import Nothing


async def hello(host: Host, request: Hello, _client: str) -> EngineStatus:
    if request.protocol != PROTOCOL:
        raise VolrepError(messages.PROTOCOL_DIFFERS, ours=PROTOCOL, theirs=request.protocol)
    return host.status()


async def status(host: Host, _request: Nothing, _client: str) -> EngineStatus:
    return host.status()


async def stop(host: Host, _request: Nothing, client: str) -> Nothing:
    """Answered at once; the conversation ends when all workers have ended."""
    host.events.happened("engine_stop", f"asked to stop by {client or 'a client'}")
    host.stopping.set()
    return Nothing()


async def find(host: Host, request: FindRequest, _client: str) -> Found:
    status = host.status()
    return await host.rebuilder.find(status.state, status.problem, status.port, request)


async def take(host: Host, request: TakeRequest, _client: str) -> Nothing:
    _check_empty(host)
    await host.rebuilder.take(request)
    return Nothing()


async def restore(host: Host, request: RestoreRequest, client: str) -> EngineStatus:
    """On an engine that has nothing configured: a host set up afresh on the disks of one that was lost."""
    if request.from_copy:
        raise VolrepError(messages.NOTHING_LOST, host=host.name, what="the engine serves it")
    _check_empty(host)
    host.rebuilder.fill(host.store, request, client, {})
    for rvg in host.store.rvgs():
        host.supervise(rvg)
    return host.status()


def _check_empty(host: Host) -> None:
    rvgs, volumes = host.store.rvgs(), host.store.volumes()
    if rvgs or volumes:
        raise VolrepError(messages.NOTHING_LOST, host=host.name, what=f"{len(rvgs)} RVGs, {len(volumes)} volumes")


async def list_events(host: Host, request: EventsRequest, _client: str) -> EventList:
    found = await host.events.wait_after(request.after_id, request.limit, request.dg, request.rvg, request.wait_s)
    return EventList(events=found, last_id=found[-1].id if found else max(request.after_id, host.events.last_id()))


async def list_history(host: Host, request: Scope, _client: str) -> HistoryList:
    return HistoryList(entries=host.store.history(request.dg, request.name))
