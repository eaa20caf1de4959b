"""Methods of the control API: hooks of role changes.

They hold no lock of the RVG: a hook calls this engine itself, to attach and detach volumes. Those of one RVG run one
event at a time.
"""

from __future__ import annotations

from volrep.engine.api import HookInfo, HookList
from volrep.engine.hooks import find
from volrep.engine.host import Host
from volrep.engine.store import Change
from volrep.model.errors import VolrepError
from volrep.model.hooks import HookEvent, HookReport, HookRun, took_key
from volrep.model.messages import engine as messages
from volrep.model.status import Took
from volrep.model.worker import Nothing


async def list_hooks(host: Host, _request: Nothing, _client: str) -> HookList:
    return HookList(directory=str(host.hooks.directory), hooks=[
        HookInfo(event=event, name=found.path.name, problem=found.problem)
        for event in HookEvent for found in find(host.hooks.directory, event)])


async def run(host: Host, request: HookRun, client: str) -> HookReport:
    """Raises VR-1730, and VR-1790 when a program failed before the change that it belongs to."""
    report = await run_event(host, request)
    with host.store.change(Change("hook.run", request, client)):
        if not report.problems:
            rvg = host.rvg(request.dg, request.rvg)
            took = Took(seconds=sum(result.seconds for result in report.results))
            host.store.put_rvg(rvg.changed(took=rvg.took | {took_key(request.event): took}))
    if report.problems and request.event.decides:
        raise VolrepError(messages.HOOK_FAILED, event=request.event.value, host=host.name, rvg=request.rvg,
                          problem="; ".join(report.problems), said=report.results[-1].said or "nothing",
                          log=host.hooks.log_path)
    return report


async def run_event(host: Host, request: HookRun) -> HookReport:
    """Also for changes that nobody asked for. Every program that ran is an event. Raises VR-1730."""
    rvg = host.rvg(request.dg, request.rvg)
    arguments = {"dg": rvg.dg, "rvg": rvg.name, "role": request.event.role.value, "peer": request.peer,
                 "reason": request.reason, "volumes": " ".join(rvg.volumes)}
    async with host.hooks_lock(rvg.dg, rvg.name):
        report = await host.hooks.run(request.event, arguments)
    for result in report.results:
        what = f"{request.event.value}/{result.name} ({request.reason}): "
        if result.problem:
            said = f"; its last words: {result.said}" if result.said else ""
            host.events.happened("hook_failed", what + result.problem + said, dg=rvg.dg, rvg=rvg.name)
        else:
            host.events.happened("hook", f"{what}done in {result.seconds:.1f} s", dg=rvg.dg, rvg=rvg.name)
    return report
