"""Whether a host could become the Primary now, item by item, each with its reason and the way out. Pure.

What `validate` shows, what a refused migrate or takeover prints, and what the console shows before either: one list.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from volrep.model.hooks import HookEvent
from volrep.model.status import LinkState
from volrep.model.units import format_duration, format_size, iso
from volrep.rds.report import differences
from volrep.rds.sites import Site, Sites
from volrep.rds.strays import beyond_bytes

CONTACT_S = 5.0  # a Primary speaks at least once a second: what was heard longer ago says nothing about now


class Mark(StrEnum):
    OK = "ok"
    WARN = "warn"  # worth knowing; stops nothing
    WAIT = "wait"  # the verb waits for it, or sees to it
    FENCE = "fence"  # a Primary that lives: a takeover needs -f
    FORCE = "force"  # what a damaged log has left: a takeover with it needs -f
    NO = "no"


@dataclass(frozen=True, slots=True)
class Item:
    """`what` is one word; `remedy` is the next move when it is not OK."""

    what: str
    mark: Mark
    says: str
    remedy: str = ""


def ready(items: list[Item]) -> bool:
    return not any(item.mark in (Mark.NO, Mark.FORCE) for item in items)


# ---- migrate


def for_migrate(sites: Sites, host: str, *, drain: bool = False) -> list[Item]:
    """Of `host` becoming the Primary while the present one is there."""
    target, primary = sites[host], sites.primary
    items = [_answers(target), *_standing(sites, target)]
    if target.member is None or not target.is_secondary:
        return items
    items.append(_one_primary(sites))
    if primary is None or primary.member is None:
        return items
    items.append(_answers(primary))
    items += _configuration(primary, target)
    items += [_link(sites, primary, target), _data(sites, primary, target), _applications(sites, primary, drain)]
    items += _hooks(sites, primary.host, HookEvent.PRE_DEMOTE, HookEvent.POST_DEMOTE)
    items += _hooks(sites, host, HookEvent.PRE_PROMOTE, HookEvent.POST_PROMOTE)
    return items + [_follower(sites, other, target, equalized=True) for other in sites.others(host, primary.host)]


def _answers(site: Site) -> Item:
    if site.problem:
        return Item("host", Mark.NO, f"{site.host}: {site.problem}", f"`volrep host check {site.host}`")
    return Item("host", Mark.OK, f"{site.host} answers, its RVG runs")


def _standing(sites: Sites, target: Site) -> list[Item]:
    """What the host is now: only a Secondary can become the Primary. Nothing of one that does not answer."""
    return [] if target.member is None else [_role(sites, target)]


def _role(sites: Sites, target: Site) -> Item:
    rds = sites.rds
    if target.acting:
        return Item("role", Mark.NO, f"{target.host} is an acting Secondary: it was superseded, and its own writes "
                    "since then are not part of the data set", f"`volrep -g {rds.dg} fbsync {rds.name} {target.host}`")
    if target.is_primary:
        return Item("role", Mark.NO, f"{target.host} is the Primary", "name a Secondary")
    return Item("role", Mark.OK, f"{target.host} is a Secondary")


def _one_primary(sites: Sites) -> Item:
    rds, found = sites.rds, sites.primaries
    if len(found) > 1:
        return Item("Primary", Mark.NO, f"{' and '.join(site.host for site in found)} are both Primary",
                    f"choose the survivor: `volrep -g {rds.dg} elect {rds.name} HOST`")
    if not found:
        silent = f" ({', '.join(rds.silent)} did not answer)" if rds.silent else ""
        return Item("Primary", Mark.NO, f"no host that answers is the Primary{silent}",
                    f"if it is lost: `volrep -g {rds.dg} takeover {rds.name}`")
    return Item("Primary", Mark.OK, f"{found[0].host} is the Primary")


def _configuration(primary: Site, target: Site) -> list[Item]:
    assert primary.member is not None
    assert target.member is not None
    return [Item("configuration", Mark.NO, problem, "make both sides equal, then start replication anew")
            for problem in differences(primary.member, target.member)]


def _link(sites: Sites, primary: Site, target: Site) -> Item:
    rds, link = sites.rds, primary.link_status(target.host)
    where = f"{rds.name} {target.host}"
    if link is None:
        return Item("link", Mark.NO, f"{primary.host} has no link to {target.host}",
                    f"`volrep -g {rds.dg} addsec {rds.name} {primary.host} {target.host}`")
    if link.state is LinkState.PAUSE:
        return Item("link", Mark.NO, "replication is paused", f"`volrep -g {rds.dg} resumerep {where}`")
    if link.state is not LinkState.ACTIVE:
        return Item("link", Mark.NO, f"replication is {link.state.value}: {link.reason or 'stopped'}",
                    f"`volrep -g {rds.dg} -a startrep {where}`")
    if not link.connected:
        return Item("link", Mark.NO, f"not connected: {link.reason or 'no connection'}",
                    f"repair the way between {primary.host} and {target.host}; it connects by itself")
    return Item("link", Mark.OK, f"connected, {link.current_mode}")


def _data(sites: Sites, primary: Site, target: Site) -> Item:
    link = primary.link_status(target.host)
    rds, status = sites.rds, target.status
    if link is None or status is None:
        return Item("data", Mark.NO, "not known", f"`volrep -g {rds.dg} repstatus {rds.name}`")
    if link.sync is not None or not (link.consistent and status.consistent):
        part = f" ({100 * link.sync.done_bytes // max(1, link.sync.total_bytes)}% copied)" if link.sync else ""
        return Item("data", Mark.NO, f"inconsistent: a synchronization is not finished{part}",
                    f"let it finish: `volrep -g {rds.dg} repstatus {rds.name}` shows how far it is")
    if link.behind_bytes or link.behind_writes:
        return Item("data", Mark.WAIT, f"behind by {link.behind_writes} writes, {format_size(link.behind_bytes)}, "
                    f"{format_duration(link.behind_s)}; what is missing is sent first")
    return Item("data", Mark.OK, "consistent, up-to-date")


def _applications(sites: Sites, primary: Site, drain: bool) -> Item:
    count, attached = primary.connections, ", ".join(sites.attached.get(primary.host, ()))
    if not count and not attached:
        return Item("applications", Mark.OK, f"no volume is open on {primary.host}")
    open_ = f"volumes are attached on {primary.host} ({attached})" if attached else \
        f"volumes are open on {primary.host} ({count} connections)"
    if programs := sites.programs(primary.host, HookEvent.PRE_DEMOTE):
        return Item("applications", Mark.WAIT, f"{open_}; hooks are to close them: {', '.join(programs)}")
    if drain and not attached:  # a device would wait for its volume to return, and its applications with it
        return Item("applications", Mark.WARN, f"{open_}; they are cut off (--drain)",
                    "stop the application first, if it can be stopped")
    return Item("applications", Mark.NO, open_, "stop the application and detach the volumes" if attached else
                "stop the application and let go of the volumes, or give --drain to cut it off")


def _hooks(sites: Sites, host: str, *events: HookEvent) -> list[Item]:
    found = sites.hooks.get(host)
    if found is None:
        return []
    bad = [hook for hook in found.hooks if hook.event in events and hook.problem]
    good = [f"{hook.event.value}/{hook.name}" for hook in found.hooks if hook.event in events and not hook.problem]
    items = [Item("hooks", Mark.NO, f"{host}: {hook.event.value}/{hook.name} would not be run: {hook.problem}",
                  f"correct its owner or mode below {found.directory} on {host}") for hook in bad]
    return items + ([Item("hooks", Mark.OK, f"{host}: {', '.join(good)}")] if good else [])


def _follower(sites: Sites, other: Site, target: Site, *, equalized: bool) -> Item:
    """What becomes of a host that is neither the old Primary nor the new one.

    `equalized`: the new Primary has everything when its reign begins, so that nobody can be ahead of it.
    """
    name, rds = other.host, sites.rds
    back = f"`volrep -g {rds.dg} fbsync {rds.name} {name}` afterwards"
    if other.is_primary:
        return Item(name, Mark.WARN, f"{name} is a Primary, too, and stays one",
                    f"choose the survivor: `volrep -g {rds.dg} elect {rds.name} HOST`")
    if other.acting:
        return Item(name, Mark.WARN, f"{name} has writes of its own: it does not follow by itself", back)
    if other.member is None or other.problem:
        return Item(name, Mark.WARN, f"{name} does not follow now: {other.problem}",
                    "when it is there again it follows, without a copy as long as "
                    f"{target.host}'s SRL has what it lacks")
    if other.status is not None and not other.status.consistent:
        return Item(name, Mark.WARN, f"{name} is not consistent: its synchronization has to be started anew",
                    f"`volrep -g {rds.dg} -a startrep {rds.name} {name}` afterwards")
    if not equalized and other.position > target.position:
        return Item(name, Mark.WARN, f"{name} is ahead of {target.host} and does not follow it by itself",
                    f"take over on {name} instead; or {back}")
    if beyond_bytes(target.status, other.status):
        return Item(name, Mark.WARN, f"{name} follows another reign than {target.host}", back)
    if target.link_to(name) is None or other.link_to(target.host) is None:
        return Item(name, Mark.WAIT, f"{name} follows; the link between {target.host} and {name} is made")
    return Item(name, Mark.OK, f"{name} follows, without a copy")


# ---- takeover


def for_takeover(sites: Sites, host: str, now_ns: int) -> list[Item]:
    """Of `host` becoming the Primary without the present one."""
    target = sites[host]
    items = [_answers(target), *_standing(sites, target)]
    if target.status is None or not target.is_secondary:
        return items
    items += [_consistent(sites, target), _fence(sites, target, now_ns), _loss(sites, target, now_ns)]
    best = sites.candidates()
    if best and best[0].position > target.position:
        items.append(Item("candidate", Mark.WARN, f"{best[0].host} holds more of the Primary's writes than {host}",
                          f"`volrep -g {sites.rds.dg} takeover {sites.rds.name} {best[0].host}`"))
    items += _hooks(sites, host, HookEvent.PRE_PROMOTE, HookEvent.POST_PROMOTE)
    living = sites.primary.host if sites.primary is not None else ""
    return items + [_follower(sites, other, target, equalized=False) for other in sites.others(host, living)
                    if other.host != _primary_of(sites, target)]


def _primary_of(sites: Sites, target: Site) -> str:
    """Who is, or was, its Primary."""
    announced = target.status.announced if target.status is not None else None
    return sites.primary.host if sites.primary is not None else announced.primary if announced is not None else ""


def _consistent(sites: Sites, target: Site) -> Item:
    assert target.status is not None
    if target.status.consistent:
        return Item("data", Mark.OK, "consistent")
    salvage = target.status.salvage
    if salvage is not None and not sites.primaries:
        return Item("data", Mark.FORCE, f"its log was damaged and cut: {salvage.words()}",
                    "let its Primary send the rest again, or take over on another Secondary; when there is neither: "
                    f"`volrep -g {sites.rds.dg} -f takeover {sites.rds.name} {target.host}`")
    return Item("data", Mark.NO, f"{target.host} is inconsistent: a synchronization is not finished",
                "let its Primary finish it, or take over on another Secondary "
                f"(`volrep -g {sites.rds.dg} --candidates takeover {sites.rds.name}`)")


def _fence(sites: Sites, target: Site, now_ns: int) -> Item:
    """A Primary that lives must not be duplicated silently."""
    rds, alive = sites.rds, [site.host for site in sites.primaries]
    remedy = f"`volrep -g {rds.dg} migrate {rds.name} {target.host}`; or make sure that it is stopped, and give -f"
    if len(alive) > 1:
        return Item("Primary", Mark.FENCE, f"{' and '.join(alive)} answer and are Primary, both",
                    f"choose the survivor: `volrep -g {rds.dg} elect {rds.name} HOST`")
    if alive:
        return Item("Primary", Mark.FENCE, f"{alive[0]} answers and is the Primary", remedy)
    name = _primary_of(sites, target) or "the Primary"
    age_s = contact_age_s(target, now_ns)
    if any(link.connected and link.remote_host == name for link in (target.status.links if target.status else [])):
        return Item("Primary", Mark.FENCE, f"{name} does not answer here, but {target.host} is connected to it",
                    f"if it is lost, {target.host} misses it within {CONTACT_S:.0f} s: say it again then; if it lives: "
                    f"{remedy}")
    heard = "" if age_s is None else f"; {target.host} last heard of it {format_duration(age_s)} ago"
    if age_s is not None and age_s < CONTACT_S:
        return Item("Primary", Mark.WARN, f"{name} does not answer{heard}", "wait a moment and look again")
    return Item("Primary", Mark.OK, f"{name} does not answer{heard}")


def contact_age_s(target: Site, now_ns: int) -> float | None:
    """Since when the host knows nothing of its Primary, by the operator's clock; None when it never did."""
    announced = target.status.announced if target.status is not None else None
    if announced is None or not announced.last_contact_ns:
        return None
    return max(0.0, (now_ns - announced.last_contact_ns) / 1e9)


def _loss(sites: Sites, target: Site, now_ns: int) -> Item:
    """What is known to be lost, and since when nothing is known."""
    announced = target.status.announced if target.status is not None else None
    age_s = contact_age_s(target, now_ns)
    living = sites.primary
    link = living.link_status(target.host) if living is not None else None
    if living is not None and link is not None and (link.behind_writes or link.behind_bytes):
        return Item("loss", Mark.WARN, f"{link.behind_writes} writes, {format_size(link.behind_bytes)} and whatever "
                    f"{living.host} goes on writing are not on {target.host}")
    if announced is None or age_s is None:
        return Item("loss", Mark.WARN, "not known: nothing was heard of the Primary since this RVG started",
                    "compare the candidates: --candidates")
    unknown = f"what the Primary did in the last {format_duration(age_s)} is not known"
    if announced.last_write_ns:
        unknown = f"{unknown}; all that it completed until {iso(announced.last_write_ns)} of its clock is here"
    if announced.missing_writes or announced.missing_bytes:
        missing = f"{announced.missing_writes} writes, {format_size(announced.missing_bytes)}"
        return Item("loss", Mark.WARN, f"{missing} that the Primary announced were not received, and are lost; "
                    f"{unknown}")
    return Item("loss", Mark.OK, f"all that the Primary announced was received; {unknown}")
