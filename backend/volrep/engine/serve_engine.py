"""Methods of the control API: the engine itself, its events and its history."""

from __future__ import annotations

from volrep.engine.api import (
    PROTOCOL,
    EngineStatus,
    EventList,
    EventsRequest,
    Hello,
    HistoryList,
    Scope,
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


async def list_events(host: Host, request: EventsRequest, _client: str) -> EventList:
    found = await host.events.wait_after(request.after_id, request.limit, request.dg, request.rvg, request.wait_s)
    return EventList(events=found, last_id=found[-1].id if found else max(request.after_id, host.events.last_id()))


async def list_history(host: Host, request: Scope, _client: str) -> HistoryList:
    return HistoryList(entries=host.store.history(request.dg, request.name))
