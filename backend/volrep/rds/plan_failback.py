"""Plans that bring an old Primary back: fbsync, makesec, and elect after a split brain. Pure.

What the loser wrote beyond the fork, and what its Secondaries got of it, is overwritten only by these, never by itself,
and its own host keeps the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from volrep.model.config import StartMethod
from volrep.model.errors import VolrepError
from volrep.model.hooks import HookEvent
from volrep.model.messages import rds as messages
from volrep.model.status import LinkState
from volrep.model.worker import PromoteHow
from volrep.rds.role_steps import New, hook_steps, makesec_step, pairs, promote_call, start_step
from volrep.rds.sites import PRIMARY_PRIMARY, Site, Sites
from volrep.rds.step import Plan, Step
from volrep.rds.strays import beyond_bytes

# ---- fbsync


def plan_fbsync(sites: Sites, host: str, new: New) -> Plan:
    """`host` may be "" when one host is an acting Secondary. Raises VR-1302, VR-1362 to VR-1364."""
    primary = the_primary(sites)
    back = sites.returning()
    status = primary.link_status(host) if host else None
    if status is not None and status.state is LinkState.ACTIVE and sites[host] not in back:
        # An old Primary that returns with nothing of its own follows by itself, whenever its link comes up
        return Plan(notes=(f"{host} follows {primary.host} already: nothing is to be copied back",))
    loser = _to_bring_back(sites, back, host)  # said also when its link is in force: it may be waiting to follow
    made, ids = pairs(sites, primary.host, [loser], None, new)
    rds, start = sites.rds, start_step(sites, primary.host, loser.host, ids[loser.host], StartMethod.FAILBACK)
    return Plan((*made, replace(start, needed=True)),
                (f"when {loser.host} is consistent again: volrep -g {rds.dg} migrate {rds.name} {loser.host}",))


def the_primary(sites: Sites) -> Site:
    """Raises VR-1302, VR-1364."""
    sites.rds.primary()
    assert sites.primary is not None
    return sites.primary


def _to_bring_back(sites: Sites, back: Sequence[Site], host: str) -> Site:
    rds = sites.rds
    if not host:
        if len(back) > 1:
            names = [site.host for site in back]
            raise VolrepError(messages.SECONDARY_UNNAMED, rvg=rds.name, count=len(names), known=", ".join(names))
        if not back:
            silent = f" ({', '.join(rds.silent)} did not answer)" if rds.silent else ""
            raise VolrepError(messages.NONE_ACTING, rvg=rds.name, dg=rds.dg, silent=silent)
        return back[0]
    site = sites[host]
    if site not in back:
        found = site.problem or (f"it is a {site.role.value}" if site.role is not None else "nothing is known of it")
        raise VolrepError(messages.NOT_ACTING, host=host, rvg=rds.name, dg=rds.dg, found=found)
    return site


# ---- makesec


def plan_makesec(sites: Sites, host: str, survivor: str, new: New, *, force: bool) -> Plan:
    """`host` (or, when "", the one other Primary) becomes an acting Secondary of `survivor`.

    Raises VR-1362, VR-1368.
    """
    keeper = _survivor(sites, survivor)
    losers = _losers(sites, survivor)
    if host:
        losers = [site for site in losers if site.host == host]
    if len(losers) != 1:
        raise VolrepError(messages.NOT_ACTING, host=host or "nobody", rvg=sites.rds.name, dg=sites.rds.dg,
                          found=sites[host].problem or "it is neither Primary nor acting Secondary" if host else
                          f"{len(losers)} hosts beside {survivor} are or were Primary")
    loser = losers[0]
    down = _step_down(sites, loser, survivor, "makesec", force=force)
    still = [site for site in sites.primaries if site.host not in (survivor, loser.host)]
    steps = [*down, *([] if still else _rise(sites, keeper, new))]
    made, _ = pairs(sites, keeper.host, [loser], None, new)
    rds = sites.rds
    found = (f"{loser.host} has given way already",) if not down else ()
    return Plan((*steps, *made), (*found, *(
        f"then copy what differs: volrep -g {rds.dg} fbsync {rds.name} {site.host}; "
        f"or everything: volrep -g {rds.dg} -a startrep {rds.name} {site.host}"
        for site in (loser, *_astray(sites, keeper)))))


def _losers(sites: Sites, survivor: str) -> list[Site]:
    return [site for site in (*sites.primaries, *sites.acting) if site.host != survivor]


def _survivor(sites: Sites, host: str) -> Site:
    site = sites[host]
    if not site.is_primary or not site.running:
        found = site.problem or ("it is an acting Secondary" if site.acting else "it is a Secondary")
        raise VolrepError(messages.NOT_A_PRIMARY, host=host, rvg=sites.rds.name, dg=sites.rds.dg, found=found)
    return site


def _rise(sites: Sites, keeper: Site, new: New) -> list[Step]:
    """Behind it everybody who held to the other reign follows this one; before it nobody does who knows a newer one."""
    if PRIMARY_PRIMARY not in keeper.flags:
        return []
    return [Step(f"{keeper.host}: begin a reign above all others",
                 promote_call(sites, keeper.host, PromoteHow.ELECT, new), final=True)]


def _astray(sites: Sites, keeper: Site) -> list[Site]:
    """Secondaries that have followed the other reign."""
    return [site for site in sites.secondaries if site.status is not None and site.status.consistent
            and beyond_bytes(keeper.status, site.status)]


def _step_down(sites: Sites, loser: Site, survivor: str, reason: str, *, force: bool) -> list[Step]:
    """Its engine runs the hooks that come afterwards, as whenever a Primary gives way."""
    if loser.acting:
        return []
    return [*hook_steps(sites, loser.host, HookEvent.PRE_DEMOTE, reason, survivor),
            makesec_step(sites, loser.host, force=force)]


# ---- elect


def giving_way(sites: Sites, survivor: str) -> list[Site]:
    """Everybody who gets what differs when `survivor` is elected."""
    return [*_losers(sites, survivor), *_astray(sites, sites[survivor])]


def plan_elect(sites: Sites, survivor: str, new: New) -> Plan:
    """Every other Primary steps down, and what differs is copied to it and to those who followed it.

    Raises VR-1368.
    """
    keeper = _survivor(sites, survivor)
    losers, back = _losers(sites, survivor), giving_way(sites, survivor)
    if not back and PRIMARY_PRIMARY not in keeper.flags:
        other = next((site.host for site in sites.others(survivor)), "HOST")
        return Plan(notes=(f"{survivor} is the only Primary already: there is nothing to elect",
                           f"to move the role: volrep -g {sites.rds.dg} migrate {sites.rds.name} {other}"))
    steps = [step for loser in losers for step in _step_down(sites, loser, survivor, "elect", force=True)]
    steps += _rise(sites, keeper, new)
    made, ids = pairs(sites, survivor, back, None, new)
    steps += [*made, *(start_step(sites, survivor, site.host, ids[site.host], StartMethod.FAILBACK) for site in back)]
    rds = sites.rds
    silent = (f"{site.host} does not answer: if it stays stopped when it is there again: "
              f"volrep -g {rds.dg} fbsync {rds.name} {site.host}" for site in sites.all if site.member is None)
    return Plan(tuple(steps), (f"how far it is: volrep -g {rds.dg} repstatus {rds.name}", *silent))
