"""One run: a world built from a plan, its actions carried out, then peace, and the last look."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from tests.sim.actions import ACTIONS
from tests.sim.application import Client
from tests.sim.host import Process, SimHost
from tests.sim.loop import Violation, World
from tests.sim.net import Net
from tests.sim.oracle import Oracle
from tests.sim.plan import Plan
from tests.sim.recovering import OutOfReach
from tests.sim.scale import scaled
from volrep.log.ring import HEADER_AREA_BYTES
from volrep.model.config import ExportConfig, LinkConfig, Role, RvgConfig, RvgVolume, StartMethod
from volrep.model.errors import VolrepError
from volrep.model.status import LinkState
from volrep.nbd.exports import ExportInfo
from volrep.rvg.primary import Primary

OPERATOR_S = 1.0  # how long the operator lets a failed RVG or a stale link stand
STILL_S = 10.0
FAILS_MAX = 3  # starts in a row that end in FAIL
PEACE_S = 90.0  # simulated time in which everything must have become equal


@dataclass(slots=True)
class Outcome:
    """What came of a run. `violation` is empty when every promise held."""

    plan: Plan
    violation: str = ""
    trace_hash: str = ""
    crashes: int = 0  # processes killed and hosts without power, live
    probes: int = 0  # losses of power looked at on copies of the disks
    completed: int = 0
    reads: int = 0
    events: int = 0
    wall_s: float = 0.0
    failures: list[str] = field(default_factory=list)
    lost: bool = False  # the Primary's log was damaged beyond what it can go on with, and it said so
    refused: dict[str, int] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)  # what happened last before the violation


class Run:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.world = World(plan.seed)
        setting = plan.setting
        self.net = Net(self.world, setting.delays_s, setting.window_bytes)
        random = Random(plan.seed + 1)
        self.hosts = [SimHost(self.world, self.net, config, Random(random.random())) for config in self.configs(plan)]
        self.oracle = self.oracle_for({h.name: h for h in self.hosts}, Random(random.random()))
        self.peace = False
        self.refused: dict[str, int] = {}
        self._client_random = random
        self._clients: list[Client] = []
        self.dead_for_good = False
        self._progress: dict[int, tuple[int, float]] = {}
        for host in self.hosts:
            host.on_exported = self._exported
            inner = host.on_dead
            host.on_dead = partial(self._died, inner=inner)
            host.on_failed = self._failed
            for disk in host.disks.values():
                disk.trouble.cold = setting.cold

    def configs(self, plan: Plan) -> list[RvgConfig]:
        return _configs(plan)

    def oracle_for(self, hosts: dict[str, SimHost], random: Random) -> Oracle:
        return Oracle(self.world, hosts, self.hosts[0].name, random)

    # what actions use

    def host(self, index: int) -> SimHost:
        return self.hosts[index % len(self.hosts)]

    def link_id(self, secondary: int) -> str:
        return f"link{secondary}"

    def ask(self, method: str, params: dict[str, Any]) -> None:
        """A verb at the Primary; the operator sees refusals and lives with them."""
        process = self.hosts[0].process
        if process is None or process.worker.config is None:
            return

        def done(error: VolrepError | None) -> None:
            if error is not None:
                self.refused[error.id] = self.refused.get(error.id, 0) + 1
            self.world.note(method, error.id if error else "ok")

        process.call(method, params, done=done)

    def start_link(self, secondary: int, method: str = StartMethod.AUTOSYNC.value) -> None:
        self.ask("link.start", {"link_id": self.link_id(secondary), "method": method})

    def set_attributes(self, link_id: str, attributes: dict[str, str]) -> None:
        """The engines deliver the changed configuration to both ends."""
        for host in self.hosts:
            for link in host.config.links:
                if link.link_id == link_id:
                    changed = link.changed(attributes=attributes)
                    links = [changed if other is link else other for other in host.config.links]
                    host.config = host.config.changed(links=links)
                    if host.process is not None:
                        host.process.configure()

    def gone(self, host: SimHost) -> None:
        """A process that ended by itself: the engine notices."""
        process = host.process
        if process is not None and process.loop.dead:
            host.process = None
            process.die(power=False)
            self._died(process, self.oracle.died)

    # what happens by itself

    def _died(self, process: Process, inner: Callable[[Process], None]) -> None:
        inner(process)
        host = process.host
        down_s, host.down_s = host.down_s or self.world.between(0.1, 1.0), 0.0
        self.world.after(down_s, lambda: host.start() if host.process is None else None)

    def _failed(self, process: Process) -> None:
        """The operator looks at the disks, finds them working, and starts the RVG again; damage stays damage."""
        host = process.host
        host.fails_in_a_row += 1
        if host.fails_in_a_row > FAILS_MAX:
            self._beyond_repair(host)
            return

        def again() -> None:
            if host.process is process:
                for disk in host.disks.values():
                    disk.trouble.write_errors = disk.trouble.sync_errors = disk.trouble.read_errors = 0
                host.kill(power=False)

        self.world.after(self.world.between(0.2, OPERATOR_S), again)

    def _beyond_repair(self, host: SimHost) -> None:
        self.dead_for_good = self.dead_for_good or host is self.hosts[0]
        host.beyond_repair = True

    def _exported(self, process: Process, volume_index: int, service: Primary) -> None:
        config = process.host.config
        volume = config.volumes[volume_index]
        export = ExportInfo(volume.name, volume.size_bytes, volume.index)
        load = self.plan.setting.load
        process.receive_bytes, process.in_flight_max = load.burst * (load.write_bytes + 1024), 64
        for _ in range(load.clients):
            client = Client(self.oracle.new_number(), process, export, service, load, self.oracle,
                            Random(self._client_random.random()))
            client.quiet = self.peace
            process.exports[-1].connections.add(client)
            self._clients.append(client)

    # the course of things

    def go(self) -> None:
        for host in self.hosts:
            self.world.after(self.world.between(0, 0.05), host.start)
        method = self.plan.setting.start
        for secondary in range(1, len(self.hosts)):
            self.world.after(self.world.between(0.1, 0.25), partial(self.start_link, secondary, method))
        self.world.after(OPERATOR_S, self._look_after)
        for at_s, kind, args in self.plan.actions:
            self.world.at(at_s, partial(self._act, kind, args))
        self.world.run(self.plan.setting.seconds, lambda: self.dead_for_good)
        if not self.dead_for_good:
            self._end()

    def _act(self, kind: str, args: dict[str, Any]) -> None:
        self.world.note(kind, sorted(args.items()))
        ACTIONS[kind].do(self, **args)

    def _end(self) -> None:
        """Faults stop, applications finish, the operator sets right what needs an order."""
        self.peace = True
        self.net.unblock_all()
        self.net.delays_s = self.plan.setting.delays_s
        for host in self.hosts:
            host.calm()
        for client in self._clients:
            client.quiet = True
        until_s = self.world.now_s + PEACE_S
        calm = 0
        while self.world.now_s < until_s and not self.dead_for_good and calm < 2:
            self.world.run(self.world.now_s + OPERATOR_S)
            self._tend()
            calm = calm + 1 if self._settled() else 0
        if not self.dead_for_good:
            self._last_look()

    def _last_look(self) -> None:
        for client in self._clients:
            if not client.closed and client.waiting and not client._process.loop.dead:
                raise Violation(f"{client.waiting} requests of {client.name} were never answered")
        if any(host.beyond_repair for host in self.hosts):
            return  # it said what is damaged; replacing its SRL is the operator's, and not simulated
        self.oracle.check_converged()
        for host in self.hosts:
            self.oracle.probe(host)

    def _stands_still(self, index: int, acked_lsn: int) -> bool:
        """Whether nothing has reached this Secondary for STILL_S, though there is something to send."""
        before_lsn, since_s = self._progress.get(index, (-1, 0.0))
        if acked_lsn != before_lsn:
            self._progress[index] = (acked_lsn, self.world.now_s)
            return False
        return acked_lsn < self.oracle.history.end_lsn and self.world.now_s > since_s + STILL_S

    def _settled(self) -> bool:
        waiting = any(c.waiting for c in self._clients if not c.closed and not c._process.loop.dead)
        return (not waiting and self.oracle.caught_up()) or any(h.beyond_repair for h in self.hosts)

    def _look_after(self) -> None:
        if self.peace:
            return
        if self.world.random.random() < self.plan.setting.tends:
            self._tend(resume=False)
        self.world.after(OPERATOR_S, self._look_after)

    def _tend(self, *, resume: bool = True) -> None:
        process = self.hosts[0].process
        if process is None or process.worker.primary is None:
            return
        for index in range(1, len(self.hosts)):
            link = process.worker.primary.links[self.link_id(index)]
            if link.mind.state == LinkState.STALE:
                self.start_link(index)
            elif link.active and self.hosts[0].srl.damaged and self._stands_still(index, link.mind.acked_lsn):
                self.ask("link.stop", {"link_id": self.link_id(index)})  # its log has rotted: a copy is the way out
            elif resume and link.mind.state == LinkState.PAUSE:
                self.ask("link.resume", {"link_id": self.link_id(index)})


def _configs(plan: Plan) -> list[RvgConfig]:
    setting = plan.setting
    names = ["london", *(f"tokyo{i}" for i in range(1, setting.secondaries + 1))]
    links = {i: LinkConfig(link_id=f"link{i}", name=f"to_{names[i]}", remote_host=names[i], remote_address=names[i],
                           remote_port=1, peer_certificate="", key="00" * 32, attributes=dict(setting.attributes))
             for i in range(1, len(names))}
    found = []
    for index, name in enumerate(names):
        volumes = [RvgVolume(index=i, name=f"dv{i}", path=f"{name}/dv{i}", size_bytes=size, volume_id=f"{name}.dv{i}")
                   for i, size in enumerate(setting.volume_bytes)]
        srl = RvgVolume(index=-1, name="srl", path=f"{name}/srl", volume_id=f"{name}.srl",
                        size_bytes=HEADER_AREA_BYTES + setting.ring_bytes)
        mine = list(links.values()) if index == 0 else [links[index].changed(remote_host=names[0])]
        found.append(RvgConfig(
            rds_id="rds", rvg_id=f"rvg-{name}", dg="dg", name="rvg", host=name,
            role=Role.PRIMARY if index == 0 else Role.SECONDARY, srl=srl, volumes=volumes, links=mine,
            exports=[ExportConfig(volume=v.name, listen=f"unix:/{v.name}") for v in volumes] if index == 0 else [],
            certificate_path="", private_key_path=""))
    return found


def execute(plan: Plan) -> Outcome:
    """Run the plan; a broken promise is the outcome's `violation`."""
    from tests.sim.rolling import RollingRun  # it builds on `Run`

    started_s = time.monotonic()
    outcome = Outcome(plan)
    with scaled():
        run = RollingRun(plan) if plan.setting.roles else Run(plan)
        try:
            run.go()
        except OutOfReach as beyond:
            run.dead_for_good = True
            outcome.failures.append(str(beyond))
        except AssertionError as violation:
            outcome.violation = f"at {run.world.now_s:.6f} s: {violation}"
            outcome.recent = [f"{at_s:12.6f}  {' '.join(map(str, what))}" for at_s, what in run.world.recent]
    outcome.trace_hash = run.world.trace_hash
    outcome.crashes = sum(h.kills for h in run.hosts)
    outcome.probes = run.oracle.probes
    outcome.completed, outcome.reads, outcome.events = run.oracle.completed, run.oracle.reads, run.world.events
    outcome.failures += run.oracle.failures
    outcome.refused = run.refused
    outcome.lost = run.dead_for_good
    outcome.wall_s = time.monotonic() - started_s
    return outcome
