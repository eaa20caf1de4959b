"""Synchronous replication: which writes are promised to be on a Secondary, and whether it has them.

What is completed while a link is in force is promised of its Secondary's process; with `sync_ack=data` also of its
disk. A promise ends with the process that it was about, or when the Primary stops calling the link synchronous.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.sim.history import History
from tests.sim.loop import SimLoop, Violation, World
from tests.sim.net import SimStream
from volrep.log.header import SrlHeader
from volrep.model.attributes import effective
from volrep.rvg.outlink import OutLink
from volrep.rvg.primary import Primary

if TYPE_CHECKING:
    from tests.sim.host import Process, SimHost


@dataclass(slots=True)
class Standing:
    """What is known of one Secondary."""

    promised_lsn: int = 0  # completed under synchronous replication that is in force
    in_force_since_lsn: int = -1  # what was completed before may be on its way with sync_ack=data
    promised_durable: bool = False  # sync_ack=data: also after its loss of power
    acked_lsn: int = 0  # said to be durable, for this order
    order_id: str = ""


@dataclass
class Promises:
    """`standings`: by the Secondary's host."""

    world: World
    hosts: dict[str, SimHost]
    standings: dict[str, Standing] = field(default_factory=dict, init=False)
    orders: set[str] = field(default_factory=set, init=False)  # what the operator has ordered

    def history_for(self, header: SrlHeader) -> History:
        raise AssertionError("defined by the oracle")

    def promise(self, process: Process) -> None:
        """Answers have just gone out."""
        here = process.worker.primary
        assert here is not None
        history = self.history_for(here.journal.header)
        for link in here.links.values():
            if not link.in_force:
                continue
            name = link.config.remote_host
            standing = self.standings[name]
            wanted = wanted_of(process, link.config.link_id)
            if wanted["synchronous"] != "override":
                raise Violation(f"{process.host.name} waits for {name} though replication there is asynchronous")
            durable = wanted["sync_ack"] == "data"
            peer = peer_of(link)
            if peer.undone or (peer.dead and not durable):
                standing.promised_lsn = 0  # the process that had them is gone; the Primary has yet to hear of it
                continue
            if standing.in_force_since_lsn < 0:
                standing.in_force_since_lsn = history.end_lsn
            if durable and history.completed_lsn <= standing.in_force_since_lsn:
                continue
            standing.promised_lsn = history.completed_lsn
            standing.promised_durable = durable
            self._check_promise(name)

    def _watch_links(self, here: Primary) -> None:
        history = self.history_for(here.journal.header)
        for link in here.links.values():
            standing = self.standings[link.config.remote_host]
            if not link.in_force:
                standing.promised_lsn, standing.in_force_since_lsn = 0, -1
            elif standing.in_force_since_lsn < 0:
                standing.in_force_since_lsn = history.end_lsn
            if link.mind.order_id:
                self.orders.add(link.mind.order_id)

    def _check_promise(self, name: str) -> None:
        """While synchronous replication is in force, the Secondary's process has every completed write."""
        standing, process = self.standings[name], self.hosts[name].process
        if not standing.promised_lsn or process is None or process.worker.secondary is None:
            return
        secondary = process.worker.secondary
        if secondary.journal.failure is not None:
            standing.promised_lsn = 0
            return
        has_lsn = max(secondary._buffer.verified_lsn, secondary.journal.durable_lsn)
        if has_lsn < standing.promised_lsn:
            raise Violation(f"{name} lacks writes that were completed under synchronous replication: it has LSN "
                            f"{has_lsn}, completed were {standing.promised_lsn}")


def wanted_of(process: Process, link_id: str) -> dict[str, str]:
    """The link's attributes as the worker was last told, whatever its link makes of them."""
    assert process.worker.config is not None
    return next(effective(link.attributes) for link in process.worker.config.links if link.link_id == link_id)


def wants_synchronous(process: Process, link_id: str) -> bool:
    return wanted_of(process, link_id)["synchronous"] == "override"


def peer_of(link: OutLink) -> SimLoop:
    """The process at the other end of a connected link, which may be dead by now."""
    assert link.sender is not None
    stream = link.sender.stream
    assert isinstance(stream, SimStream)
    assert stream.peer is not None
    return stream.peer.loop
