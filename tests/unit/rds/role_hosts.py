"""Hosts for tests of role changes: values that keep roles, ends of logs and promises as engines do.

They watch what no plan may ever do: two Primaries at one instant, a Primary that begins elsewhere than the old
one ended.
"""

from __future__ import annotations

from typing import Any

from tests.unit.rds.hosts import DG, Hosts, link_status, rvg_status
from tests.unit.rds.test_plan_rds import made
from volrep.engine.api import HookInfo, HookList, RvgDemoted, RvgInfo, RvgMakesec, RvgPromote
from volrep.model.config import LinkConfig, Role, RvgConfig
from volrep.model.damage import Salvage
from volrep.model.errors import VolrepError
from volrep.model.hooks import HookEvent, HookReport, HookResult, HookRun
from volrep.model.messages import engine as engine_messages
from volrep.model.status import Announced, KState, LinkState, LinkStatus, Took, VolumeStatus
from volrep.model.units import Reign
from volrep.model.worker import PromoteHow
from volrep.rds.sites import ACTING, PRIMARY_PRIMARY, Sites, sites_of

RVG = "hr_rvg"
NOW_NS = 1_000_000_000_000
HEARD_NS = NOW_NS - 30_000_000_000


class RoleHosts(Hosts):
    """`ends` of logs, `flags`, `connections`, `hooks` (host -> event -> program names), per host; change them
    freely."""

    def __init__(self, like: Hosts) -> None:
        super().__init__(*like.names)
        self.rvgs = like.rvgs
        self.ends = dict.fromkeys(like.names, 5000)
        self.generations = dict.fromkeys(like.names, 1)
        self.flags: dict[str, list[str]] = {name: [] for name in like.names}
        self.consistent = dict.fromkeys(like.names, True)
        self.connections = dict.fromkeys(like.names, 0)
        self.disconnected: set[str] = set()  # hosts that no link reaches
        self.tails = dict.fromkeys(like.names, 0)
        self.salvage: dict[str, Salvage] = {}  # of hosts whose damaged log was cut
        self.missing = dict.fromkeys(like.names, 0)
        self.asking: dict[str, list[str]] = {}  # a Primary that waits -> whom it waits for
        self.histories: dict[str, list[Reign]] = {}
        self.took: dict[str, dict[str, Took]] = {}
        self.last_primary = like.names[0]
        self.hooks: dict[str, dict[HookEvent, list[str]]] = {}
        self.attached: dict[str, list[str]] = {}
        self.failing_hooks: set[HookEvent] = set()
        self.follow: list[tuple[str, str, str]] = []  # (host, other, method)
        for host, link in self._ends(like.names[0]):
            self.states[host, link.link_id] = LinkState.ACTIVE

    def _ends(self, primary: str) -> list[tuple[str, LinkConfig]]:
        return [(name, link) for (name, _, _), config in self.rvgs.items() for link in config.links
                if primary in (name, link.remote_host)]

    # ---- as observed

    def _info(self, config: RvgConfig) -> RvgInfo:
        host = config.host
        volumes = [VolumeStatus(index=0, name="dv01", size_bytes=1, open_connections=self.connections[host])]
        announced = Announced(primary=self.last_primary, primary_end_lsn=9000, primary_writes=9,
                              last_contact_ns=HEARD_NS, missing_writes=self.missing[host],
                              missing_bytes=512 * self.missing[host], tail_writes=0, tail_bytes=self.tails[host],
                              last_write_ns=1)
        made = rvg_status(config, [self._link(host, link) for link in config.links], volumes=volumes,
                          generation=self.generations[host], consistent=self.consistent[host],
                          role_flags=self.flags[host],
                          announced=announced if config.role is Role.SECONDARY and host != self.last_primary else None)
        made.salvage = self.salvage.get(host)
        made.history = self.histories.get(host, [])
        if host in self.asking:
            made.asking, made.kstate = self.asking[host], KState.RECOVER
        made.srl.end_lsn = made.srl.durable_lsn = self.ends[host]
        return RvgInfo(config=config, status=made, took=self.took.get(host, {}))

    def _link(self, host: str, link: LinkConfig) -> LinkStatus:
        there = link.remote_host
        reached = not {host, there} & (self.disconnected | self.silent)
        lag = max(0, self.ends[host] - self.ends[there])
        return link_status(link, self.states.get((host, link.link_id), LinkState.STALE), connected=reached,
                           consistent=self.consistent[there], behind_bytes=lag, behind_writes=lag // 512,
                           behind_s=lag / 1024, current_mode="synchronous")

    def sites(self) -> Sites:
        world = self.world()
        hooks = {host: HookList(directory="/etc/volrep/hooks", hooks=[
            HookInfo(event=event, name=name) for event, names in events.items() for name in names])
            for host, events in self.hooks.items() if host not in self.silent}
        return sites_of(world, world.rds(DG, RVG), hooks, self.attached)

    def role(self, host: str) -> Role:
        return self.rvgs[host, DG, RVG].role

    def primaries(self) -> list[str]:
        return [name for name in self.names if self.role(name) is Role.PRIMARY]

    # ---- the control API, as far as role plans use it

    def rvg_demote(self, host: str, request: Any) -> RvgDemoted:
        config = self.rvgs[host, DG, RVG]
        if config.role is Role.PRIMARY:
            if self.connections[host] and not request.drain:
                raise VolrepError(engine_messages.EXPORTS_IN_USE, volume=RVG, connections=self.connections[host])
            (next_primary,) = [link.remote_host for link in config.links if link.link_id == request.link_id]
            self.ends[next_primary] = self.ends[host]
            config.role, self.connections[host] = Role.SECONDARY, 0
        return RvgDemoted(info=self._info(config), end_lsn=self.ends[host])

    def rvg_promote(self, host: str, request: RvgPromote) -> None:
        config = self.rvgs[host, DG, RVG]
        if request.how is PromoteHow.ELECT:
            self.flags[host] = []
            return
        assert config.role is Role.SECONDARY
        if request.how is PromoteHow.MIGRATE:
            assert not self.primaries(), "two Primaries at one instant"
            assert request.expect_lsn == self.ends[host] == max(self.ends.values())
        config.role = Role.PRIMARY
        for link in config.links:  # its own, which nobody follows yet
            self.states[host, link.link_id] = LinkState.STALE
        self.generations[host] = max(self.generations.values()) + 1
        self.last_primary = host

    def rvg_makesec(self, host: str, request: RvgMakesec) -> None:
        self.rvgs[host, DG, RVG].role = Role.SECONDARY
        self.flags[host] = [ACTING]

    def hook_run(self, host: str, request: HookRun) -> HookReport:
        if request.event in self.hooks.get(host, {}):
            if request.event in self.failing_hooks and request.event.decides:
                raise VolrepError(engine_messages.HOOK_FAILED, event=request.event, host=host, rvg=RVG, problem="no",
                                  said="no", log="x")
            if request.event is HookEvent.PRE_DEMOTE:
                self.connections[host] = 0
        problem = "no" if request.event in self.failing_hooks else ""
        return HookReport(event=request.event, results=[HookResult(name="10-x", seconds=0, problem=problem)])

    def link_start(self, host: str, request: Any) -> None:
        (other,) = [link.remote_host for link in self.rvgs[host, DG, RVG].links if link.link_id == request.link_id]
        assert self.role(host) is Role.PRIMARY
        self.follow.append((host, other, request.method.value))
        super().link_start(host, request)


def roles(*names: str) -> RoleHosts:
    """A data set that replicates, the first host the Primary; links between all pairs."""
    return RoleHosts(made(*names))


def split(*names: str) -> RoleHosts:
    """The first two are both Primary and know it."""
    hosts = roles(*names)
    hosts.rvgs[names[1], DG, RVG].role = Role.PRIMARY
    for name in names[:2]:
        hosts.flags[name] = [PRIMARY_PRIMARY]
    return hosts



def returned_and_waiting() -> RoleHosts:
    """Tokyo has taken over, cut off from london, which has started again and asks it before it serves."""
    hosts = roles("london", "tokyo", "paris")
    hosts.rvgs["tokyo", DG, RVG].role = Role.PRIMARY
    hosts.generations["tokyo"] = 2
    hosts.asking["london"] = ["tokyo"]
    hosts.disconnected.add("london")
    return hosts
