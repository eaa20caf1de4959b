"""Plans that bring an RVG out of FAIL. Pure.

What is damaged, and what an operator may agree to lose, the worker says (`volrep.model.damage`); here it is decided on
which host to act, and what must be agreed to by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from volrep.engine.api import RvgAslog, RvgInfo, RvgRecover, VolumeReplace
from volrep.model.damage import Damage, LostRecord
from volrep.model.errors import VolrepError
from volrep.model.messages import rds as messages
from volrep.model.status import LinkState, RvgState
from volrep.rds.step import Call, Plan, Step
from volrep.rds.world import Member, Rds, World


def damage_of(member: Member) -> Damage | None:
    return member.info.status.damage if member.info.status is not None else None


def is_failed(member: Member) -> bool:
    status = member.info.status
    return status is None or status.state is RvgState.FAIL


def failed_members(world: World, rds: Rds, host: str) -> list[Member]:
    """Of one host, or of all that answer; the Primary first. Raises why a named host does not answer."""
    if host:
        world.host(host)
    return [m for m in (*rds.primaries, *rds.secondaries) if host in ("", m.host.name) and is_failed(m)]


def plan_recover(rds: Rds, member: Member) -> Plan:
    """Try again, giving nothing up."""
    return _recover(rds, member, "")


def plan_give_up(rds: Rds, members: list[Member]) -> tuple[Plan, Member, Damage]:
    """Go on without what is damaged. Raises VR-1350 when nothing can be given up, VR-1351 when several hosts could."""
    able = [(m, damage) for m in members if (damage := damage_of(m)) is not None and damage.accept]
    if not able:
        raise VolrepError(messages.NOTHING_TO_GIVE_UP, rvg=rds.name, dg=rds.dg)
    if len(able) > 1:
        raise VolrepError(messages.SEVERAL_DAMAGED, rvg=rds.name, hosts=", ".join(m.host.name for m, _ in able))
    member, damage = able[0]
    return _recover(rds, member, damage.accept), member, damage


def _recover(rds: Rds, member: Member, accept: str) -> Plan:
    host = member.host.name
    without = f", without what is damaged ({accept})" if accept else ""
    return Plan((Step(f"{host}: recover RVG {rds.name}{without}",
                      Call(host, "rvg.recover", RvgRecover(dg=rds.dg, name=rds.name, accept=accept))),))


def plan_aslog(rds: Rds, member: Member, srl: str, *, force: bool) -> Plan:
    host, old = member.host.name, member.info.config.srl.name
    what = f"make its SRL {srl} anew" if srl == old else f"{srl} becomes its SRL in place of {old}"
    return Plan((Step(f"{host}: RVG {rds.name}: {what}",
                      Call(host, "rvg.aslog", RvgAslog(dg=rds.dg, name=rds.name, srl=srl, force=force))),))


def aslog_member(rds: Rds, host: str) -> Member:
    """The host named, or the only one whose SRL is damaged, or the only one. Raises VR-1352."""
    named = [m for m in rds.members if m.host.name == host] if host else list(rds.members)
    damaged = [m for m in named if (found := damage_of(m)) is not None and found.kind.value.startswith("srl")]
    chosen = damaged if len(damaged) == 1 else named
    if len(chosen) != 1:
        raise VolrepError(messages.WHICH_HOST, rvg=rds.name, hosts=", ".join(m.host.name for m in rds.members))
    return chosen[0]


def aslog_loses(member: Member) -> str:
    """What the operator must agree to, in words."""
    damage = damage_of(member)
    if damage is None and not is_failed(member):
        return "applications stop for a moment; Secondaries that lack something become STALE"
    if damage is not None and not damage.kind.value.startswith("srl"):
        return "completed writes that are in the SRL alone, not yet on the volumes, are LOST; all links become STALE"
    return (f"what is in the old SRL alone is LOST ({damage.lost if damage is not None else 'not known'}); "
            f"all links become STALE")


def replace_host(world: World, dg: str, volume: str, host: str) -> str:
    """The host named, or the only one where the volume's RVG is in FAIL. Raises VR-1352."""
    if host:
        return world.host(host).name
    holders = [Member(view, info) for view in world.answering() for info in view.rvgs
               if dg in ("", info.config.dg) and volume in [v.name for v in info.config.volumes]]
    failed = [m for m in holders if is_failed(m)]
    chosen = failed if failed else holders
    if len(chosen) != 1:
        raise VolrepError(messages.WHICH_HOST, rvg=f"of volume {volume}",
                          hosts=", ".join(m.host.name for m in holders) or "none")
    return chosen[0].host.name


def plan_replace(dg: str, host: str, volume: str, path: str, *, force: bool) -> Plan:
    """`path` "": a fresh file."""
    return Plan((Step(f"{host}: {path or 'a fresh file'} takes the place of volume {volume}",
                      Call(host, "volume.replace", VolumeReplace(dg=dg, name=volume, path=path, force=force))),))


def next_moves(rds: Rds, host: str, infos: Iterable[RvgInfo]) -> list[str]:
    """What is to be said after a recovery: how it was found, and links that need a copy now."""
    said = []
    for info in infos:
        status = info.status
        if status is None:
            continue
        found = status.recovered
        if found is not None:
            lost = f"; {_parts(found.given_up)} damaged parts of the log given up" if found.given_up else ""
            said.append(f"{host}: RVG {rds.name} is enabled; {found.records} records replayed, the log ends at LSN "
                        f"{found.end_lsn}{lost}")
        said += [f"link to {link.remote_host} is STALE ({link.reason}); copy again: volrep -g {rds.dg} -a startrep "
                 f"{rds.name} {link.remote_host}" for link in status.links
                 if link.state is LinkState.STALE and info.config.role.value == "primary"]
    return said


def _parts(lost: Sequence[LostRecord]) -> int:
    """Of one damaged part a record may be known, and what lay behind it not."""
    return sum(1 for before, record in pairwise([None, *lost])
               if record is not None and (before is None or before.to_lsn != record.from_lsn))
