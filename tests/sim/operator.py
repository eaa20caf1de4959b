"""The operator who moves the Primary's role: what `volrep migrate`, `takeover`, `fbsync` and `elect` ask of workers.

An intent is pursued until it is done or given up. Each time the operator looks at all hosts that can be reached and
asks for the next step only, as the plans of `rds.plan_roles` do when the same command is said again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from volrep.model.config import StartMethod
from volrep.model.errors import VolrepError
from volrep.model.status import LinkState
from volrep.model.worker import PromoteHow
from volrep.rvg.outlink import OutLink
from volrep.rvg.primary import Primary

if TYPE_CHECKING:
    from tests.sim.host import SimHost
    from tests.sim.rolling import RollingRun

LOOK_S = 0.3
TRIES_MAX = 20
DEMOTE_WAIT_S = 2.0
OVERWRITING = (StartMethod.AUTOSYNC, StartMethod.BLANK, StartMethod.FORCE, StartMethod.FAILBACK)
_COPY_ALL = ("the logs differ", "nobody can say", "startrep -a")  # reasons of a link that name the remedy
_WAYS = (StartMethod.FOLLOW, StartMethod.FAILBACK, StartMethod.AUTOSYNC)  # to make a host equal, the cheapest first


@dataclass
class Intent:
    """One command, with the reign's id that it drew."""

    verb: str
    to: SimHost
    reign_id: str
    options: dict[str, Any] = field(default_factory=dict)
    former: SimHost | None = None  # whom this migrate has demoted
    former_reverts: int = 0
    tries: int = 0
    busy_until_s: float = 0.0
    done: bool = False


class Operator:
    def __init__(self, run: RollingRun) -> None:
        self._run = run
        self._tried: dict[tuple[str, str], int] = {}  # (reign, host): ways tried to make it equal
        self.done: dict[str, int] = {}

    # intents

    def begin(self, verb: str, to: SimHost, **options: Any) -> Intent:
        intent = Intent(verb, to, self._new_reign(), options)
        self._pursue(intent)
        return intent

    def _new_reign(self) -> str:
        return f"{self._run.world.random.getrandbits(64):016x}"

    def _pursue(self, intent: Intent) -> None:
        run = self._run
        if run.peace or intent.done:
            return
        if intent.former is not None and intent.former.reverts != intent.former_reverts:
            return  # where it ended when it was demoted is not known any more
        if run.world.now_s >= intent.busy_until_s:
            intent.tries += 1
            if run.oracle.tree.knows(intent.reign_id) and intent.to not in run.oracle.primaries():
                intent.reign_id = self._new_reign()  # it was, and has given the role away: said anew
            if intent.tries > TRIES_MAX:
                self._take_back(intent)
                return
            (self._migrate if intent.verb == "migrate" else self._takeover)(intent)
        run.world.after(LOOK_S * run.world.between(0.2, 1.0), lambda: self._pursue(intent))

    def _take_back(self, intent: Intent) -> None:
        """The other host cannot become Primary: the one that was takes the role again."""
        if intent.former is not None and is_up(intent.former) and not self._run.oracle.primaries():
            self._promote(intent.former, PromoteHow.MIGRATE, self._new_reign(), expect_lsn=_durable_lsn(intent.former))

    def _finished(self, intent: Intent) -> None:
        intent.done = True
        self.done[intent.verb] = self.done.get(intent.verb, 0) + 1
        self.follow(intent.to)

    def _migrate(self, intent: Intent) -> None:
        run, to = self._run, intent.to
        primaries = run.oracle.primaries()
        if to in primaries:
            self._finished(intent)
        elif not primaries and intent.former is not None and is_up(intent.former) and is_up(to):
            self._promote(to, PromoteHow.MIGRATE, intent.reign_id, expect_lsn=_durable_lsn(intent.former))
        elif len(primaries) == 1 and is_up(to):
            here = primaries[0]
            intent.busy_until_s = run.world.now_s + DEMOTE_WAIT_S + 1.0
            intent.former, intent.former_reverts = here, here.reverts

            def demoted(_: VolrepError | None) -> None:
                intent.busy_until_s = 0.0

            run.ask_host(here, "demote", {"drain": True, "link_id": _link(primary_of(here), to).config.link_id,
                                          "wait_s": DEMOTE_WAIT_S}, demoted)

    def _takeover(self, intent: Intent) -> None:
        if intent.to in self._run.oracle.primaries():
            self._finished(intent)
        elif is_up(intent.to):
            self._promote(intent.to, PromoteHow.TAKEOVER, intent.reign_id, **intent.options)

    def _promote(self, host: SimHost, how: PromoteHow, reign_id: str, **options: Any) -> None:
        process, oracle = host.process, self._run.oracle
        assert process is not None
        process.loop.call_from_thread(lambda: oracle.ask_promote(process, how))
        if options.get("autofb"):
            oracle.may_overwrite |= {(reign_id, name) for name in oracle.hosts}

        def answered(error: VolrepError | None) -> None:
            if error is None:
                oracle.promoted(process, how)

        self._run.ask_host(host, "promote", {"how": how.value, "new_reign": reign_id, **options}, answered)

    # making hosts equal

    def start(self, here: SimHost, link: OutLink, method: StartMethod) -> None:
        if method in OVERWRITING:
            self._run.oracle.order(here, link.config.remote_host)
        self._run.ask_host(here, "link.start", {"link_id": link.config.link_id, "method": method.value})

    def follow(self, here: SimHost) -> None:
        """Everybody who can without a copy; the others learn of this reign when they are dialled."""
        for link in primary_of(here).links.values():
            if link.mind.state == LinkState.STALE:
                self.start(here, link, StartMethod.FOLLOW)

    def tend(self, *, resume: bool) -> None:
        """Links that stand still are set going: first as if nothing needed to be copied, then with a copy."""
        primaries = self._run.oracle.primaries()
        if len(primaries) == 1 and is_up(primaries[0]):
            here = primaries[0]
            for link in primary_of(here).links.values():
                self._tend_link(here, link, resume=resume)

    def _tend_link(self, here: SimHost, link: OutLink, *, resume: bool) -> None:
        other = self._run.oracle.hosts[link.config.remote_host]
        if not is_up(other):
            return
        assert other.process is not None
        assert other.process.worker.roles is not None
        acting = other.process.worker.roles.header.acting_secondary
        if resume and link.mind.state == LinkState.PAUSE:
            self._run.ask_host(here, "link.resume", {"link_id": link.config.link_id})
        elif link.mind.state == LinkState.STALE and any(text in link.mind.reason for text in _COPY_ALL):
            self.start(here, link, StartMethod.AUTOSYNC)
        elif acting and not link.connected:
            self.start(here, link, StartMethod.FAILBACK)
        elif link.mind.state == LinkState.STALE:
            key = primary_of(here).journal.header.history[-1].reign_id, other.name
            tried = self._tried[key] = self._tried.get(key, -1) + 1
            self.start(here, link, _WAYS[tried % len(_WAYS)])

    # after a split brain, or when nobody is Primary

    def settle(self) -> None:
        """One Primary, whoever it is. Everybody is up and can talk."""
        run = self._run
        if any(host.process is None or not host.process.opened for host in run.hosts):
            return
        primaries = run.oracle.primaries()
        if not primaries:
            best = max(run.hosts, key=_rank)
            if _rank(best)[0]:
                acting = header_of(best).acting_secondary
                self._promote(best, PromoteHow.ELECT if acting else PromoteHow.TAKEOVER, self._new_reign())
        elif len(primaries) > 1:
            self.elect(run.world.random.choice(primaries))
        elif header_of(primaries[0]).primary_primary:
            self._promote(primaries[0], PromoteHow.ELECT, self._new_reign())
        elif any(header_of(host).generation > header_of(primaries[0]).generation for host in run.hosts):
            self.follow(primaries[0])  # it has to hear that somebody was above it

    def elect(self, survivor: SimHost) -> None:
        """The other Primaries step down, and a reign above all begins."""
        flagged = [host for host in self._run.oracle.primaries() if header_of(host).primary_primary]
        if survivor not in flagged:
            for host in self._run.oracle.primaries():
                self.follow(host)
            return
        for host in self._run.oracle.primaries():
            if host is not survivor:
                self._run.ask_host(host, "makesec", {"force": True})
        self._promote(survivor, PromoteHow.ELECT, self._new_reign())


Answer = Callable[[VolrepError | None], None]


def primary_of(host: SimHost) -> Primary:
    assert host.process is not None
    assert host.process.worker.primary is not None
    return host.process.worker.primary


def header_of(host: SimHost) -> Any:
    assert host.process is not None
    assert host.process.worker.journal is not None
    return host.process.worker.journal.header


def _rank(host: SimHost) -> tuple[bool, bool, int, int]:
    header = header_of(host)
    return header.consistent, not header.acting_secondary, header.generation, _durable_lsn(host)


def _durable_lsn(host: SimHost) -> int:
    assert host.process is not None
    assert host.process.worker.journal is not None
    return host.process.worker.journal.durable_lsn


def _link(here: Primary, to: SimHost) -> OutLink:
    return next(link for link in here.links.values() if link.config.remote_host == to.name)


def is_up(host: SimHost) -> bool:
    process = host.process
    return process is not None and process.opened and process.failed is None and not process.loop.dead
