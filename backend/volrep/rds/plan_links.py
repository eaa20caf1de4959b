"""Plans that start, stop, pause and change replication. Pure.

They act on the Primary's end of a link, the attributes on both ends. What is so already is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from volrep.engine.api import LinkOf, LinkSet, RvgSet
from volrep.model.attributes import effective, split_attributes
from volrep.model.config import LinkConfig, StartMethod
from volrep.model.errors import VolrepError
from volrep.model.messages import rds as messages
from volrep.model.states import LinkEvent, link_step
from volrep.model.status import LinkState, LinkStatus
from volrep.rds.plan_rds import start_step
from volrep.rds.report import since_fork_words
from volrep.rds.sites import ACTING
from volrep.rds.step import Call, Plan, Step
from volrep.rds.strays import fails_back, given_up_words, lacks_a_reign
from volrep.rds.world import Member, Rds, World


def near_end(rds: Rds, secondary: str) -> tuple[Member, LinkConfig, LinkStatus]:
    """(Primary, its end of the link, what it says of it). Raises VR-1302, VR-1304 to VR-1306, VR-1317, VR-1322."""
    primary = rds.primary()
    secondary = rds.choose_secondary(secondary)
    link = primary.link_to(secondary)
    if link is None:
        raise VolrepError(messages.LINK_MISSING, rvg=rds.name, dg=rds.dg, primary=primary.host.name, host=secondary)
    status = primary.link_status(secondary)
    if status is None:
        raise VolrepError(messages.RVG_DOWN, rvg=rds.name, host=primary.host.name,
                          reason=primary.info.problem or "the link is being set up")
    return primary, link, status


def plan_startrep(rds: Rds, secondary: str, method: StartMethod) -> Plan:
    primary, link, status = near_end(rds, secondary)
    if status.state in (LinkState.ACTIVE, LinkState.PAUSE):
        how = "paused: `resumerep` goes on" if status.state is LinkState.PAUSE else "started already"
        return Plan(notes=(f"replication of RVG {rds.name} to {link.remote_host} is {how}",))
    link_step(link.name, status.state, LinkEvent.START)
    return Plan((start_step(primary.host.name, rds.dg, rds.name, link.link_id, link.remote_host, method),))


def overwritten(rds: Rds, secondary: str) -> tuple[str, bool]:
    """(what a copy to this host gives up, in words, whether that takes the operator's word); ("", False) for nothing.

    It does where a host has writes of its own, or of another reign.
    """
    member = rds.member(secondary)
    status = member.info.status if member is not None else None
    if member is None or status is None or not fails_back(rds, member):
        return "", False
    if ACTING in status.role_flags:
        return f"what {secondary} wrote since the fork: {since_fork_words(status.since_fork)}", True
    primary = rds.primary().info.status
    return f"what {secondary} holds: {given_up_words(primary, member)}", lacks_a_reign(primary, status)


def plan_stoprep(rds: Rds, secondary: str) -> Plan:
    return _change(rds, secondary, LinkEvent.STOP, LinkState.STALE, "stopped")


def plan_pauserep(rds: Rds, secondary: str) -> Plan:
    return _change(rds, secondary, LinkEvent.PAUSE, LinkState.PAUSE, "paused")


def plan_resumerep(rds: Rds, secondary: str) -> Plan:
    return _change(rds, secondary, LinkEvent.RESUME, LinkState.ACTIVE, "running")


def _change(rds: Rds, secondary: str, event: LinkEvent, after: LinkState, word: str) -> Plan:
    """Raises VR-1400 when the link is in no state for it."""
    primary, link, status = near_end(rds, secondary)
    if status.state is after:
        return Plan(notes=(f"replication of RVG {rds.name} to {link.remote_host} is {word} already",))
    link_step(link.name, status.state, event)
    host = primary.host.name
    request = LinkOf(dg=rds.dg, rvg=rds.name, link_id=link.link_id)
    return Plan((Step(f"{host}: {event.value} replication of RVG {rds.name} to {link.remote_host}",
                      Call(host, f"link.{event.value}", request)),))


def plan_set(world: World, rds: Rds, secondary: str, attributes: Mapping[str, str]) -> Plan:
    """Attributes of the link to one Secondary, or to all when none is named; and of the RVG, on every host.

    Raises VR-1020 to VR-1022.
    """
    own, linked = split_attributes(attributes)
    first = _set_rvg(world, rds, own)
    return first.then(_set_links(world, rds, secondary, linked)) if linked else first


def _set_rvg(world: World, rds: Rds, given: dict[str, str]) -> Plan:
    """Every host has them, since every host may be the Primary. Raises why a host of the set does not answer."""
    if not given:
        return Plan()
    for silent in set(rds.secondary_names()) & set(rds.silent):
        world.host(silent)
    steps = []
    for member in rds.members:
        before = {name: getattr(member.info.config, name).value for name in given}
        if before == given:
            continue
        host, shown = member.host.name, " ".join(f"{key}={value}" for key, value in given.items())
        do, undo = (Call(host, "rvg.set", RvgSet(dg=rds.dg, rvg=rds.name, attributes=values))
                    for values in (given, before))
        steps.append(Step(f"{host}: set {shown} on RVG {rds.name}", do, (undo,)))
    shown = " ".join(f"{key}={value}" for key, value in given.items())
    return Plan(tuple(steps), () if steps else (f"{shown}: so already",))


def _set_links(world: World, rds: Rds, secondary: str, given: dict[str, str]) -> Plan:
    primary = rds.primary()
    secondaries = [rds.choose_secondary(secondary)] if secondary else rds.secondary_names()
    if not secondaries:
        rds.choose_secondary("")
    steps: list[Step] = []
    for name in secondaries:
        far = rds.member(name)
        if far is None:
            world.host(name)
        for member, remote in ((far, primary.host.name), (primary, name)):
            end = member.link_to(remote) if member is not None else None
            if member is None or end is None:
                raise VolrepError(messages.LINK_MISSING, rvg=rds.name, dg=rds.dg, primary=primary.host.name, host=name)
            steps += _set_steps(rds, member, end, given)
    shown = " ".join(f"{key}={value}" for key, value in given.items())
    return Plan(tuple(steps), () if steps else (f"{shown}: so already",))


def _set_steps(rds: Rds, member: Member, end: LinkConfig, given: dict[str, str]) -> list[Step]:
    before = effective(end.attributes)
    changed = {key: value for key, value in given.items() if before[key] != value}
    if not changed:
        return []
    host = member.host.name

    def call(attributes: dict[str, str]) -> Call:
        return Call(host, "link.set", LinkSet(dg=rds.dg, rvg=rds.name, link_id=end.link_id, attributes=attributes))

    shown = " ".join(f"{key}={value}" for key, value in changed.items())
    return [Step(f"{host}: set {shown} on link {end.name}", call(changed),
                 (call({key: before[key] for key in changed}),))]
