"""Verb: engine rebuild."""

from __future__ import annotations

import secrets
import time

from volrep.cli.grammar import check_choice
from volrep.cli.run import Run
from volrep.engine.api import EngineState, FindRequest, Found
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import engine as messages
from volrep.rds import plan_host
from volrep.rds.plan_rebuild import plan_rebuild, plan_repin
from volrep.rds.world import World

SERVE_DEADLINE_S = 30.0  # an engine serves within a second of having its configuration
_POLL_S = 0.1


def rebuild(run: Run) -> int:
    """First the configuration, then, as the engine serves again, the links between it and the other hosts."""
    source = run.attributes.get("from", "copy")
    check_choice(source, run.parsed.verb.keys["from"].values, run.parsed.verb.usage)
    world = run.fleet.observe()
    host = _damaged_host(run, world)
    search = [part for part in run.attributes.get("search", "").split(",") if part]
    found = run.fleet.call(host, "engine.find", FindRequest(search=search))
    assert isinstance(found, Found)
    plan = plan_rebuild(world, host, found, _key, parts=source == "parts")
    if found.problem:
        run.out.say(f"{host}: {found.problem}")
    if plan.steps:
        from_copy = plan.steps[0].do.method == "engine.restore" and found.copied is not None
        run.confirm(host=host, source=f"its copy of change {found.copied.changes}" if from_copy and found.copied else
                    f"{len(plan.steps) - 1} RVGs that were found")
        if run.option("dry_run"):
            run.carry_out(plan)
            return Exit.DONE
        run.carry_out(plan)
        _wait_serving(run, host)
        world = run.fleet.observe()
    repin = plan_repin(world, host, _key)
    run.carry_out(repin)
    if not plan.steps and not repin.steps:
        run.out.say(f"{host}: nothing to do: its configuration is whole, and the hosts that answer know it")
    return Exit.DONE


def _key() -> str:
    return secrets.token_hex(32)


def _damaged_host(run: Run, world: World) -> str:
    """-H, else the only one that is damaged, else as every verb chooses."""
    damaged = [view.name for view in world.hosts if view.problem is not None
               and view.problem.message is messages.STORE_DAMAGED]
    chosen = run.host or (damaged[0] if len(damaged) == 1 else "")
    if chosen in damaged:
        return chosen
    return plan_host.acting_host(world, run.host, run.local_host(), run.parsed.verb.name)


def _wait_serving(run: Run, host: str) -> None:
    """Raises what keeps the engine from serving."""
    end_s = time.monotonic() + SERVE_DEADLINE_S
    while True:
        try:
            status = run.fleet.call(host, "engine.status")
            if status.state is EngineState.SERVING:
                return
            problem = VolrepError(messages.ENGINE_CLOSED, reason=status.problem)
        except VolrepError as error:
            problem = error
        if time.monotonic() > end_s:
            raise problem
        time.sleep(_POLL_S)
