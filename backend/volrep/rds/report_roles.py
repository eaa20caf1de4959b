"""What the verbs of the Primary role say, as JSON documents of stable shape (docs/admin-guide.md). Pure.

Every one of them shows all hosts side by side: what each is, what it will be, what it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from volrep.model.errors import VolrepError
from volrep.model.status import LinkState, RvgStatus
from volrep.model.units import format_duration, format_size, iso
from volrep.rds.readiness import Item, Mark, contact_age_s, for_migrate, for_takeover, ready
from volrep.rds.report import NOT_KNOWN, data_status, role_word, since_fork_document, since_fork_words, waiting_words
from volrep.rds.sites import PRIMARY_PRIMARY, Site, Sites
from volrep.rds.step import Call, Plan, Step
from volrep.rds.strays import beyond_bytes, given_up_words
from volrep.rds.world import Member

Document = dict[str, Any]


def item_document(item: Item) -> Document:
    return {"what": item.what, "mark": item.mark.value, "says": item.says, "remedy": item.remedy}


# ---- one host


def site_document(sites: Sites, site: Site, now_ns: int, after: str = "") -> Document:
    """One column of a picture of all hosts. Numbers that are not known are null."""
    status, primary = site.status, sites.primary
    link = primary.link_status(site.host) if primary is not None else None
    met = link if link is not None and link.state is not LinkState.STALE else None  # a STALE one counts nothing
    age_s = contact_age_s(site, now_ns) if site.is_secondary and primary is None else None
    return {
        "host": site.host, "role": role_word(site.member) if site.member is not None else "unknown",
        "after": after,
        "state": f"{status.kstate.value}/{status.state.value}" if status is not None else NOT_KNOWN,
        "data": _data(sites, site), "mode": link.current_mode if link is not None else "",
        "behind_writes": met.behind_writes if met is not None else None,
        "behind_bytes": met.behind_bytes if met is not None else None,
        "behind_seconds": met.behind_s if met is not None else None,
        "end_lsn": site.position[1] if status is not None else None,
        "generation": status.generation if status is not None else None,
        "connections": site.connections if status is not None and site.is_primary else None,
        "heard_s": round(age_s, 1) if age_s is not None else None, "safe_until": _safe_until(site),
        "since_fork": since_fork_document(status.since_fork) if status is not None else None,
        "flags": list(site.flags), "problem": _problem(sites, site)}


def problems(sites: Sites) -> list[Document]:
    """Apart from the columns of a picture, which would become as wide as these texts."""
    return [{"host": site.host, "message": said} for site in sites.all if (said := _problem(sites, site))]


def _safe_until(site: Site) -> str:
    """Everything that the Primary completed before this moment of its clock is here."""
    announced = site.status.announced if site.status is not None else None
    return iso(announced.last_write_ns) if announced is not None and announced.last_write_ns else ""


def _problem(sites: Sites, site: Site) -> str:
    return site.problem or (waiting_words(site.member, sites.rds) if site.member is not None else "")


def _data(sites: Sites, site: Site) -> str:
    if site.status is None:
        return NOT_KNOWN
    if site.acting:
        return "consistent, diverged" if site.status.consistent else "inconsistent"
    if site.member is not None and site.member.waits:
        return NOT_KNOWN  # somebody else may have taken over
    if site.is_primary:
        return "diverged" if PRIMARY_PRIMARY in site.flags else "current"
    return data_status(sites.primary.link_status(site.host) if sites.primary is not None else None, site.member)


# ---- before a change


def review(sites: Sites, verb: str, host: str, items: list[Item], plan: Plan | None, problem: VolrepError | None,
           now_ns: int) -> Document:
    """Everything that an operator must have seen before the Primary role is touched; also what --dry-run says."""
    steps = plan.steps if plan is not None else ()
    after = _after(sites, verb, host)
    return {
        "dg": sites.rds.dg, "rvg": sites.rds.name, "verb": verb, "host": host, "ready": problem is None,
        "sites": [site_document(sites, site, now_ns, after.get(site.host, "as now")) for site in sites.all],
        "problems": problems(sites), "items": [item_document(item) for item in items],
        "lost": _lost(sites, verb, host, items),
        "steps": [{"title": step.title, "do": call_document(step.do), "undo": [call_document(u) for u in step.undo],
                   "estimate_s": step.estimate_s, "last_time": _last_time(step.estimate_s)} for step in steps],
        "estimate_s": sum(step.estimate_s or 0.0 for step in steps), "last_time": _together(steps),
        "notes": list(plan.notes) if plan is not None else [],
        "problem": {"id": problem.id, "text": problem.text, "hint": problem.hint} if problem is not None else None}


def call_document(call: Call) -> Document:
    """A call of the control API without its secrets; what is only known on the way is said so."""
    request = call.request.data()
    if "link" in request:
        request["link"]["key"] = "(secret)"
    request |= {name: f"({attribute} as answered)" for name, attribute in call.learned}
    return {"host": call.host, "method": call.method, "request": request}


def _last_time(estimate_s: float | None) -> str:
    """As measured on that host; nothing is made up for a step that was never measured there."""
    if estimate_s is None:
        return "unknown"
    if not estimate_s:
        return ""
    return format_duration(estimate_s) if estimate_s >= 0.1 else "under 0.1s"


def _together(steps: Sequence[Step]) -> str:
    unknown = [str(number) for number, step in enumerate(steps, 1) if step.estimate_s is None]
    known = _last_time(sum(step.estimate_s or 0.0 for step in steps))
    if not unknown:
        return known
    of_steps = f"of step{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}, which was not measured there yet"
    return f"{known} and the time {of_steps}" if known else f"unknown: the time {of_steps}"


def _after(sites: Sites, verb: str, host: str) -> dict[str, str]:
    """Host -> what it will be."""
    words = {site.host: _follower_word(sites, verb, site, host) for site in sites.others(host)}
    old = [site.host for site in sites.primaries if site.host != host]
    if verb == "fbsync":
        return {site.host: "Secondary" for site in sites.all if site.host == host}
    if verb == "makesec":
        return {site: "acting Secondary" for site in old}
    if verb == "takeover":
        old = old or [sites.former_primary()]
    words |= dict.fromkeys(old, {"migrate": "Secondary", "takeover": "Primary, too" if sites.primaries else
                                 "acting Secondary", "elect": "Secondary"}[verb])
    return words | {host: "Primary"}


def _follower_word(sites: Sites, verb: str, site: Site, host: str) -> str:
    if verb == "elect" and (site.acting or beyond_bytes(sites[host].status, site.status)):
        return "Secondary"
    if site.acting or site.problem:
        return "as now"
    ahead = sites.primary is None and site.position > sites[host].position
    return "cannot follow" if ahead else "follows"


def _lost(sites: Sites, verb: str, host: str, items: list[Item]) -> list[str]:
    """What nobody gets back. Said also when it is nothing: silence would not be believed."""
    if verb == "takeover":
        return [item.says for item in items if item.what == "loss" or item.mark is Mark.FORCE] or ["not known"]
    if verb == "migrate":
        return ["nothing"]
    losers = [site for site in (*sites.primaries, *sites.acting) if (site.host == host) == (verb == "fbsync")]
    what = "stays until it is copied over" if verb == "makesec" else "is overwritten"
    lost = [f"what {site.host} wrote since the fork {what}: "
            f"{since_fork_words(site.status.since_fork if site.status is not None else None)}" for site in losers]
    return [*lost, *(f"what {member.host.name} holds {what}: {given_up_words(keeper, member)}"
                     for keeper, member in _astray(sites, verb, host))] or ["nothing"]


def _astray(sites: Sites, verb: str, host: str) -> list[tuple[RvgStatus | None, Member]]:
    """(what the host that stays Primary is, a Secondary that holds log which is given up for it)."""
    back = verb == "fbsync"
    keeper = sites.primary.status if back and sites.primary is not None else sites[host].status
    return [(keeper, site.member) for site in sites.secondaries if site.member is not None
            and (not back or site.host == host) and beyond_bytes(keeper, site.status)]


# ---- validate


def validate(sites: Sites, now_ns: int) -> Document:
    """Of every host: could it become the Primary, and if not, why. The present Primary is asked neither question."""
    rows = []
    for site in sites.all:
        row = site_document(sites, site, now_ns)
        row["migrate"] = None if site.is_primary else _readiness(for_migrate(sites, site.host))
        row["takeover"] = None if site.is_primary else _readiness(for_takeover(sites, site.host, now_ns))
        rows.append(row)
    return {"dg": sites.rds.dg, "rvg": sites.rds.name, "sites": rows, "problems": problems(sites)}


def _readiness(items: list[Item]) -> Document:
    fence = "; ".join(item.says for item in items if item.mark is Mark.FENCE)
    word = "no" if not ready(items) else "only with -f" if fence else "yes"
    return {"ready": ready(items), "word": word, "items": [item_document(item) for item in items], "note": fence}


def all_ready(document: Document) -> bool:
    """Whether every host but the Primary is ready for both."""
    return all(site[verb]["ready"] for site in document["sites"] for verb in ("migrate", "takeover")
               if site[verb] is not None)


# ---- candidates


def candidates(sites: Sites, now_ns: int) -> Document:
    """Who could take over, the best first, and what each lacks of the best; then who could not, and why."""
    able = sites.candidates()
    best = able[0].position[1] if able else 0
    rows = [_candidate(sites, site, now_ns, best, number) for number, site in enumerate(able, 1)]
    rows += [_candidate(sites, site, now_ns, best, 0) for site in sites.all
             if site not in able and not site.is_primary]
    return {"dg": sites.rds.dg, "rvg": sites.rds.name, "candidates": rows, "best": able[0].host if able else None,
            "silent": list(sites.rds.silent)}


def _candidate(sites: Sites, site: Site, now_ns: int, best_lsn: int, rank: int) -> Document:
    announced = site.status.announced if site.status is not None else None
    lacks = max(0, best_lsn - site.position[1])
    no = "; ".join(item.says for item in for_takeover(sites, site.host, now_ns) if item.mark in (Mark.NO, Mark.FORCE))
    why = no or ("holds the most" if not lacks else f"lacks {format_size(lacks)} that the best holds")
    return {"host": site.host, "rank": rank or None, "end_lsn": site.position[1] if rank else None,
            "lacks_bytes": lacks if rank else None, "why": why,
            "missing_writes": announced.missing_writes if announced is not None else None,
            "missing_bytes": announced.missing_bytes if announced is not None else None,
            "last_write": iso(announced.last_write_ns) if announced is not None and announced.last_write_ns else "",
            "heard_s": contact_age_s(site, now_ns)}
