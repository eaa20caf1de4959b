"""The hosts of a data set as changes of the Primary role see them. Pure.

Knows which statement of which host says what: who is Primary, who was, how far each log goes. Must not know what
follows from it (readiness, plans).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from volrep.engine.api import HookList
from volrep.model.config import LinkConfig, Role
from volrep.model.hooks import HookEvent
from volrep.model.status import LinkStatus, RoleFlag, RvgState, RvgStatus
from volrep.rds.strays import fails_back
from volrep.rds.world import Member, Rds, World

ACTING, PRIMARY_PRIMARY = RoleFlag.ACTING_SECONDARY, RoleFlag.PRIMARY_PRIMARY

Hooks = Mapping[str, HookList]
"""Host -> its hooks, of the hosts that could say."""


@dataclass(frozen=True, slots=True)
class Site:
    """One host. With a `problem` nothing is known of its RVG at the moment; `member` may be None then."""

    host: str
    member: Member | None
    problem: str = ""

    @property
    def status(self) -> RvgStatus | None:
        return self.member.info.status if self.member is not None else None

    @property
    def role(self) -> Role | None:
        return self.member.info.config.role if self.member is not None else None

    @property
    def flags(self) -> Sequence[str]:
        return self.status.role_flags if self.status is not None else []

    @property
    def acting(self) -> bool:
        """An old Primary that has been superseded: no I/O, its writes beyond the fork still there."""
        return ACTING in self.flags

    @property
    def is_primary(self) -> bool:
        return self.role is Role.PRIMARY and not self.acting

    @property
    def is_secondary(self) -> bool:
        return self.role is Role.SECONDARY and not self.acting

    @property
    def running(self) -> bool:
        return self.status is not None and self.status.state is not RvgState.FAIL

    @property
    def connections(self) -> int:
        """Of applications to its volumes."""
        return sum(volume.open_connections for volume in self.status.volumes) if self.status is not None else 0

    @property
    def position(self) -> tuple[int, int]:
        """(generation, LSN up to which it holds the log, in memory or on disk): what a takeover here would keep."""
        if self.status is None:
            return 0, 0
        tail_bytes = self.status.announced.tail_bytes if self.status.announced is not None else 0
        return self.status.generation, self.status.srl.end_lsn + tail_bytes

    def took_s(self, step: str, missing_bytes: int = 0) -> float | None:
        """What a step took here last; None when it was never measured, or had less to wait for than `missing_bytes`."""
        took = self.member.info.took.get(step) if self.member is not None else None
        return took.seconds if took is not None and missing_bytes <= took.bytes else None

    def link_to(self, host: str) -> LinkConfig | None:
        return self.member.link_to(host) if self.member is not None else None

    def link_status(self, host: str) -> LinkStatus | None:
        return self.member.link_status(host) if self.member is not None else None


@dataclass(frozen=True, slots=True)
class Sites:
    """All hosts of one data set, in the order of their names, silent ones too."""

    rds: Rds
    all: tuple[Site, ...]
    hooks: Hooks
    attached: Mapping[str, Sequence[str]]  # host -> volumes of the set that are block devices there

    def __getitem__(self, host: str) -> Site:
        return next((site for site in self.all if site.host == host), Site(host, None, "it is no host of this RDS"))

    @property
    def primaries(self) -> list[Site]:
        return [site for site in self.all if site.is_primary]

    @property
    def primary(self) -> Site | None:
        """The one Primary, None when there is none that answers, or two."""
        return self.primaries[0] if len(self.primaries) == 1 else None

    @property
    def secondaries(self) -> list[Site]:
        return [site for site in self.all if site.is_secondary]

    @property
    def acting(self) -> list[Site]:
        return [site for site in self.all if site.acting]

    def returning(self) -> list[Site]:
        """Whom `fbsync` brings back: old Primaries, and Secondaries of a reign that was given up."""
        return [site for site in self.all if site.member is not None and fails_back(self.rds, site.member)]

    def others(self, *hosts: str) -> list[Site]:
        return [site for site in self.all if site.host not in hosts]

    def former_primary(self) -> str:
        """Whom the Secondaries followed last, when no host is Primary; "" when nobody can say."""
        said = [(site.status.generation, site.status.announced.last_contact_ns, site.status.announced.primary)
                for site in self.secondaries if site.status is not None and site.status.announced is not None
                and site.status.announced.primary]
        return max(said)[2] if said else ""

    def candidates(self) -> list[Site]:
        """Secondaries that could take over, the one with most of the Primary's writes first."""
        able = [site for site in self.secondaries if site.running and site.status is not None
                and site.status.consistent]
        return sorted(able, key=lambda site: (*(-part for part in site.position), site.host))

    def programs(self, host: str, event: HookEvent) -> list[str]:
        found = self.hooks.get(host)
        return [hook.name for hook in found.hooks if hook.event is event] if found is not None else []


def sites_of(world: World, rds: Rds, hooks: Hooks, attached: Mapping[str, Sequence[str]] | None = None) -> Sites:
    """Every host that holds an RVG of the set or that a link of it names."""
    names = {member.host.name for member in rds.members}
    names |= {link.remote_host for member in rds.members for link in member.info.config.links}
    return Sites(rds, tuple(_site(world, rds, name) for name in sorted(names)), hooks, attached or {})


def _site(world: World, rds: Rds, host: str) -> Site:
    member = rds.member(host)
    if member is not None:
        status = member.info.status
        if status is None:
            return Site(host, member, f"its RVG is not running: {member.info.problem}")
        failed = status.state is RvgState.FAIL
        return Site(host, member, f"its RVG has failed: {status.reason}" if failed else "")
    view = next((view for view in world.hosts if view.name == host), None)
    if view is None:
        return Site(host, None, "it is not in the inventory of hosts")
    if view.problem is not None:
        return Site(host, None, view.problem.text)
    return Site(host, None, f"it has no RVG {rds.name} of this data set")
