"""A run in which the Primary's role moves: every pair of hosts has a link, every host could export its volumes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from random import Random
from typing import Any

from tests.sim.host import SimHost
from tests.sim.operator import Operator, header_of, is_up, primary_of
from tests.sim.plan import Plan
from tests.sim.reigns import ReignOracle
from tests.sim.run import OPERATOR_S, Run
from volrep.model.config import Role, RvgConfig, StartMethod, Startup
from volrep.model.errors import VolrepError


class RollingRun(Run):
    oracle: ReignOracle

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.operator = Operator(self)

    def configs(self, plan: Plan) -> list[RvgConfig]:
        """As of a fixed Primary, with links and exports everywhere."""
        configs = super().configs(plan)
        links = {config.host: list(config.links) for config in configs}
        for a, b in combinations(range(1, len(configs)), 2):
            for here, there in ((configs[a], configs[b]), (configs[b], configs[a])):
                links[here.host].append(configs[0].links[0].changed(
                    link_id=f"link{a}{b}", name=f"to_{there.host}", remote_host=there.host,
                    remote_address=there.host))
        return [config.changed(links=links[config.host], exports=configs[0].exports,
                               startup=Startup(plan.setting.startup)) for config in configs]

    def oracle_for(self, hosts: dict[str, SimHost], random: Random) -> ReignOracle:
        return ReignOracle(self.world, hosts, self.hosts[0].name, random)

    # what actions use

    def ask_host(self, host: SimHost, method: str, params: dict[str, Any],
                 answered: Callable[[VolrepError | None], None] = lambda _: None) -> None:
        process = host.process
        if process is None or process.worker.config is None:
            return

        def done(error: VolrepError | None) -> None:
            if error is not None:
                self.refused[error.id] = self.refused.get(error.id, 0) + 1
            self.world.note(method, host.name, f"{error.id} {error.text}" if error else "ok")
            answered(error)

        process.call(method, params, done=done)

    def start_link(self, secondary: int, method: str = StartMethod.AUTOSYNC.value) -> None:
        here = self.hosts[0]
        if here in self.oracle.primaries():
            link = primary_of(here).links[self.link_id(secondary)]
            self.operator.start(here, link, StartMethod(method))

    # damage

    def _beyond_repair(self, host: SimHost) -> None:
        """The operator gives it fresh disks: an empty Secondary. When no other host has an image, all is lost."""
        others = [other for other in self.hosts if other is not host]
        if any(is_up(other) and header_of(other).consistent for other in others):
            self._replace(host)
        elif all(is_up(other) for other in others):
            self.dead_for_good = True
        else:
            self.world.after(OPERATOR_S, lambda: self._beyond_repair(host))

    def _replace(self, host: SimHost) -> None:
        host.kill(power=True)
        for disk in host.disks.values():
            disk.replace(bytearray(disk.size_bytes))
        host.files, host.fails_in_a_row = {}, 0
        host.config = host.config.changed(role=Role.SECONDARY)
        host.reverts += 1
        self.oracle.replaced(host)

    # the end

    def _tend(self, *, resume: bool = True) -> None:
        if self.peace or self.world.random.random() < 0.2:
            self.operator.settle()
        self.operator.tend(resume=resume)
