"""Verbs that bring an RVG out of FAIL: recover, aslog, volume replace."""

from __future__ import annotations

from volrep.cli.run import Run
from volrep.model.errors import Exit, VolrepError
from volrep.rds import plan_recover
from volrep.rds.step import Plan
from volrep.rds.world import Rds


def recover(run: Run) -> int:
    """Without -f each failed host is tried, whatever becomes of the others; the first error is raised at the end."""
    world = run.observe()
    rds = run.rds(world)
    members = plan_recover.failed_members(world, rds, run.host)
    if not members:
        run.out.say(f"RVG {rds.name} is not in FAIL{' on ' + run.host if run.host else ' on any host that answers'}")
        return Exit.DONE
    if run.force:
        plan, member, damage = plan_recover.plan_give_up(rds, members)
        run.confirm(rvg=rds.name, host=member.host.name, lost=damage.gives_up, found=damage.found)
        _carry_out(run, rds, member.host.name, plan)
        return Exit.DONE
    problems: list[VolrepError] = []
    for member in members:
        try:
            _carry_out(run, rds, member.host.name, plan_recover.plan_recover(rds, member))
        except VolrepError as error:
            problems.append(error)
    for problem in problems[1:]:
        run.out.error(problem)
    if problems:
        raise problems[0]
    return Exit.DONE


def _carry_out(run: Run, rds: Rds, host: str, plan: Plan) -> None:
    for line in plan_recover.next_moves(rds, host, run.carry_out(plan)):
        run.out.say(line)


def aslog(run: Run) -> int:
    rds = run.rds(run.observe())
    member = plan_recover.aslog_member(rds, run.host)
    srl, host = run.argument("srl"), member.host.name
    plan = plan_recover.plan_aslog(rds, member, srl, force=run.force)
    run.confirm(rvg=rds.name, host=host, srl=srl, lost=plan_recover.aslog_loses(member))
    _carry_out(run, rds, host, plan)
    return Exit.DONE


def replace(run: Run) -> int:
    world = run.observe()
    volume, path = run.argument("volume"), run.argument("path")
    dg, host = world.choose_dg(run.dg, run.parsed.verb.name), plan_recover.replace_host(world, run.dg, volume, run.host)
    plan = plan_recover.plan_replace(dg, host, volume, path, force=run.force)
    run.confirm(volume=volume, host=host, what=path or "a fresh, empty file")
    for info in run.carry_out(plan):
        run.out.say(f"{host}: volume {volume} is in use, with what is on it; a link that is STALE now needs a copy: "
                    f"volrep -g {dg} -a startrep {info.rvg}")
    return Exit.DONE
