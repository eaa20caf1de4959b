"""The steps that changes of the Primary role are made of. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from volrep.engine.api import LinkStartRequest, RvgDemote, RvgMakesec, RvgPromote
from volrep.model.config import LinkConfig, StartMethod
from volrep.model.hooks import HookEvent, HookRun, took_key
from volrep.model.worker import PromoteHow
from volrep.rds.plan_rds import End, Fresh, Wanted, pair_steps
from volrep.rds.sites import Site, Sites
from volrep.rds.step import Call, Step

New = Callable[[], Fresh]
"""Gives fresh identities at every call."""

DEMOTE_WAIT_S = 60.0  # for the next Primary to acknowledge the last writes; longer, and nothing has been changed


# ---- hooks


def hook_steps(sites: Sites, host: str, event: HookEvent, reason: str, peer: str) -> list[Step]:
    """One step when the host has programs for the event. Taken back by the event that says the opposite."""
    names = sites.programs(host, event)
    if not names:
        return []
    opposite = {HookEvent.PRE_DEMOTE: HookEvent.POST_PROMOTE, HookEvent.PRE_PROMOTE: HookEvent.POST_DEMOTE}.get(event)
    undo = (_hook(sites, host, opposite, "undo", peer),) if opposite is not None else ()
    return [Step(f"{host}: hooks {event.value} ({', '.join(names)})", _hook(sites, host, event, reason, peer), undo,
                 needed=event.decides, estimate_s=sites[host].took_s(took_key(event)))]


def _hook(sites: Sites, host: str, event: HookEvent, reason: str, peer: str) -> Call:
    return Call(host, "hook.run", HookRun(dg=sites.rds.dg, rvg=sites.rds.name, event=event, reason=reason, peer=peer))


# ---- roles


def demote_step(sites: Sites, primary: Site, target: Site, new: New, *, drain: bool) -> Step:
    """Back: the same host is promoted at the end of its own log, and the others follow it again."""
    rds, host = sites.rds, primary.host
    link, status = primary.link_to(target.host), primary.link_status(target.host)
    request = RvgDemote(dg=rds.dg, rvg=rds.name, drain=drain, link_id=link.link_id if link is not None else "",
                        wait_s=DEMOTE_WAIT_S)
    do = Call(host, "rvg.demote", request)
    # Said again it finds its work done and tells where the log ends, also when the first answer was lost
    again = [do, promote_call(sites, host, PromoteHow.MIGRATE, new, learned=True)]
    back = [_start(sites, host, end, StartMethod.FOLLOW) for end in links_in_force(primary)]
    what = "close its exports, send what is missing, become a Secondary" if drain else \
        "send what is missing, become a Secondary"
    missing_bytes = status.behind_bytes if status is not None else 0
    return Step(f"{host}: {what}", do, (*again, *back), estimate_s=primary.took_s(do.method, missing_bytes))


def promote_call(sites: Sites, host: str, how: PromoteHow, new: New, *, learned: bool = False, expect_lsn: int = 0,
                 committed_lsn: int = 0, failback: bool = True, autofb: bool = False,
                 salvage: bool = False) -> Call:
    request = RvgPromote(dg=sites.rds.dg, rvg=sites.rds.name, how=how, expect_lsn=expect_lsn,
                         committed_lsn=committed_lsn, failback=failback, autofb=autofb,
                         salvage=salvage, new_reign=new().reign)
    return Call(host, "rvg.promote", request, (("expect_lsn", "end_lsn"),) if learned else ())


def makesec_step(sites: Sites, host: str, *, force: bool) -> Step:
    request = RvgMakesec(dg=sites.rds.dg, rvg=sites.rds.name, force=force)
    return Step(f"{host}: stop being Primary; its writes since the fork stay until they are copied over",
                Call(host, "rvg.makesec", request), final=True)


# ---- links


def links_in_force(site: Site) -> list[LinkConfig]:
    """Those that the operator has neither stopped nor paused."""
    links = site.member.info.config.links if site.member is not None else []
    return [link for link in links if (status := site.link_status(link.remote_host)) is not None
            and status.state.value == "ACTIVE"]


def pairs(sites: Sites, host: str, others: Iterable[Site], like: LinkConfig | None,
          new: New) -> tuple[list[Step], dict[str, str]]:
    """(steps that make missing links from `host`, other host -> id of its link).

    A host that does not answer is paired only when it was before.
    """
    here = sites[host]
    assert here.member is not None
    config = here.member.info.config
    wanted = Wanted(config.dg, config.name, tuple(v.name for v in config.volumes), config.srl.name)
    steps: list[Step] = []
    ids: dict[str, str] = {}
    for other in others:
        present = here.link_to(other.host)
        if other.member is None:
            if present is not None:
                ids[other.host] = present.link_id
            continue
        fresh = new()
        made = pair_steps(End(here.member.host, tuple(config.links)),
                          End(other.member.host, tuple(other.member.info.config.links)), wanted,
                          dict(like.attributes) if like is not None else {}, fresh)
        steps += made
        ids[other.host] = fresh.link_id if made or present is None else present.link_id
    return steps, ids


def start_step(sites: Sites, host: str, other: str, link_id: str, method: StartMethod) -> Step:
    """Of a new Primary: not needed for its own work, so a failure is told and nothing is held up."""
    word = {StartMethod.FOLLOW: f"{other} follows", StartMethod.FAILBACK: f"copy back to {other} what differs"}[method]
    return Step(f"{host}: {word}", _start_call(sites, host, link_id, method), needed=False)


def _start(sites: Sites, host: str, link: LinkConfig, method: StartMethod) -> Call:
    return _start_call(sites, host, link.link_id, method)


def _start_call(sites: Sites, host: str, link_id: str, method: StartMethod) -> Call:
    return Call(host, "link.start", LinkStartRequest(dg=sites.rds.dg, rvg=sites.rds.name, link_id=link_id,
                                                     method=method))
