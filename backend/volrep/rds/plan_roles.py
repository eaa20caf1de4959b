"""Plans that move the Primary role: migrate, and takeover when the Primary is lost. Pure.

The order of a migrate keeps the promise that at no instant two hosts are Primary: hooks and demote on the old one, then
promote on the new one, which begins exactly where the old one ended; then everybody follows. Before the promote
everything can be taken back; behind it there is only forward, and the same command again does what is missing.
"""

from __future__ import annotations

from volrep.engine.api import RvgRef
from volrep.model.config import LinkConfig, StartMethod
from volrep.model.errors import VolrepError
from volrep.model.hooks import HookEvent
from volrep.model.messages import rds as messages
from volrep.model.status import LinkState
from volrep.model.worker import PromoteHow
from volrep.rds.readiness import Item, Mark, for_migrate, for_takeover
from volrep.rds.role_steps import New, demote_step, hook_steps, pairs, promote_call, start_step
from volrep.rds.sites import Site, Sites
from volrep.rds.step import Call, Plan, Step


def require(sites: Sites, verb: str, host: str, items: list[Item]) -> None:
    """Raises VR-1360 with every reason."""
    bad = [item for item in items if item.mark is Mark.NO]
    if bad:
        raise VolrepError(messages.NOT_READY, verb=verb, rvg=sites.rds.name, host=host,
                          reasons="; ".join(f"{item.what}: {item.says}" for item in bad),
                          remedy=next(item.remedy for item in bad if item.remedy))


# ---- serve


def plan_serve(sites: Sites, host: str) -> Plan:
    """Primaries (or only `host`) that wait for the other hosts' answers open for I/O. Empty when none waits.

    Raises VR-1361 when another host that answers is the Primary: whoever waits becomes its Secondary by itself.
    """
    waiting = [site for site in sites.primaries if site.status is not None and site.status.asking
               and host in ("", site.host)]
    reigning = [site.host for site in sites.primaries if site.status is not None and not site.status.asking]
    if waiting and reigning:
        names = " and ".join(site.host for site in waiting)
        raise VolrepError(messages.PRIMARY_LIVES, rvg=sites.rds.name, says=f"{reigning[0]} answers and is the Primary",
                          remedy=f"restore the network between {reigning[0]} and {names}, which then follows by "
                                 f"itself; or make sure that {reigning[0]} is stopped")
    return Plan(tuple(Step(f"{site.host}: serve without waiting for the other hosts",
                           Call(site.host, "rvg.serve", RvgRef(dg=sites.rds.dg, name=sites.rds.name)))
                      for site in waiting))


# ---- migrate


def plan_migrate(sites: Sites, host: str, new: New, *, drain: bool) -> Plan:
    """Raises VR-1360, VR-1367."""
    target, primary = sites[host], sites.primary
    if target.is_primary and primary is not None:
        return _finish(sites, target, "migrate", new)
    if not sites.primaries and (former := _demoted(sites)) is not None:
        return _go_on(sites, former, target, new)
    require(sites, "migrate", host, for_migrate(sites, host, drain=drain))
    assert primary is not None
    others = sites.others(host)
    made, ids = pairs(sites, host, others, primary.link_to(host), new)
    steps = [
        *made,
        *hook_steps(sites, primary.host, HookEvent.PRE_DEMOTE, "migrate", host),
        demote_step(sites, primary, target, new, drain=drain),
        *hook_steps(sites, primary.host, HookEvent.POST_DEMOTE, "migrate", host),
        *hook_steps(sites, host, HookEvent.PRE_PROMOTE, "migrate", primary.host),
        _promote(sites, host, promote_call(sites, host, PromoteHow.MIGRATE, new, learned=True)),
        *_follow(sites, host, [other for other in others if _replicates(primary, other)], ids),
        *hook_steps(sites, host, HookEvent.POST_PROMOTE, "migrate", primary.host)]
    return Plan(tuple(steps), (*_left_out(primary, others), *_application(sites, host)))


def _promote(sites: Sites, host: str, call: Call) -> Step:
    """Whatever the size of the SRL: only what is in memory is logged and applied before the exports open."""
    return Step(f"{host}: become the Primary, open for I/O", call, final=True,
                estimate_s=sites[host].took_s(call.method))


def _replicates(primary: Site, other: Site) -> bool:
    """Whether it is to follow: the old Primary itself, and those whose replication nobody stopped or paused."""
    status = primary.link_status(other.host)
    return other.host == primary.host or (status is not None and status.state is LinkState.ACTIVE)


def _left_out(primary: Site, others: list[Site]) -> list[str]:
    return [f"replication to {other.host} was not running, and does not start by itself"
            for other in others if not _replicates(primary, other)]


def _follow(sites: Sites, host: str, others: list[Site], ids: dict[str, str]) -> list[Step]:
    """Everybody who can without a copy; a host that does not answer is dialled until it does."""
    return [start_step(sites, host, other.host, ids[other.host], StartMethod.FOLLOW)
            for other in others if other.host in ids and (other.status is None or other.status.consistent)]


def _demoted(sites: Sites) -> Site | None:
    """The Primary that a migrate has demoted before it was broken off."""
    former = sites[sites.former_primary()]
    return former if former.is_secondary and former.running else None


def _go_on(sites: Sites, former: Site, target: Site, new: New) -> Plan:
    """No host is Primary: the migrate goes on behind its demote, to whoever has all that the old Primary wrote."""
    assert former.status is not None
    end_lsn, host = former.status.srl.end_lsn, target.host
    if target.status is None or target.status.srl.end_lsn != end_lsn:
        known = [site.host for site in sites.secondaries if site.status and site.status.srl.end_lsn == end_lsn]
        have = target.status.srl.end_lsn if target.status is not None else 0
        raise VolrepError(messages.LACKS_WRITES, rvg=sites.rds.name, host=host, former=former.host,
                          bytes=end_lsn - have, known=", ".join(known))
    others = sites.others(host)
    made, ids = pairs(sites, host, others, _like(target), new)
    steps = [*made, *hook_steps(sites, host, HookEvent.PRE_PROMOTE, "migrate", former.host),
             _promote(sites, host, promote_call(sites, host, PromoteHow.MIGRATE, new, expect_lsn=end_lsn)),
             *_follow(sites, host, others, ids),
             *hook_steps(sites, host, HookEvent.POST_PROMOTE, "migrate", former.host)]
    found = f"{former.host} was demoted already, at LSN {end_lsn}: going on from there"
    return Plan(tuple(steps), (found, *_application(sites, host)))


def _like(site: Site) -> LinkConfig | None:
    """A link whose attributes new ones take over: configured alike on both ends."""
    links = site.member.info.config.links if site.member is not None else []
    return links[0] if links else None


def _finish(sites: Sites, target: Site, reason: str, new: New) -> Plan:
    """It is the Primary: what an earlier run may have left undone."""
    host = target.host
    others = [other for other in sites.others(host) if not other.acting and not other.is_primary]
    made, ids = pairs(sites, host, others, _like(target), new)
    idle = [other for other in others if (status := target.link_status(other.host)) is None
            or status.state is LinkState.STALE]
    steps = [*made, *_follow(sites, host, idle, ids),
             *hook_steps(sites, host, HookEvent.POST_PROMOTE, reason, "")]
    return Plan(tuple(steps), (f"{host} is the Primary already",))


def _application(sites: Sites, host: str) -> list[str]:
    """What to do next when no hook does it."""
    rds = sites.rds
    if sites.programs(host, HookEvent.POST_PROMOTE):
        return []
    member = sites[host].member
    volume = member.info.config.volumes[0].name if member is not None else "VOLUME"
    return [f"next, on {host}: volrep -g {rds.dg} attach {volume}, or export it; then start the application"]


# ---- takeover


def _committed_lsn(sites: Sites, target: Site) -> int:
    """How far the others prove that the lost Primary's log was durable; 0: nobody does."""
    mine = target.status
    return max((other.status.srl.durable_lsn for other in sites.others(target.host)
                if mine is not None and other.status is not None and other.is_secondary
                and other.status.history == mine.history), default=0)


def plan_takeover(sites: Sites, host: str, new: New, now_ns: int, *, force: bool, failback: bool = True,
                  autofb: bool = False) -> Plan:
    """`force`: although the Primary lives, or with what a damaged log has left. Raises VR-1360, VR-1361, VR-1369."""
    target = sites[host]
    if target.is_primary and not target.problem:
        return _finish(sites, target, "takeover", new)
    items = for_takeover(sites, host, now_ns)
    require(sites, "takeover", host, items)
    fence = next((item for item in items if item.mark is Mark.FENCE), None)
    if fence is not None and not force:
        raise VolrepError(messages.PRIMARY_LIVES, rvg=sites.rds.name, says=fence.says, remedy=fence.remedy)
    salvage = target.status.salvage if target.status is not None else None
    left = next((item for item in items if item.mark is Mark.FORCE), None)
    if left is not None and not force:
        raise VolrepError(messages.TAKES_SALVAGE, rvg=sites.rds.name, host=host, says=left.says, remedy=left.remedy)
    if salvage is not None and salvage.mixed:
        failback = autofb = False  # what was written since says nothing about what differs
    old = sites.primary.host if sites.primary is not None else sites.former_primary()
    others = [other for other in sites.others(host) if not other.is_primary and not other.acting]
    made, ids = pairs(sites, host, [other for other in others if other.host != old], _like(target), new)
    link = target.link_to(old)
    ids |= {old: link.link_id} if link is not None else {}
    steps = [
        *hook_steps(sites, host, HookEvent.PRE_PROMOTE, "takeover", old),
        _promote(sites, host, promote_call(sites, host, PromoteHow.TAKEOVER, new, failback=failback, autofb=autofb,
                                           committed_lsn=_committed_lsn(sites, target), salvage=salvage is not None)),
        *hook_steps(sites, host, HookEvent.POST_PROMOTE, "takeover", old),
        *(_not_held_up(step) for step in made),
        *_follow(sites, host, [other for other in (*others, *sites.primaries) if _not_ahead(other, target)], ids)]
    return Plan(tuple(steps), (*_when_it_returns(sites, old, failback=failback, autofb=autofb),
                               *_application(sites, host)))


def _not_held_up(step: Step) -> Step:
    """The new Primary serves already; a link that cannot be made is told at the end."""
    return Step(step.title, step.do, (), needed=False)


def _not_ahead(other: Site, target: Site) -> bool:
    return other.status is None or other.is_primary or other.position <= target.position


def _when_it_returns(sites: Sites, old: str, *, failback: bool, autofb: bool) -> list[str]:
    rds, name = sites.rds, old or "the old Primary"
    if sites.primaries:
        return [f"{name} is alive: when it hears of this it gives way if it has written nothing since; otherwise both "
                f"stay Primary until you choose one: volrep -g {rds.dg} elect {rds.name} HOST"]
    if autofb:
        return [f"when {name} returns it becomes an acting Secondary, and what differs is copied back to it by itself"]
    how = "only what differs is copied" if failback else \
        "-N keeps no account: what differs is known as far back as the SRL reaches, else everything is copied"
    return [f"when {name} returns it becomes an acting Secondary; then: volrep -g {rds.dg} fbsync {rds.name} ({how})"]
