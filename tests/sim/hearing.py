"""Who must have heard whom: a Primary before it serves, and two Primaries that can talk.

With `startup=ask-peers` a starting Primary answers no application before every attached Secondary has said something to
this very process, and never while one of them has superseded it. With `startup=serve` it waits a moment for hosts that
it cannot reach, and hears of its successor as soon as the network is there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.sim.loop import Violation
from volrep.model.config import Startup
from volrep.rvg.limits import STARTUP_ASK_S

if TYPE_CHECKING:
    from tests.sim.host import Process, SimHost
    from tests.sim.reigns import ReignOracle

SERVES_S = STARTUP_ASK_S + 0.5  # of asking, with `startup=serve`
HEARD_S = 20.0  # a dial that met the partition times out after 10 s; then a dial each second, heartbeats, slow disks
LOOK_S = 0.5
TOLD_MAX = 5  # times that a process tells of one conflict, which may end and come again


@dataclass
class Hearing:
    oracle: ReignOracle
    superseded: dict[str, set[str]] = field(default_factory=dict)  # by process: by whom; it may not serve
    unheard: dict[str, set[str]] = field(default_factory=dict)  # by process: whom it must hear before it serves
    _asks_since_s: dict[str, float] = field(default_factory=dict)  # by process
    _ignorant_since_s: dict[tuple[str, str], float] = field(default_factory=dict)  # (process, process it must know of)
    _looked_s: float = 0.0
    _told: Counter[tuple[str, str]] = field(default_factory=Counter)  # by process and what it said

    def started(self, process: Process) -> None:
        """It has recovered, as Primary: whom does it have to ask?"""
        worker = process.worker
        assert worker.primary is not None
        name = process.loop.name
        self._asks_since_s[name] = self.oracle.world.now_s
        asked = {link.config.remote_host for link in worker.primary.links.values()
                 if link.was_started and link.attached}
        if process.host.config.startup is not Startup.ASK_PEERS:
            return
        self.unheard[name] = set(asked)
        journal = worker.primary.journal
        self.superseded[name] = {host for host in asked if self.oracle.superseded_by(host, process) and (
            not journal.header.primary_primary or self.oracle.has_all_of(host, process))}

    def told(self, process: Process, message: str) -> None:
        """An operator hears of a conflict."""
        key = process.loop.name, message
        self._told[key] += 1
        if self._told[key] > TOLD_MAX:
            raise Violation(f"{process.host.name} says again and again: {message}")

    def excuse(self, process: Process, host: str = "") -> None:
        """The operator says that it need not wait for `host`, or for anybody."""
        for waits in (self.superseded, self.unheard):
            if host:
                waits.get(process.loop.name, set()).discard(host)
            else:
                waits.pop(process.loop.name, None)

    def forgets(self, host: str) -> None:
        """It was put back to an older image: what it knew of itself it may know no more."""
        for by in self.superseded.values():
            by.discard(host)

    def serves(self, process: Process) -> None:
        """An answer goes out to an application; a Primary in FAIL refuses every request, whomever it has heard."""
        name = process.loop.name
        if by := self.superseded.get(name):
            raise Violation(f"{process.host.name} serves, superseded by {', '.join(sorted(by))}, whom it had to ask")
        if unheard := self.unheard.get(name, set()) - process.loop.heard:
            raise Violation(f"{process.host.name} serves before {', '.join(sorted(unheard))} answered")

    def turned(self, process: Process) -> None:
        """A Primary's loop has turned."""
        roles, now_s = process.worker.roles, self.oracle.world.now_s
        assert roles is not None
        if (roles.asking is not None and process.host.config.startup is Startup.SERVE and process.failed is None
                and now_s > self._asks_since_s.get(process.loop.name, now_s) + SERVES_S):
            raise Violation(f"{process.host.name} still asks {', '.join(roles.asking.hosts())}: startup=serve waits "
                            f"for {STARTUP_ASK_S} s")
        if now_s > self._looked_s + LOOK_S:
            self._looked_s = now_s
            self._look(now_s)

    def _look(self, now_s: float) -> None:
        primaries = self.oracle.primaries()
        ignorant = {}
        for here in primaries:
            for other in primaries:
                if here is not other and self._must_know(here, other):
                    assert here.process is not None
                    assert other.process is not None
                    key = here.process.loop.name, other.process.loop.name
                    ignorant[key] = since_s = self._ignorant_since_s.get(key, now_s)
                    if now_s > since_s + HEARD_S:
                        raise Violation(f"{here.name} serves and has not heard in {HEARD_S:.0f} s that {other.name} "
                                        "has superseded it, though both can talk")
        self._ignorant_since_s = ignorant

    def _must_know(self, here: SimHost, other: SimHost) -> bool:
        """`other` reigns in a way that `here` lacks, and one of them dials the other."""
        process, theirs = here.process, other.process
        net = here.net
        if process is None or theirs is None or process.failed is not None or theirs.failed is not None:
            return False
        if net.is_blocked(here.name, other.name) or net.is_blocked(other.name, here.name):
            return False
        roles = process.worker.roles
        assert roles is not None
        if roles.header.primary_primary or not self.oracle.lacks_reign_of(here, other):
            return False
        return self._dials(process, other.name) or self._dials(theirs, here.name)

    @staticmethod
    def _dials(process: Process, host: str) -> bool:
        here = process.worker.primary
        return here is not None and any(link.active and link.config.remote_host == host for link in here.links.values())
