"""When a Primary here gives way to another host's reign: nothing may go on using its volumes, and hooks are told.

The worker has closed the exports already. A device made of one would wait for it to return, and its applications with
it; so it is cut off, the hooks end what used it, and then it is cleared away.
"""

from __future__ import annotations

import asyncio
import logging

from volrep.engine import attach
from volrep.engine.api import AttachInfo
from volrep.engine.host import Host
from volrep.engine.serve_hooks import run_event
from volrep.engine.store import RvgObject
from volrep.engine.tools import ToolFailed
from volrep.model.errors import VolrepError
from volrep.model.hooks import HookEvent, HookRun
from volrep.model.status import Event

EVENT = "role_acting"  # what a worker says when it has given way

log = logging.getLogger("volrep.engine")


def watch(host: Host, event: Event) -> None:
    """Called with every event of a worker."""
    if event.type == EVENT:
        host.background(gave_way(host, event.dg, event.rvg))


async def gave_way(host: Host, dg: str, name: str) -> None:
    """Never raises: what goes wrong is an event."""
    try:
        rvg = host.rvg(dg, name)
        attached = [found for found in host.store.attachments(dg) if found.volume in rvg.volumes]
        for found in attached:
            await asyncio.to_thread(attach.cut_off, host.paths.attach_dir(dg, found.volume))
        await run_event(host, HookRun(dg=dg, rvg=name, event=HookEvent.POST_DEMOTE, reason="superseded"))
        for found in attached:
            await _clear_away(host, rvg, found)
    except VolrepError as error:
        host.events.happened("hook_failed", f"after giving way: {error.id}: {error.text}", dg=dg, rvg=name)
    except Exception as error:
        log.exception("after %s/%s gave way", dg, name)
        host.events.happened("hook_failed", f"after giving way: {type(error).__name__}: {error}", dg=dg, rvg=name)


async def _clear_away(host: Host, rvg: RvgObject, found: AttachInfo) -> None:
    """Unless a hook has done it."""
    async with host.lock(rvg.dg, rvg.name):
        if found not in host.store.attachments(rvg.dg):
            return
        try:
            left = await asyncio.to_thread(attach.clear_away, host.paths.attach_dir(rvg.dg, found.volume), found.device)
        except ToolFailed as error:
            host.events.happened("attach_lost", f"{found.device} of volume {found.volume} cannot be cleared away: "
                                                f"{error}", dg=rvg.dg, rvg=rvg.name)
            return
        with host.store.change(None):
            host.store.remove_attachment(rvg.dg, found.volume)
        stays = "; it stays until the last process closes it" if left else ""
        host.events.happened("attach_lost", f"{found.device} of volume {found.volume} was taken away: this host is not "
                                            f"the Primary any more{stays}", dg=rvg.dg, rvg=rvg.name)
