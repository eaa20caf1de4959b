"""What the displaying verbs say, as JSON documents of stable shape (docs/admin-guide.md). Pure.

Words and fields are VVR's. Every statement about a Secondary comes from whoever knows it: its lag from the
Primary, its state from itself when its host answers. What cannot be known is N/A; the reason is a configuration
error.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from volrep.engine.api import RvgInfo
from volrep.model.attributes import effective
from volrep.model.config import Role
from volrep.model.status import LinkState, LinkStatus, Rival, RvgStatus, SinceFork
from volrep.model.units import format_size, iso
from volrep.rds import pins
from volrep.rds.sites import ACTING, PRIMARY_PRIMARY
from volrep.rds.strays import fails_back
from volrep.rds.world import Member, Rds, World

Document = dict[str, Any]
NOT_KNOWN = "N/A"


# ---- configuration


def printrvg(world: World, sets: Iterable[Rds]) -> Document:
    """{"rds": [...], "config_errors": [...]}: the errors outside are of hosts, whatever they hold."""
    sets = list(sets)
    told = {host for rds in sets for host in rds.secondary_names()}
    return {"rds": [_rds(rds) for rds in sets],
            "config_errors": [error for error in silent_hosts(world) if error["host"] not in told]}


def _rds(rds: Rds) -> Document:
    primaries = rds.primaries
    return {"dg": rds.dg, "rvg": rds.name, "rds_id": rds.rds_id,
            "primary": member_document(primaries[0], rds) if primaries else None,
            "secondaries": [member_document(m, rds) for m in (*primaries[1:], *rds.secondaries)],
            "hosts": [_host(member, rds) for member in rds.members],
            "config_errors": config_errors(rds)}


def _host(member: Member, rds: Rds) -> Document:
    """One host in a list to choose from."""
    status, flags = member.info.status, set(_flags(member))
    diverged = bool(flags & {ACTING, PRIMARY_PRIMARY})
    return {"host": member.host.name, "role": role_word(member), "split": PRIMARY_PRIMARY in flags,
            "fails_back": fails_back(rds, member), "diverged": diverged,
            "since_fork": since_fork_words(status.since_fork) if status is not None and diverged else "",
            "waiting": member.waits, "may_serve": member.waits and rds.reigning is None}


def _flags(member: Member) -> Sequence[str]:
    return member.info.status.role_flags if member.info.status is not None else []


def role_word(member: Member) -> str:
    """For operators: an old Primary that was superseded is neither Primary nor Secondary; one that waits serves not."""
    if ACTING in _flags(member):
        return "acting Secondary"
    if member.waits:
        return "waiting Primary"
    return "Primary" if member.info.config.role is Role.PRIMARY else "Secondary"


def member_document(member: Member, rds: Rds) -> Document:
    info = member.info
    config, status = info.config, info.status
    said = {link.link_id: link for link in status.links} if status is not None else {}
    return {
        "host": member.host.name, "rvg": config.name, "dg": config.dg, "role": config.role.value,
        "state": status.state.value if status is not None else NOT_KNOWN,
        "kstate": status.kstate.value if status is not None else "RECOVER", **role_document(status, rds),
        "startup": config.startup.value,
        "problem": info.problem or (status.reason if status is not None else ""),
        "flags": status.flags if status is not None else [], "damage": damage_document(status),
        "volumes": [{"name": v.name, "size_bytes": v.size_bytes} for v in config.volumes],
        "srl": {"name": config.srl.name, "size_bytes": config.srl.size_bytes},
        "links": [{"name": link.name, "remote_host": link.remote_host, "remote_address": link.remote_address,
                   "remote_port": link.remote_port, **_remote(link.remote_host, rds),
                   "state": said[link.link_id].state.value if link.link_id in said else NOT_KNOWN,
                   "kstate": said[link.link_id].kstate.value if link.link_id in said else NOT_KNOWN,
                   "flags": said[link.link_id].flags if link.link_id in said else [],
                   "attributes": effective(link.attributes)} for link in config.links],
    }


def _remote(host: str, rds: Rds) -> Document:
    """What a link leads to, as far as its host answers."""
    far = rds.member(host)
    return {"remote_role": role_word(far) if far is not None else NOT_KNOWN,
            "fails_back": far is not None and fails_back(rds, far)}


def damage_document(status: RvgStatus | None) -> Document | None:
    """What is damaged, safe and lost, and the next moves, of an RVG in FAIL."""
    if status is None or status.damage is None:
        return None
    found = status.damage.data()
    for record in found["records"]:
        record["time"] = iso(record.pop("time_ns")) if record["time_ns"] else ""
    return found


def printvol(sets: Iterable[Rds]) -> Document:
    return {"rds": [{"dg": rds.dg, "rvg": rds.name,
                     "hosts": [{"host": m.host.name, "role": m.info.config.role.value,
                                "volumes": _volumes(m.info)} for m in rds.members]} for rds in sets]}


def _volumes(info: RvgInfo) -> list[Document]:
    status = {v.name: v for v in info.status.volumes} if info.status is not None else {}
    srl_state = info.status.srl.state if info.status is not None else NOT_KNOWN
    rows = [{"name": v.name, "state": status[v.name].state if v.name in status else NOT_KNOWN,
             "index": v.index, "size_bytes": v.size_bytes, "path": v.path, "use": "data",
             "exported": status[v.name].exported if v.name in status else [],
             "open_connections": status[v.name].open_connections if v.name in status else 0}
            for v in info.config.volumes]
    srl = info.config.srl
    return [*rows, {"name": srl.name, "state": srl_state, "index": srl.index, "size_bytes": srl.size_bytes,
                    "path": srl.path, "use": "srl", "exported": [], "open_connections": 0}]


def silent_hosts(world: World) -> list[Document]:
    return [{"host": h.name, "message": h.problem.text} for h in world.hosts if h.problem is not None]


def config_errors(rds: Rds) -> list[Document]:
    """What does not fit between the hosts of one data set: [{"host", "message"}]."""
    errors: list[Document] = []
    primaries = rds.primaries
    serving = [m for m in primaries if not m.waits]
    if len(serving) > 1 and not any(_conflict(m, rds) for m in serving):
        errors += [{"host": m.host.name, "message": f"Primary-Primary configuration{_settle(rds)}"} for m in serving]
    errors += [{"host": m.host.name, "message": said} for m in rds.members if (said := waiting_words(m, rds))]
    if not primaries:
        errors.append({"host": "", "message": "no host that answers holds the Primary"})
    for host in rds.secondary_names():
        if host in rds.silent:
            errors.append({"host": host, "message": "host unreachable"})
        elif rds.member(host) is None:
            errors.append({"host": host, "message": f"the Primary has a link to {host}, which has no such RVG"})
    errors += [{"host": m.host.name, "message": said} for m in rds.members if (said := _conflict(m, rds))]
    errors += [{"host": m.host.name, "message": f"RVG is not running: {m.info.problem}"}
               for m in rds.members if m.info.status is None]
    errors += [{"host": m.host.name, "message": f"RVG failed: {m.info.status.reason}"}
               for m in rds.members if m.info.status is not None and m.info.status.state.value == "FAIL"]
    for secondary in rds.secondaries:
        errors += [error for primary in primaries[:1] for error in _differences(primary, secondary)]
    return errors


def _conflict(member: Member, rds: Rds) -> str:
    """A host that knows of another reign than its own: since when, and what it wrote that the other lacks."""
    status = member.info.status
    if status is None or not {ACTING, PRIMARY_PRIMARY} & set(status.role_flags):
        return ""
    rival = status.superseded_by
    other = other_words(reigning(rival, rds), rival.host) if rival is not None else "another host"
    since = f" since {iso(rival.since_ns)}" if rival is not None and rival.since_ns else ""
    what = f"acting Secondary: superseded by {other}" if ACTING in status.role_flags else \
        f"Primary-Primary configuration with {other}"
    settle = "" if ACTING in status.role_flags else _settle(rds)
    return f"{what}{since}; {since_fork_words(status.since_fork)} of its own since the fork{settle}"


def _settle(rds: Rds) -> str:
    return f"; choose the survivor: volrep -g {rds.dg} elect {rds.name} HOST"


def waiting_words(member: Member, rds: Rds) -> str:
    """Why a Primary that has started does not serve yet, and the next move; "" when it does."""
    status, reigns = member.info.status, rds.reigning
    if status is None or not status.asking:
        return ""
    waits = f"waits for {', '.join(status.asking)} to answer before it serves"
    if reigns is None:
        return (f"{waits}: restore the network; or, if you know that none of them took over: "
                f"volrep -g {rds.dg} serve {rds.name}")
    name = reigns.host.name
    return (f"{waits}; {name} is the Primary: restore the network between {name} and {member.host.name}, which then "
            "gives way by itself")


def reigning(rival: Rival, rds: Rds) -> str:
    """Who holds the other reign; "" when nobody who answers does.

    `rival.host` is only who told of it, which may be a Secondary that follows. Who reigns later has the reign in its
    history, too: it is asked for only when nobody's newest reign is this one.
    """
    histories = [(m.host.name, [line.reign_id for line in m.info.status.history])
                 for m in rds.primaries if m.info.status is not None]
    for newest_only in (True, False):
        for host, reigns in histories:
            if rival.reign in (reigns[-1:] if newest_only else reigns):
                return host
    teller = rds.member(rival.host)
    return "" if teller is not None and teller.info.config.role is Role.SECONDARY else rival.host


def other_words(host: str, told_by: str) -> str:
    return host or (f"another host, as {told_by} says" if told_by else "another host")


def since_fork_words(found: SinceFork | None) -> str:
    """`12 writes, 48k`, or that nobody knows."""
    if found is None:
        return "an unknown number of writes"
    return f"{'' if found.complete else 'at least '}{found.writes} writes, {format_size(found.bytes)}"


def since_fork_document(found: SinceFork | None) -> Document | None:
    if found is None:
        return None
    return {"writes": found.writes, "bytes": found.bytes, "first": iso(found.first_ns) if found.first_ns else "",
            "last": iso(found.last_ns) if found.last_ns else "", "complete": found.complete}


def role_document(status: RvgStatus | None, rds: Rds) -> Document:
    """What is said of every RVG of its part in changes of the Primary role."""
    rival = status.superseded_by if status is not None else None
    return {"role_flags": status.role_flags if status is not None else [],
            "generation": status.generation if status is not None else None,
            "since_fork": since_fork_document(status.since_fork) if status is not None else None,
            "superseded_by": {"host": reigning(rival, rds), "told_by": rival.host,
                              "since": iso(rival.since_ns) if rival.since_ns else "",
                              "since_fork": since_fork_document(rival.since_fork)} if rival is not None else None,
            "asking": status.asking if status is not None else []}


def _differences(primary: Member, secondary: Member) -> list[Document]:
    host = secondary.host.name
    messages = differences(primary, secondary)
    near, far = primary.link_to(host), secondary.link_to(primary.host.name)
    if near is None or far is None or near.link_id != far.link_id:
        messages.append(f"the link to {primary.host.name} has one end only")
    for one, other in ((primary, secondary), (secondary, primary)):
        if wrong := pins.mistaken(one, other):
            messages.append(f"{one.host.name} knows {other.host.name} by {' and '.join(wrong)}: "
                            f"`volrep -H {other.host.name} engine rebuild` puts that right")
    return [{"host": host, "message": message} for message in messages]


def differences(primary: Member, secondary: Member) -> list[str]:
    """What keeps the volumes of the two from being copies of each other."""
    ours = [(v.name, v.size_bytes) for v in primary.info.config.volumes]
    theirs = [(v.name, v.size_bytes) for v in secondary.info.config.volumes]
    messages = []
    sizes = dict(theirs)
    if [name for name, _ in ours] != [name for name, _ in theirs]:
        messages.append(f"volumes differ: {', '.join(n for n, _ in theirs)} here, "
                        f"{', '.join(n for n, _ in ours)} on {primary.host.name}")
    return messages + [f"size mismatch: volume {name} has {sizes[name]} bytes here, {size} on {primary.host.name}"
                       for name, size in ours if name in sizes and sizes[name] != size]


# ---- replication status


def repstatus(world: World, rds: Rds) -> Document:
    """The whole document of `repstatus`. A data set without a Primary that answers shows what its Secondaries know."""
    primary = rds.primaries[0] if rds.primaries else None
    return {"dg": rds.dg, "rvg": rds.name, "rds_id": rds.rds_id,
            "primary": _primary(primary, rds) if primary is not None else None,
            "secondaries": [_secondary(rds, primary, host) for host in rds.secondary_names()
                            if primary is None or host != primary.host.name],
            "events": _events(world, rds), "config_errors": config_errors(rds) + [
                error for error in silent_hosts(world) if error["host"] not in rds.secondary_names()]}


def _primary(member: Member, rds: Rds) -> Document:
    status, config = member.info.status, member.info.config
    srl = status.srl if status is not None else None
    used = srl.used_bytes if srl is not None else 0
    return {"host": member.host.name, "rvg": config.name, "dg": config.dg, "role": role_word(member),
            "state": status.state.value if status is not None else NOT_KNOWN,
            "kstate": status.kstate.value if status is not None else "RECOVER",
            "flags": status.flags if status is not None else [], "damage": damage_document(status),
            **role_document(status, rds),
            "io": "enabled" if status is not None and status.kstate.value == "ENABLED" else "disabled",
            "volumes": len(config.volumes), "total_secondaries": len(config.links),
            "writes": status.writes if status is not None else 0,
            "written_bytes": status.written_bytes if status is not None else 0,
            "waits": status.waits if status is not None else {},
            "srl": {"name": config.srl.name, "size_bytes": config.srl.size_bytes, "used_bytes": used,
                    "used_percent": round(100 * used / srl.capacity_bytes, 2) if srl and srl.capacity_bytes else 0.0}}


def _secondary(rds: Rds, primary: Member | None, host: str) -> Document:
    far = rds.member(host)
    link = primary.link_status(host) if primary is not None else None
    config = primary.link_to(host) if primary is not None else None
    back = [end for end in far.info.config.links if primary is None or end.remote_host == primary.host.name
            ] if far is not None else []
    attributes = effective(config.attributes if config is not None else (back[0].attributes if back else {}))
    sync = link.sync if link is not None else None
    srl = primary.info.status.srl if primary is not None and primary.info.status is not None else None
    known = link is not None and link.state is not LinkState.STALE
    return {
        "host": host, "rvg": rds.name, "dg": rds.dg, "role": role_word(far) if far is not None else NOT_KNOWN,
        "rlink": config.name if config is not None else NOT_KNOWN,
        "rlink_back": back[0].name if back else NOT_KNOWN,
        "data_status": data_status(link, far), "replication_status": replication_status(link),
        "configured_mode": configured_mode(attributes), "sync_ack": attributes["sync_ack"],
        "current_mode": link.current_mode if link is not None and known else NOT_KNOWN,
        "logging_to": _logging_to(link, srl.capacity_bytes if srl is not None else 0),
        "behind": {"writes": link.behind_writes, "bytes": link.behind_bytes, "seconds": link.behind_s}
        if link is not None and known else {"writes": 0, "bytes": 0, "seconds": 0.0},
        "sync": sync.data() if sync is not None else None,
        "srl_protection": attributes["srlprot"], "latency_protection": attributes.get("latencyprot", "off"),
        "encryption": attributes["encryption"], "connected": link.connected if link is not None else False,
        "state": link.state.value if link is not None else NOT_KNOWN,
        "kstate": link.kstate.value if link is not None else NOT_KNOWN,
        "rvg_state": _rvg_state(far), "damage": damage_document(far.info.status if far is not None else None),
        "flags": link.flags if link is not None else [], "reason": link.reason if link is not None else "",
        "sent_bytes": link.sent_bytes if link is not None else 0,
        "proved": {"from_lsn": link.proved_from_lsn, "to_lsn": link.proved_lsn} if link is not None else
        {"from_lsn": 0, "to_lsn": 0},
        "verify_problem": link.verify_problem if link is not None else "",
        "mismatches": max(link.mismatches if link is not None else 0, _mismatches_there(far, primary)),
        **role_document(far.info.status if far is not None else None, rds),
    }


def _rvg_state(member: Member | None) -> str:
    status = member.info.status if member is not None else None
    return status.state.value if status is not None else NOT_KNOWN


def _mismatches_there(far: Member | None, primary: Member | None) -> int:
    """What arrived damaged at the Secondary, by its own count."""
    link = far.link_status(primary.host.name) if far is not None and primary is not None else None
    return link.mismatches if link is not None else 0


def configured_mode(attributes: dict[str, str]) -> str:
    return "synchronous-override" if attributes["synchronous"] == "override" else "asynchronous"


def data_status(link: LinkStatus | None, far: Member | None) -> str:
    """Of the Secondary's volumes. What the Secondary says of itself outweighs what the Primary believes."""
    far_status = far.info.status if far is not None else None
    if link is None:
        return NOT_KNOWN if far_status is None else "consistent" if far_status.consistent else "inconsistent"
    consistent = link.consistent if far_status is None else far_status.consistent and link.consistent
    if far_status is not None and "datavol_err" in far_status.flags:
        return "inconsistent"
    if far is not None and far.info.config.role is Role.PRIMARY:
        return NOT_KNOWN if far.waits else "diverged"
    if far_status is None and link.sync is None and link.state is LinkState.ACTIVE and not consistent:
        return NOT_KNOWN  # it is to follow a new Primary, which has not met it yet
    if link.sync is not None or not consistent:
        return "inconsistent"
    if far is not None and ACTING in _flags(far):
        return "consistent, diverged"
    if link.state is LinkState.STALE:
        return "consistent, stale"
    return "consistent, behind" if link.behind_writes or link.behind_bytes else "consistent, up-to-date"


def replication_status(link: LinkStatus | None) -> str:
    if link is None:
        return NOT_KNOWN
    reason = link.reason or "network disconnection"
    if link.state is LinkState.ACTIVE and link.sync is not None:
        return f"resync in progress ({link.sync.method})" if link.connected else f"resync paused due to {reason}"
    if link.state is LinkState.ACTIVE:
        return "replicating (connected)" if link.connected else f"paused due to {reason}"
    if link.state is LinkState.PAUSE and "secondary_paused" in link.flags:
        return f"paused due to {reason}"
    if link.state is LinkState.PAUSE:
        return "resync paused by user" if link.sync is not None else "paused by user"
    if link.state is LinkState.STALE:
        return f"stopped ({link.reason or 'Primary detached'})"
    return f"not replicating ({reason})"


def _logging_to(link: LinkStatus | None, capacity_bytes: int) -> str:
    if link is None or link.state is LinkState.STALE:
        return NOT_KNOWN
    if not link.behind_bytes:
        return "SRL"
    percent = 100 * link.behind_bytes / capacity_bytes if capacity_bytes else 0.0
    return f"SRL ({link.behind_bytes / 1024:.0f} Kbytes behind, {percent:.1f}% full)"


EVENTS_SHOWN = 10


def _events(world: World, rds: Rds) -> list[Document]:
    """The newest of all hosts together, oldest first."""
    rows = [(event.time_ns, {"time": iso(event.time_ns), "host": host.name, "type": event.type,
                             "message": event.message})
            for host in world.answering() for event in host.events
            if (event.dg, event.rvg) == (rds.dg, rds.name)]
    return [row for _, row in sorted(rows, key=lambda row: row[0])][-EVENTS_SHOWN:]


# ---- volumes


def volume_list(world: World, dg: str, host: str = "") -> Document:
    return {"volumes": [
        {"host": view.name, "dg": v.config.dg, "name": v.config.name, "size_bytes": v.config.size_bytes,
         "path": v.config.path, "kind": v.config.kind.value, "rvg": v.rvg, "use": v.use, "export": v.export}
        for view in world.answering() if host in ("", view.name)
        for v in view.volumes if dg in ("", v.config.dg)]}


