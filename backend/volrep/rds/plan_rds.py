"""Plans that make and remove Replicated Data Sets and their Secondaries. Pure.

Everything is validated on all hosts before the first step. Random values come from the caller (`Fresh`), so that a
plan can be made twice and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from volrep.engine.api import EngineStatus, LinkAdd, LinkOf, LinkStartRequest, RvgCreate, RvgDelete
from volrep.log.ring import BATCH_MAX_BYTES, HEADER_AREA_BYTES, MIN_BATCHES, SRL_MIN_BYTES
from volrep.model.attributes import check_attributes
from volrep.model.config import LinkConfig, Role, StartMethod
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.messages import log as log_messages
from volrep.model.messages import rds as messages
from volrep.model.names import check_name, rlink_name
from volrep.model.shape import Shape
from volrep.model.status import LinkState
from volrep.rds.step import Call, Plan, Step
from volrep.rds.world import HostView, Member, Rds, World


@dataclass(frozen=True, slots=True)
class Fresh:
    """New identities for one plan: uuid4 hex for the ids, 32 random bytes in hex for the key, 8 for the reign."""

    rds_id: str
    primary_rvg_id: str
    secondary_rvg_id: str
    link_id: str
    key: str
    reign: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """An RVG as the operator writes it."""

    dg: str
    name: str
    volumes: tuple[str, ...]
    srl: str


@dataclass(frozen=True, slots=True)
class _Primary:
    """What addsec must know of the Primary, whether it exists already or is made by the same plan."""

    host: HostView
    rds_id: str
    wanted: Wanted
    links: tuple[LinkConfig, ...] = ()


def wanted_rvg(dg: str, name: str, volumes: str, srl: str) -> Wanted:
    """`volumes` comma-separated, in index order. Raises VR-1011, VR-1316, VR-1735."""
    check_name("disk group", dg)
    check_name("RVG", name)
    named = tuple(part.strip() for part in volumes.split(","))
    if not all(named):
        raise VolrepError(messages.VOLUMES_UNNAMED, value=volumes)
    for volume in (*named, srl):
        check_name("volume", volume)
        if (*named, srl).count(volume) > 1:
            raise VolrepError(engine_messages.VOLUME_TWICE, volume=volume)
    return Wanted(dg, name, named, srl)


# ---- createpri


def plan_createpri(world: World, host: str, wanted: Wanted, fresh: Fresh) -> Plan:
    """Raises VR-1310, VR-1312, VR-1313, VR-1500."""
    view = world.host(host)
    existing = view.rvg(wanted.dg, wanted.name)
    if existing is not None:
        if existing.config.role is Role.PRIMARY and _same(Member(view, existing), wanted):
            return Plan(notes=(f"RVG {wanted.name} is there already on {host}",))
        raise VolrepError(messages.RVG_THERE, host=host, rvg=wanted.name, dg=wanted.dg,
                          found=_described(Member(view, existing)))
    check_volumes(view, wanted)
    return Plan((_create_step(host, wanted, Role.PRIMARY, fresh.rds_id, fresh.primary_rvg_id),))


def _create_step(host: str, wanted: Wanted, role: Role, rds_id: str, rvg_id: str) -> Step:
    request = RvgCreate(rds_id=rds_id, rvg_id=rvg_id, dg=wanted.dg, name=wanted.name, role=role,
                        volumes=list(wanted.volumes), srl=wanted.srl)
    return Step(f"{host}: create RVG {wanted.name} ({role.value}; volumes {', '.join(wanted.volumes)}, "
                f"SRL {wanted.srl})", Call(host, "rvg.create", request),
                (Call(host, "rvg.delete", RvgDelete(dg=wanted.dg, name=wanted.name, force=True)),),
                # Without it a Secondary that is left would be one of a data set that nobody knows
                base=role is Role.PRIMARY)


def check_volumes(view: HostView, wanted: Wanted, like: HostView | None = None) -> None:
    """All volumes are there and free, the SRL is large enough; with `like`, sizes are those of that host.

    Raises VR-1310, VR-1311, VR-1312, VR-1500.
    """
    for name in (*wanted.volumes, wanted.srl):
        found = view.volume(wanted.dg, name)
        model = like.volume(wanted.dg, name) if like is not None else None
        if found is None:
            raise VolrepError(messages.VOLUME_MISSING, host=view.name, volume=name, dg=wanted.dg,
                              size=model.config.size_bytes if model is not None else "SIZE")
        if found.use != "free":
            raise VolrepError(messages.VOLUME_TAKEN, volume=name, dg=wanted.dg, host=view.name, rvg=found.rvg,
                              use=found.use)
        if model is not None and like is not None and model.config.size_bytes != found.config.size_bytes:
            raise VolrepError(messages.SIZE_DIFFERS, volume=name, host=view.name, other=like.name,
                              size_bytes=found.config.size_bytes, other_bytes=model.config.size_bytes)
        if name == wanted.srl and found.config.size_bytes < SRL_MIN_BYTES:
            raise VolrepError(log_messages.SRL_TOO_SMALL, name=name, size_bytes=found.config.size_bytes,
                              minimum_bytes=SRL_MIN_BYTES, header_bytes=HEADER_AREA_BYTES, batches=MIN_BATCHES,
                              batch_bytes=BATCH_MAX_BYTES, dg=wanted.dg)


def _same(member: Member, wanted: Wanted) -> bool:
    config = member.info.config
    return [v.name for v in config.volumes] == list(wanted.volumes) and config.srl.name == wanted.srl


def _described(member: Member) -> str:
    config = member.info.config
    return f"{config.role.value}, volumes {', '.join(v.name for v in config.volumes)}, SRL {config.srl.name}"


# ---- addsec


def plan_addsec(world: World, rds: Rds, primary: str, secondary: str, attributes: Mapping[str, str],
                new: Callable[[], Fresh]) -> Plan:
    """Also the links to the other Secondaries: any of them may be the Primary one day.

    Raises VR-1020 to VR-1022, VR-1302, VR-1310 to VR-1315, VR-1318, VR-1364, VR-1500, VR-1742.
    """
    member = rds.primary()
    if member.host.name != primary:
        world.host(primary)
        raise VolrepError(messages.OTHER_PRIMARY, rvg=rds.name, found=member.host.name, host=primary)
    config = member.info.config
    wanted = Wanted(rds.dg, rds.name, tuple(v.name for v in config.volumes), config.srl.name)
    first = _addsec(world, _Primary(member.host, rds.rds_id, wanted, tuple(config.links)), secondary, attributes, new())
    view, present = world.host(secondary), rds.member(secondary)
    near = End(view, tuple(present.info.config.links) if present is not None else ())
    more = [step for other in rds.secondaries if other.host.name != secondary
            for step in pair_steps(near, End(other.host, tuple(other.info.config.links)), wanted,
                                   check_attributes(attributes), new())]
    return Plan(first.steps + tuple(more), first.notes)


def _addsec(world: World, primary: _Primary, secondary: str, attributes: Mapping[str, str], fresh: Fresh) -> Plan:
    given, wanted = check_attributes(attributes), primary.wanted
    if secondary == primary.host.name:
        raise VolrepError(messages.SAME_HOST, host=secondary, rvg=wanted.name)
    view = world.host(secondary)
    steps: list[Step] = []
    existing = view.rvg(wanted.dg, wanted.name)
    if existing is None:
        check_volumes(view, wanted, primary.host)
        steps.append(_create_step(secondary, wanted, Role.SECONDARY, primary.rds_id, fresh.secondary_rvg_id))
    elif existing.config.role is Role.SECONDARY and existing.config.rds_id != primary.rds_id:
        # Never replaced silently: it may be the last copy of a Primary that was lost
        raise VolrepError(messages.ORPHAN, host=secondary, rvg=wanted.name, dg=wanted.dg, primary=primary.host.name)
    elif existing.config.role is not Role.SECONDARY or not _same(Member(view, existing), wanted):
        raise VolrepError(messages.RVG_THERE, host=secondary, rvg=wanted.name, dg=wanted.dg,
                          found=_described(Member(view, existing)))
    there = tuple(existing.config.links) if existing is not None else ()
    paired = pair_steps(End(primary.host, primary.links), End(view, there), wanted, given, fresh)
    if not paired:
        return Plan(tuple(steps), (f"{secondary} is a Secondary of RVG {wanted.name} already",))
    return Plan(tuple(steps + paired),
                (f"start replication: volrep -g {wanted.dg} -a startrep {wanted.name} {secondary}",))


@dataclass(frozen=True, slots=True)
class End:
    """A host and the links that its RVG has."""

    host: HostView
    links: tuple[LinkConfig, ...]

    def to(self, other: End) -> LinkConfig | None:
        return next((link for link in self.links if link.remote_host == other.host.name), None)


def pair_steps(near: End, far: End, wanted: Wanted, attributes: dict[str, str], fresh: Fresh) -> list[Step]:
    """Steps that make a link between two hosts; none when it is there."""
    ours, theirs = near.to(far), far.to(near)
    if ours is not None and theirs is not None and ours.link_id == theirs.link_id:
        return []
    # One end alone is what a crash left; its key is not told, so both ends are made anew
    steps = [Step(f"{end.host.name}: remove the left-over end {link.name}",
                  Call(end.host.name, "link.remove", LinkOf(dg=wanted.dg, rvg=wanted.name, link_id=link.link_id)))
             for end, link in ((far, theirs), (near, ours)) if link is not None]
    return steps + link_steps(near.host, far.host, wanted, attributes, fresh)


def link_steps(primary: HostView, secondary: HostView, wanted: Wanted, attributes: dict[str, str],
               fresh: Fresh) -> list[Step]:
    """Both ends, the Secondary's first: when the Primary's end begins to call, somebody answers."""
    return [_link_step(secondary, primary, wanted, attributes, fresh),
            _link_step(primary, secondary, wanted, attributes, fresh)]


def _link_step(here: HostView, remote: HostView, wanted: Wanted, attributes: dict[str, str], fresh: Fresh) -> Step:
    remote_status = _status(remote)
    link = link_to(remote, wanted.name, fresh.link_id, fresh.key, attributes)
    return Step(f"{here.name}: add link {link.name} to {remote.address} port {remote_status.port}, certificate "
                f"{remote_status.fingerprint[:23]}…",
                Call(here.name, "link.add", LinkAdd(dg=wanted.dg, rvg=wanted.name, link=link)),
                (Call(here.name, "link.remove", LinkOf(dg=wanted.dg, rvg=wanted.name, link_id=fresh.link_id)),))


def link_to(remote: HostView, rvg: str, link_id: str, key: str, attributes: dict[str, str]) -> LinkConfig:
    """One end, with what the other host says of itself now."""
    status = _status(remote)
    return LinkConfig(link_id=link_id, name=rlink_name(remote.name, rvg), remote_host=remote.name,
                      remote_address=remote.address, remote_port=status.port, peer_certificate=status.certificate,
                      key=key, attributes=attributes)


def _status(view: HostView) -> EngineStatus:
    assert view.status is not None, f"host {view.name} answers without a status"
    return view.status


# ---- setup: all in one


def plan_setup(world: World, wanted: Wanted, primary: str, secondary: str, attributes: Mapping[str, str],
               fresh: Fresh) -> Plan:
    """createpri, addsec and startrep -a, each only as far as it is missing."""
    first = plan_createpri(world, primary, wanted, fresh)
    view = world.host(primary)
    existing = view.rvg(wanted.dg, wanted.name)
    facts = _Primary(view, existing.config.rds_id if existing is not None else fresh.rds_id, wanted,
                     tuple(existing.config.links) if existing is not None else ())
    second = _addsec(world, facts, secondary, attributes, fresh)
    made = any(step.do.method == "link.add" for step in second.steps)
    near = None if made else next((link for link in facts.links if link.remote_host == secondary), None)
    status = Member(view, existing).link_status(secondary) if existing is not None and near is not None else None
    plan = Plan(first.steps + second.steps, first.notes)
    if status is not None and status.state is not LinkState.STALE:
        return plan.then(Plan(notes=(f"replication to {secondary} has been started already",)))
    link_id = near.link_id if near is not None else fresh.link_id
    return plan.then(Plan((start_step(primary, wanted.dg, wanted.name, link_id, secondary, StartMethod.AUTOSYNC),),
                          (f"how far it is: volrep -g {wanted.dg} repstatus {wanted.name}",)))


def start_step(primary: str, dg: str, rvg: str, link_id: str, secondary: str, method: StartMethod) -> Step:
    request = LinkStartRequest(dg=dg, rvg=rvg, link_id=link_id, method=method)
    return Step(f"{primary}: start replication of RVG {rvg} to {secondary} ({method.value})",
                Call(primary, "link.start", request),
                (Call(primary, "link.stop", LinkOf(dg=dg, rvg=rvg, link_id=link_id)),))


# ---- delsec, delpri


def plan_delsec(world: World, rds: Rds, secondary: str, new: Callable[[], Fresh], *, force: bool) -> Plan:
    """Remove a Secondary whose replication is stopped. `force`: also when it runs, or one of the hosts is silent.

    Raises VR-1302, VR-1304, VR-1320, or what keeps a host from answering.
    """
    secondary = rds.choose_secondary(secondary)
    far = rds.member(secondary)
    if far is None and not force:
        world.host(secondary)
    primary = rds.primary() if not force or rds.primaries else None
    steps: list[Step] = []
    link = primary.link_to(secondary) if primary is not None else None
    state = primary.link_status(secondary) if primary is not None else None
    if primary is not None and link is not None:
        if state is not None and state.state is not LinkState.STALE:
            if not force:
                raise VolrepError(messages.LINK_UNSTOPPED, rvg=rds.name, host=secondary, dg=rds.dg,
                                  state=state.state.value)
            steps.append(Step(f"{primary.host.name}: stop replication of RVG {rds.name} to {secondary}",
                              Call(primary.host.name, "link.stop", _of(rds, link))))
        if state is None and not force:
            raise VolrepError(messages.RVG_DOWN, rvg=rds.name, host=primary.host.name, reason=primary.info.problem)
    if far is not None:
        steps += [Step(f"{secondary}: remove link {end.name}", Call(secondary, "link.remove", _of(rds, end)),
                       _relink(rds, rds.member(end.remote_host), far, new)) for end in far.info.config.links]
    for other in rds.members:
        if (near := other.link_to(secondary)) is not None:
            remove = Call(other.host.name, "link.remove", _of(rds, near))
            # Both ends come back when the far one is taken back
            steps.append(Step(f"{other.host.name}: remove link {near.name}", remove, (remove,)))
    if far is not None:
        request = RvgDelete(dg=rds.dg, name=rds.name)
        steps.append(Step(f"{secondary}: remove RVG {rds.name}; its volumes keep their data",
                          Call(secondary, "rvg.delete", request)))
    return Plan(tuple(steps))


def _relink(rds: Rds, other: Member | None, far: Member, new: Callable[[], Fresh]) -> tuple[Call, ...]:
    """Calls that pair both ends again, with a new key: the old one is not told. A stopped link loses nothing by it."""
    old = other.link_to(far.host.name) if other is not None else None
    if other is None or old is None:
        return ()
    config = far.info.config
    wanted = Wanted(rds.dg, rds.name, tuple(v.name for v in config.volumes), config.srl.name)
    added = [step.do for step in link_steps(other.host, far.host, wanted, old.attributes, new())]
    return (Call(other.host.name, "link.remove", _of(rds, old)), *added)


def _of(rds: Rds, link: LinkConfig) -> LinkOf:
    return LinkOf(dg=rds.dg, rvg=rds.name, link_id=link.link_id)


def plan_delpri(rds: Rds, *, force: bool) -> Plan:
    """Raises VR-1302, VR-1321. Exports in use are refused by the engine unless `force`."""
    primary = rds.primary()
    if left := rds.secondary_names():
        raise VolrepError(messages.SECONDARIES_LEFT, rvg=rds.name, dg=rds.dg, known=", ".join(left))
    host = primary.host.name
    request: Shape = RvgDelete(dg=rds.dg, name=rds.name, force=force)
    return Plan((Step(f"{host}: remove RVG {rds.name}; its volumes keep their data",
                      Call(host, "rvg.delete", request)),))


