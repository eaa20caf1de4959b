"""Plans that put a lost configuration together again, and make its links known to the other hosts. Pure.

Two plans, for the engine serves in between: `plan_rebuild` gives a damaged or empty engine its objects, with the links'
ids (under which the SRL remembers what each Secondary has); `plan_repin` gives both ends of links that no longer know
each other a new key and the certificates of today. The second alone is for an engine that lost nothing but its
identity. Keys are never told, so they are not recovered but made anew.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from volrep.engine.api import EngineState, Found, FoundRvg, LinkAdd, RestoreRequest, TakeRequest
from volrep.model.config import LinkConfig, Role, RvgConfig
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.rds.pins import strangers
from volrep.rds.plan_rds import link_to
from volrep.rds.step import Call, Plan, Step
from volrep.rds.world import HostView, Member, Rds, World

Key = Callable[[], str]
"""Makes a key: 32 random bytes in hex."""


def plan_rebuild(world: World, host: str, found: Found, key: Key, *, parts: bool) -> Plan:
    """What gives the engine its configuration back; nothing for one that serves RVGs. `parts`: not from the copy.

    Raises VR-1783 when nothing was found.
    """
    if found.state is EngineState.SERVING and any(view.name == host and (view.rvgs or view.volumes)
                                                  for view in world.answering()):
        return Plan()
    if found.copied is not None and not parts and found.state is EngineState.DAMAGED:
        return _from_copy(host, found)
    good = [rvg for rvg in found.rvgs if not rvg.problem]
    if not good and not found.volumes:
        if found.state is EngineState.SERVING:
            return Plan()
        raise VolrepError(messages.NOTHING_FOUND, host=host)
    taken = [_with_links(world, host, rvg, key) for rvg in good]
    steps = [Step(f"{host}: take {_shown(rvg.source, config)}", Call(host, "engine.take", TakeRequest(rvg=config)))
             for rvg, config in zip(good, taken, strict=True)]
    request = RestoreRequest(from_copy=False, rvg_ids=[config.rvg_id for config in taken], volumes=found.volumes,
                             port=found.port or _port_known(world, host))
    loose = "".join(f", volume {volume.dg}/{volume.name}" for volume in found.volumes)
    steps.append(Step(f"{host}: make the configuration of {len(taken)} RVGs{loose}",
                      Call(host, "engine.restore", request)))
    return Plan(tuple(steps), tuple(_losses(found, taken)))


def _from_copy(host: str, found: Found) -> Plan:
    copied = found.copied
    assert copied is not None
    when = datetime.fromtimestamp(copied.written_ns / 1e9, UTC).isoformat(sep=" ", timespec="seconds")
    return Plan((Step(
        f"{host}: put the copy of change {copied.changes} ({when}) in the place of the damaged configuration: "
        f"{len(copied.rvgs)} RVGs ({', '.join(copied.rvgs) or 'none'}), {copied.volumes} volumes, "
        f"{copied.links} links, {copied.exports} exports",
        Call(host, "engine.restore", RestoreRequest(from_copy=True))),),
        ("lost: history and events; the damaged file stays beside the new one",))


def _shown(source: str, config: RvgConfig) -> str:
    where = "its living worker" if source == "worker" else f"the header of {config.srl.path}"
    return (f"RVG {config.name} of disk group {config.dg} from {where} ({config.role.value}; volumes "
            f"{', '.join(volume.name for volume in config.volumes)}; {len(config.links)} links, "
            f"{len(config.exports)} exports)")


def _losses(found: Found, taken: list[RvgConfig]) -> list[str]:
    notes = ["lost: history, events, block devices (attach them again), volumes elsewhere that belong to no RVG (add "
             "them again); the damaged file stays beside the new one"]
    if any(rvg.source == "header" and not rvg.config.exports for rvg in found.rvgs if not rvg.problem):
        notes.append("no exports are known of RVGs whose SRL header names none: export their volumes again")
    notes += [f"RVG {config.name}: {link.remote_host} does not answer, and its certificate is not known: run this "
              "again when it does" for config in taken for link in config.links if not link.peer_certificate]
    notes += [f"not taken: RVG {rvg.config.dg}/{rvg.config.name}, SRL {rvg.config.srl.path}: {rvg.problem}"
              for rvg in found.rvgs if rvg.problem]
    return notes


def _with_links(world: World, host: str, rvg: FoundRvg, key: Key) -> RvgConfig:
    """Every link that either side knows of, with its id. A living worker's own are right; its engine has the keys."""
    config = rvg.config
    if rvg.source == "worker":
        return config
    links = {link.remote_host: link for link in config.links}
    for view in world.answering():
        info = view.rvg(config.dg, config.name)
        far = Member(view, info).link_to(host) if info is not None and info.config.rds_id == config.rds_id else None
        if far is not None:
            known = links.get(view.name)
            attributes = known.attributes if known is not None else far.attributes
            links[view.name] = link_to(view, config.name, far.link_id, "", attributes)
    made = [link.changed(key=key()) for link in links.values()]
    return config.changed(links=made)


def _port_known(world: World, host: str) -> int:
    """Where other hosts called it; 0 when none did."""
    return next((link.remote_port for view in world.answering() for info in view.rvgs for link in info.config.links
                 if link.remote_host == host), 0)


# ---- both ends know each other again


def plan_repin(world: World, host: str, key: Key) -> Plan:
    """New keys and today's certificates for links of `host` whose ends do not know each other any more."""
    plan = Plan()
    for rds in world.all_rds():
        here = rds.member(host)
        if here is None:
            continue
        for other in rds.members:
            if other is not here:
                plan = plan.then(_repin(rds, here, other, key))
        plan = plan.then(Plan(notes=tuple(
            f"RVG {rds.name}: {link.remote_host} does not answer; run `volrep -H {host} engine rebuild` when it does"
            for link in here.info.config.links if link.remote_host in rds.silent)))
    return plan


def _repin(rds: Rds, here: Member, other: Member, key: Key) -> Plan:
    near, far = here.link_to(other.host.name), other.link_to(here.host.name)
    known = near or far
    if known is None or not strangers(here, other):
        return Plan()
    if near is not None and far is not None and near.link_id != far.link_id:
        return Plan(notes=(f"RVG {rds.name}: {here.host.name} and {other.host.name} have ends of different links; "
                           f"`volrep -g {rds.dg} addsec` pairs them anew",))
    made = key()
    # The Secondary's end first: when the Primary's end begins to call, somebody answers
    ends = sorted(((here, other), (other, here)), key=lambda pair: pair[0].info.config.role is Role.PRIMARY)
    return Plan(tuple(_end_step(rds, at, to.host, known, made) for at, to in ends))


def _end_step(rds: Rds, at: Member, to: HostView, known: LinkConfig, key: str) -> Step:
    own = at.link_to(to.name) or known
    link = link_to(to, rds.name, known.link_id, key, own.attributes)
    return Step(f"{at.host.name}: make {to.name} known on link {link.name} of RVG {rds.name}: a new key, its "
                f"certificate, port {link.remote_port}",
                Call(at.host.name, "link.add", LinkAdd(dg=rds.dg, rvg=rds.name, link=link)))
