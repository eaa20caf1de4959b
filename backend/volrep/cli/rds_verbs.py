"""Verbs of RDSs and their replication: createpri to repstatus."""

from __future__ import annotations

from volrep.cli import show
from volrep.cli.run import Run
from volrep.model.config import StartMethod
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import usage
from volrep.rds import plan_host, plan_links, plan_rds, report
from volrep.rds.plan_rds import Wanted
from volrep.rds.world import Rds, World


def _wanted(run: Run, world: World) -> Wanted:
    return plan_rds.wanted_rvg(world.choose_dg(run.dg, run.parsed.verb.name), run.argument("rvg"),
                               run.argument("volumes"), run.argument("srl"))


def createpri(run: Run) -> int:
    world = run.observe()
    wanted = _wanted(run, world)
    host = _primary_host(run, world, wanted)
    run.carry_out(plan_rds.plan_createpri(world, host, wanted, run.fresh()))
    return Exit.DONE


def _primary_host(run: Run, world: World, wanted: Wanted) -> str:
    """-H, else the local engine, else the only host that has all the volumes."""
    holders = [view.name for view in world.answering()
               if all(view.volume(wanted.dg, name) for name in (*wanted.volumes, wanted.srl))]
    preferred = run.local_host() or (holders[0] if len(holders) == 1 else "")
    return plan_host.acting_host(world, run.host, preferred, run.parsed.verb.name)


def addsec(run: Run) -> int:
    world = run.observe()
    rds = run.rds(world)
    run.carry_out(plan_rds.plan_addsec(world, rds, run.argument("primary"), run.argument("secondary"),
                                       run.attributes, run.fresh))
    return Exit.DONE


def setup(run: Run) -> int:
    world = run.observe()
    wanted = _wanted(run, world)
    run.carry_out(plan_rds.plan_setup(world, wanted, run.argument("primary"), run.argument("secondary"),
                                      run.attributes, run.fresh()))
    if run.option("wait") and not run.option("dry_run"):
        from volrep.cli.progress import wait_consistent

        return wait_consistent(run, wanted.dg, wanted.name, run.argument("secondary"))
    return Exit.DONE


def delsec(run: Run) -> int:
    world = run.observe()
    rds = run.rds(world)
    secondary = rds.choose_secondary(run.argument("secondary"))
    plan = plan_rds.plan_delsec(world, rds, secondary, run.fresh, force=run.force)
    run.confirm(host=secondary, rvg=rds.name)
    run.carry_out(plan)
    return Exit.DONE


def delpri(run: Run) -> int:
    rds = run.rds(run.observe())
    plan = plan_rds.plan_delpri(rds, force=run.force)
    run.confirm(rvg=rds.name, dg=rds.dg, host=rds.primary().host.name)
    run.carry_out(plan)
    return Exit.DONE


def printrvg(run: Run) -> int:
    world = run.observe()
    document = report.printrvg(world, _sets(run, world))
    if run.as_json:
        run.out.json(document)
    else:
        run.out.print(show.printrvg(document, long=bool(run.option("long"))))
    return Exit.DONE if document["rds"] or not document["config_errors"] else Exit.UNREACHABLE


def printvol(run: Run) -> int:
    world = run.observe()
    document = report.printvol(_sets(run, world))
    if run.as_json:
        run.out.json(document)
    else:
        run.out.print(show.printvol(document))
    return Exit.DONE if document["rds"] or not world.silent() else Exit.UNREACHABLE


def _sets(run: Run, world: World) -> list[Rds]:
    """All, or the one named, which must be there."""
    name = run.argument("rvg")
    if name and not world.all_rds(run.dg, [name]):
        world.rds(run.dg, name)
    return [rds for rds in world.all_rds(run.dg, [name] if name else [])
            if not run.host or rds.member(run.host) is not None]


def _method(run: Run) -> StartMethod:
    """Raises VR-1016 (none given), VR-1017, VR-1001 (several)."""
    if run.option("checkpoint"):
        raise VolrepError(usage.CHECKPOINT_NOT_YET)
    given = [method for method, name in ((StartMethod.AUTOSYNC, "autosync"), (StartMethod.BLANK, "blank"),
                                         (StartMethod.FORCE, "force")) if run.option(name)]
    if not given:
        raise VolrepError(usage.NO_METHOD)
    if len(given) > 1:
        raise VolrepError(usage.USAGE, problem="startrep takes one of -a, -b, -f", usage=run.parsed.verb.usage)
    return given[0]


def startrep(run: Run) -> int:
    method = _method(run)
    rds = run.rds(run.observe())
    secondary = rds.choose_secondary(run.argument("secondary"))
    plan = plan_links.plan_startrep(rds, secondary, method)
    lost, asks = plan_links.overwritten(rds, secondary)
    if plan.steps and lost:
        run.out.say(f"given up: {lost}\n"
                    f"only what differs is copied by: volrep -g {rds.dg} fbsync {rds.name} {secondary}")
    if plan.steps and asks:
        run.confirm(rvg=rds.name, host=secondary, lost=lost)
    run.carry_out(plan)
    if run.option("dry_run"):
        return Exit.DONE
    if run.option("wait"):
        from volrep.cli.progress import wait_consistent

        return wait_consistent(run, rds.dg, rds.name, secondary)
    if plan.steps:
        run.out.say(f"started; `volrep -g {rds.dg} repstatus {rds.name}` shows how far it is")
    return Exit.DONE


def stoprep(run: Run) -> int:
    rds = run.rds(run.observe())
    secondary = rds.choose_secondary(run.argument("secondary"))
    plan = plan_links.plan_stoprep(rds, secondary)
    if plan.steps:
        run.confirm(rvg=rds.name, host=secondary)
    run.carry_out(plan)
    return Exit.DONE


def pauserep(run: Run) -> int:
    run.carry_out(plan_links.plan_pauserep(run.rds(run.observe()), run.argument("secondary")))
    return Exit.DONE


def resumerep(run: Run) -> int:
    run.carry_out(plan_links.plan_resumerep(run.rds(run.observe()), run.argument("secondary")))
    return Exit.DONE


def set_attributes(run: Run) -> int:
    if not run.attributes:
        raise VolrepError(usage.USAGE, problem="set needs at least one attribute=value", usage=run.parsed.verb.usage)
    world = run.observe()
    run.carry_out(plan_links.plan_set(world, run.rds(world), run.argument("secondary"), run.attributes))
    return Exit.DONE


def repstatus(run: Run) -> int:
    world = run.observe(events=True)
    document = report.repstatus(world, run.rds(world))
    if run.as_json:
        run.out.json(document)
    else:
        run.out.print(show.repstatus(document, long=bool(run.option("long"))))
    return Exit.DONE
