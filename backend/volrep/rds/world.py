"""What all hosts say of themselves, and the Replicated Data Sets seen in it. Pure.

Knows how RVGs of several hosts belong together (same disk group, name and rds_id). Must not know how hosts are
asked, nor what is to be done.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from volrep.engine.api import EngineStatus, RvgInfo, VolumeInfo
from volrep.model.config import LinkConfig, Role
from volrep.model.errors import VolrepError
from volrep.model.messages import hosts as host_messages
from volrep.model.messages import rds as messages
from volrep.model.messages import usage
from volrep.model.status import Event, KState, LinkStatus, RoleFlag


@dataclass(frozen=True, slots=True)
class HostView:
    """One host, observed. With a `problem` nothing else is known of it."""

    name: str
    address: str = ""  # where other hosts reach its replication port
    status: EngineStatus | None = None
    rvgs: tuple[RvgInfo, ...] = ()
    volumes: tuple[VolumeInfo, ...] = ()
    events: tuple[Event, ...] = ()
    problem: VolrepError | None = None

    def rvg(self, dg: str, name: str) -> RvgInfo | None:
        return next((r for r in self.rvgs if (r.config.dg, r.config.name) == (dg, name)), None)

    def volume(self, dg: str, name: str) -> VolumeInfo | None:
        return next((v for v in self.volumes if (v.config.dg, v.config.name) == (dg, name)), None)


@dataclass(frozen=True, slots=True)
class Member:
    """The RVG of one host in its RDS."""

    host: HostView
    info: RvgInfo

    @property
    def waits(self) -> bool:
        """A Primary that has started and serves nobody before the other hosts have answered."""
        return self.info.status is not None and bool(self.info.status.asking)

    @property
    def standing(self) -> tuple[bool, bool, int, bool]:
        """Of a Primary: the lowest is the one that reigns. One that waits does not; of the others the newest."""
        status = self.info.status
        if status is None:
            return True, True, 0, True
        return (RoleFlag.ACTING_SECONDARY in status.role_flags, status.kstate is KState.RECOVER, -status.generation,
                status.kstate is not KState.ENABLED)

    def link_to(self, remote_host: str) -> LinkConfig | None:
        return next((link for link in self.info.config.links if link.remote_host == remote_host), None)

    def link_status(self, remote_host: str) -> LinkStatus | None:
        links = self.info.status.links if self.info.status is not None else []
        return next((link for link in links if link.remote_host == remote_host), None)


@dataclass(frozen=True, slots=True)
class Rds:
    """One data set: its Primary and Secondaries as far as their hosts answer, in the order of the host names."""

    dg: str
    name: str
    rds_id: str
    members: tuple[Member, ...]
    silent: tuple[str, ...] = ()  # hosts that did not answer, whatever they hold

    @property
    def primaries(self) -> list[Member]:
        """Whoever reigns first: an old Primary that is back and waits stands behind the one that took over."""
        return sorted((m for m in self.members if m.info.config.role is Role.PRIMARY), key=lambda m: m.standing)

    @property
    def reigning(self) -> Member | None:
        """The Primary that serves, or did until it failed; None when nobody does, or whoever could still waits."""
        return next((m for m in self.primaries if not m.waits), None)

    @property
    def secondaries(self) -> list[Member]:
        return [m for m in self.members if m.info.config.role is Role.SECONDARY]

    def primary(self) -> Member:
        """The one Primary. Raises VR-1302, VR-1364."""
        found = self.primaries
        if not found:
            silent = f" ({', '.join(self.silent)} did not answer)" if self.silent else ""
            raise VolrepError(messages.NO_PRIMARY, rvg=self.name, silent=silent)
        if len(found) > 1:
            raise VolrepError(messages.PRIMARY_PRIMARY, rvg=self.name, dg=self.dg,
                              hosts=", ".join(m.host.name for m in found))
        return found[0]

    def member(self, host: str) -> Member | None:
        return next((m for m in self.members if m.host.name == host), None)

    def secondary_names(self) -> list[str]:
        """Hosts that the Primary has links to and hosts that hold a Secondary RVG, reachable or not."""
        named = {m.host.name for m in self.secondaries}
        for member in self.primaries:
            named |= {link.remote_host for link in member.info.config.links}
        return sorted(named)

    def choose_secondary(self, host: str) -> str:
        """`host`, or the only Secondary when it is "". Raises VR-1304, VR-1305, VR-1306."""
        known = self.secondary_names()
        if host:
            if host not in known:
                raise VolrepError(messages.SECONDARY_UNKNOWN, host=host, rvg=self.name,
                                  known=", ".join(known) or "none")
            return host
        if not known:
            raise VolrepError(messages.NO_SECONDARY, rvg=self.name, dg=self.dg, primary=self.primary().host.name)
        if len(known) > 1:
            raise VolrepError(messages.SECONDARY_UNNAMED, rvg=self.name, count=len(known), known=", ".join(known))
        return known[0]


@dataclass(frozen=True, slots=True)
class World:
    """All hosts asked, in the order of their names."""

    hosts: tuple[HostView, ...]

    def answering(self) -> list[HostView]:
        return [h for h in self.hosts if h.problem is None]

    def silent(self) -> tuple[str, ...]:
        return tuple(h.name for h in self.hosts if h.problem is not None)

    def host(self, name: str) -> HostView:
        """A host that answers. Raises VR-1100, or what keeps it from answering."""
        for view in self.hosts:
            if view.name == name:
                if view.problem is not None:
                    raise view.problem
                return view
        raise VolrepError(host_messages.HOST_UNKNOWN, host=name, known=", ".join(h.name for h in self.hosts))

    def all_rds(self, dg: str = "", names: Iterable[str] = ()) -> list[Rds]:
        """Every data set seen, ordered by disk group and name."""
        wanted = set(names)
        found: dict[tuple[str, str, str], list[Member]] = {}
        for host in self.answering():
            for info in host.rvgs:
                key = (info.config.dg, info.config.name, info.config.rds_id)
                if dg in ("", key[0]) and (not wanted or key[1] in wanted):
                    found.setdefault(key, []).append(Member(host, info))
        return [Rds(*key, tuple(members), self.silent()) for key, members in sorted(found.items())]

    def rds(self, dg: str, name: str, host: str = "") -> Rds:
        """The one data set of that name; `host` breaks a tie.

        Raises VR-1300, VR-1301, VR-1303, or why a host is silent.
        """
        found = [rds for rds in self.all_rds(dg, [name]) if not host or rds.member(host) is not None]
        if not found:
            raise self._unknown(dg, name)
        dgs = sorted({rds.dg for rds in found})
        if len(dgs) > 1:
            raise VolrepError(messages.RVG_AMBIGUOUS, rvg=name, dgs=", ".join(dgs))
        if len(found) > 1:
            raise VolrepError(messages.TWO_PRIMARIES, rvg=name, dg=dgs[0],
                              hosts=", ".join(m.host.name for rds in found for m in rds.members))
        return found[0]

    def _unknown(self, dg: str, name: str) -> VolrepError:
        """Not there; or, when a host does not answer, that: it may be the one that has it."""
        for host in self.hosts:
            if host.problem is not None:
                return host.problem
        known = sorted({info.config.name for host in self.hosts for info in host.rvgs})
        near = difflib.get_close_matches(name, known, n=3) or known[:3]
        return VolrepError(messages.RVG_UNKNOWN, rvg=name, where=f" in disk group {dg}" if dg else "",
                           closest=", ".join(near) or "none")

    def dgs(self) -> list[str]:
        return sorted({v.config.dg for h in self.hosts for v in h.volumes})

    def choose_dg(self, dg: str, verb: str) -> str:
        """`dg`, or the only one there is. Raises VR-1012."""
        known = self.dgs()
        if dg:
            return dg
        if len(known) == 1:
            return known[0]
        raise VolrepError(usage.NO_DG, verb=verb, known=", ".join(known) or "none")
