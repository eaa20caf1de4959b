"""Verbs of the Primary role: validate, migrate, takeover, fbsync, makesec, elect, serve, divergence, firedrill.

All of them look at every host first and show them side by side: with --dry-run, before they ask, and when they refuse.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from volrep.cli import role_show
from volrep.cli.run import Run
from volrep.engine.api import AttachList, HookList, RvgDivergenceOf, Scope
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import rds as messages
from volrep.rds import plan_failback, plan_roles, report, report_roles
from volrep.rds.readiness import Item, Mark, for_migrate, for_takeover
from volrep.rds.sites import Sites, sites_of
from volrep.rds.step import Plan
from volrep.rds.strays import given_up_words, has_strayed

REGIONS_SHOWN = 1000  # of a listing, unless --limit says another number


def _sites(run: Run) -> Sites:
    """All hosts, and what those that answer say of hooks and attached volumes."""
    world = run.observe()
    rds = run.rds(world)

    def ask(host: str) -> tuple[HookList, AttachList]:
        return run.fleet.call(host, "hook.list"), run.fleet.call(host, "attach.list", Scope(dg=rds.dg))

    known = {host: answer for host, answer in run.fleet.ask(ask, [m.host.name for m in rds.members]).items()
             if not isinstance(answer, VolrepError)}
    volumes = {volume.name for member in rds.members for volume in member.info.config.volumes}
    attached = {host: [found.volume for found in answer[1].attached if found.volume in volumes]
                for host, answer in known.items()}
    return sites_of(world, rds, {host: answer[0] for host, answer in known.items()}, attached)


def _do(run: Run, sites: Sites, host: str, items: list[Item], make: Callable[[], Plan], **values: str) -> int:
    """Plan, show, ask, drive. A refusal is shown with all that led to it."""
    plan, problem = None, None
    try:
        plan = make()
    except VolrepError as error:
        problem = error
    else:  # what was in the way is not any more: an earlier run got behind it
        items = [item for item in items if item.mark is not Mark.NO]
    verb = run.parsed.verb.name
    document = report_roles.review(sites, verb, host, items, plan, problem, time.time_ns())
    if run.option("dry_run"):
        return _show_plan(run, document, problem)
    if plan is None or problem is not None:
        run.out.say(role_show.side_by_side(document["sites"]) + "\n\n" + role_show.items(document["items"]))
        raise problem if problem is not None else AssertionError("a plan or a problem")
    if not plan.steps:
        run.carry_out(plan)
        return Exit.DONE
    _say_before(run, document)
    run.confirm(rvg=sites.rds.name, host=host, lost="; ".join(document["lost"]), **values)
    run.carry_out(plan, numbered=True)
    return Exit.DONE


def _show_plan(run: Run, document: dict[str, Any], problem: VolrepError | None) -> int:
    if run.as_json:
        run.out.json(document)
        return Exit.DONE if problem is None else problem.exit
    run.out.print(role_show.review(document))
    if problem is not None:
        raise problem
    return Exit.DONE


def _say_before(run: Run, document: dict[str, Any]) -> None:
    """All hosts side by side where somebody may read it before answering; the warnings everywhere."""
    if run.asks:
        run.out.say(role_show.side_by_side(document["sites"]) + "\n")
    worth = [item for item in document["items"] if item["mark"] not in ("ok",)]
    if worth:
        run.out.say(role_show.items(worth))
    if document["verb"] != "migrate":
        run.out.say(role_show.lost(document))


# ---- looking


def validate(run: Run) -> int:
    """Exit 3 when a host is not ready for something: a monitor may ask every minute."""
    document = report_roles.validate(_sites(run), time.time_ns())
    if run.as_json:
        run.out.json(document)
    else:
        run.out.print(role_show.validate(document))
    return Exit.DONE if report_roles.all_ready(document) else Exit.REFUSED


def divergence(run: Run) -> int:
    """What a host wrote that the Primary of the set does not have."""
    sites = _sites(run)
    rds = sites.rds
    host = run.argument("secondary") or run.host or next((site.host for site in (*sites.acting, *sites.primaries)), "")
    if sites[host].member is None:
        raise VolrepError(messages.NOT_ACTING, host=host or "nobody", rvg=rds.name, dg=rds.dg,
                          found=sites[host].problem)
    listed = bool(run.option("regions"))
    limit = run.number("limit", REGIONS_SHOWN) if listed else 1
    found = run.fleet.call(host, "rvg.divergence", RvgDivergenceOf(dg=rds.dg, rvg=rds.name,
                                                                   after=run.number("after", 0), limit=limit))
    document = {"dg": rds.dg, "rvg": rds.name, "host": host, **found.data(),
                "since_fork": report.since_fork_document(found.since_fork), "strayed": _strayed(sites, host)}
    if not listed:
        document |= {"regions": [], "next": 0}
    if run.as_json:
        run.out.json(document)
        return Exit.DONE
    run.out.print(role_show.divergence(document))
    if document["next"]:
        run.out.say(f"there are more: --after {found.next}")
    return Exit.DONE


def _strayed(sites: Sites, host: str) -> str:
    """What a Secondary holds of a reign that was given up, in words; its own host knows of no fork."""
    primary, member = sites.primary, sites[host].member
    if primary is None or primary.member is None or member is None or not has_strayed(primary.member, member):
        return ""
    return given_up_words(primary.status, member)


# ---- moving the role


def migrate(run: Run) -> int:
    sites, host = _sites(run), run.argument("primary")
    drain = bool(run.option("drain"))
    old = sites.primary.host if sites.primary is not None else "nobody"
    return _do(run, sites, host, for_migrate(sites, host, drain=drain),
               lambda: plan_roles.plan_migrate(sites, host, run.fresh, drain=drain), old=old)


def takeover(run: Run) -> int:
    sites = _sites(run)
    if run.option("candidates"):
        return _candidates(run, sites)
    host, now_ns = _heir(run, sites), time.time_ns()
    return _do(run, sites, host, for_takeover(sites, host, now_ns),
               lambda: plan_roles.plan_takeover(sites, host, run.fresh, now_ns, force=run.force,
                                                failback=not run.option("no_failback"),
                                                autofb=bool(run.option("autofb"))))


def _heir(run: Run, sites: Sites) -> str:
    """The host named, else -H, else this machine's when it is one, else the only Secondary. Raises VR-1305, VR-1306."""
    if given := run.argument("secondary") or run.host:
        return given
    local = run.local_host()
    able = [site.host for site in sites.secondaries]
    if local in able:
        return local
    return able[0] if len(able) == 1 else sites.rds.choose_secondary("")


def _candidates(run: Run, sites: Sites) -> int:
    document = report_roles.candidates(sites, time.time_ns())
    if run.as_json:
        run.out.json(document)
    else:
        run.out.print(role_show.candidates(document))
    return Exit.DONE if document["best"] else Exit.REFUSED


# ---- and back


def fbsync(run: Run) -> int:
    sites, host = _sites(run), run.argument("secondary")
    back = sites.returning()
    host = host or (back[0].host if len(back) == 1 else "")
    code = _do(run, sites, host, [], lambda: plan_failback.plan_fbsync(sites, host, run.fresh))
    return _wait(run, sites, host, code)


def makesec(run: Run) -> int:
    sites, survivor = _sites(run), run.argument("primary")
    losers = [site.host for site in (*sites.primaries, *sites.acting) if site.host != survivor]
    host = run.host or (losers[0] if len(losers) == 1 else "")
    return _do(run, sites, survivor, [],
               lambda: plan_failback.plan_makesec(sites, host, survivor, run.fresh, force=run.force),
               loser=host or "nobody")


def elect(run: Run) -> int:
    sites, survivor = _sites(run), run.argument("primary")
    losers = [site.host for site in plan_failback.giving_way(sites, survivor)]
    code = _do(run, sites, survivor, [], lambda: plan_failback.plan_elect(sites, survivor, run.fresh),
               losers=" and ".join(losers) or "nobody")
    for host in losers:
        code = _wait(run, sites, host, code)
    return code


def _wait(run: Run, sites: Sites, host: str, code: int) -> int:
    if code != Exit.DONE or not run.option("wait") or run.option("dry_run"):
        return code
    from volrep.cli.progress import wait_consistent

    return wait_consistent(run, sites.rds.dg, sites.rds.name, host)


def serve(run: Run) -> int:
    """A Primary that waits for its peers serves, on the operator's word."""
    sites = _sites(run)
    plan = plan_roles.plan_serve(sites, run.host)
    if not plan.steps:
        run.out.say(f"no host of RVG {sites.rds.name} waits for its peers")
        return Exit.DONE
    waiting = [step.do.host for step in plan.steps]
    run.confirm(typed=waiting[0], rvg=sites.rds.name, host=" and ".join(waiting))
    run.carry_out(plan)
    return Exit.DONE


def firedrill(run: Run) -> int:
    """Always refused in this version, with what can be known without a drill."""
    sites = _sites(run)
    host = _heir(run, sites)
    items = for_takeover(sites, host, time.time_ns())
    run.out.say(role_show.items([report_roles.item_document(item) for item in items]))
    raise VolrepError(messages.DRILL_NOT_YET, host=host, rvg=sites.rds.name, dg=sites.rds.dg)
