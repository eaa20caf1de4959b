"""Who knows what must be true, and says so when it is not.

Five promises (`docs/robustness.md`): completed writes survive; a consistent Secondary is a prefix of the Primary's
order and holds what completed under synchronous replication in force; no history is overwritten without an order;
memory is bounded; when faults stop, all become equal.

Crashes are looked at without ending the run: `probe` takes a host's disks as a loss of power would leave them now, has
volrep recover them, and compares every byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from tests.sim.bounds import check_memory
from tests.sim.history import History, Wish
from tests.sim.loop import Violation
from tests.sim.promises import Promises, Standing, wants_synchronous
from tests.sim.recovering import OutOfReach, compare, is_damaged_from, recovered_copy, shown
from tests.sim.tree import Image
from volrep.log.header import SrlHeader
from volrep.model.config import Role
from volrep.model.errors import VolrepError
from volrep.model.status import LinkState
from volrep.rvg.opening import Opened

if TYPE_CHECKING:
    from tests.sim.host import Process, SimHost

PROBE_AT_COMPLETION = 0.02
PROBES_AT_FIRST = 3  # after a start: what an earlier run left behind the log's end is still there


@dataclass
class Oracle(Promises):
    primary_name: str
    random: Random
    history: History = field(init=False)
    probes: int = 0
    reads: int = 0
    reverts: int = 0
    failures: list[str] = field(default_factory=list)  # FAIL states met, each with its reason
    _numbers: int = 0

    def __post_init__(self) -> None:
        here = self.hosts[self.primary_name]
        self.history = History([v.size_bytes for v in here.config.volumes])
        self.standings = {name: Standing() for name in self.hosts if name != self.primary_name}
        for host in self.hosts.values():
            host.on_started = self.started
            host.on_turn = self.turned
            host.on_dead = self.died
            host.on_event = self.said

    # which history a host belongs to; there is one here, and one Primary (`reigns` has more)

    def is_primary(self, process: Process) -> bool:
        return process.host.name == self.primary_name

    def history_for(self, _: SrlHeader) -> History:
        """Of whoever has this header."""
        return self.history

    def history_of(self, host: SimHost) -> History:
        """Of a host whose worker has opened its SRL."""
        assert host.process is not None
        assert host.process.worker.journal is not None
        return self.history_for(host.process.worker.journal.header)

    @property
    def completed(self) -> int:
        return self.history.completed

    def new_number(self) -> int:
        self._numbers += 1
        return self._numbers

    # what happens

    def observe(self, process: Process) -> None:
        journal = process.worker.journal
        if journal is not None and process.opened and self.is_primary(process):
            self.history_for(journal.header).observe(process.host.srl, journal.end_lsn)

    def started(self, process: Process) -> None:
        """Recovered: what it goes on with must be right already."""
        journal = process.worker.journal
        assert journal is not None
        host = process.host
        history = self.history_for(journal.header)
        if self.is_primary(process):
            self._primary_recovered(host, history, journal.header, journal.end_lsn)
            history.owed.clear()
        elif journal.header.consistent and not self._is_out_of_reach(host, journal.header, journal.end_lsn):
            compare(host, history, shown(host), journal.end_lsn, "after its start")

    def _primary_recovered(self, host: SimHost, history: History, header: SrlHeader, end_lsn: int) -> None:
        if end_lsn > history.end_lsn:
            history.observe(host.srl, end_lsn)
        elif end_lsn < history.end_lsn:
            if self._is_out_of_reach(host, header, end_lsn):
                raise OutOfReach(f"{host.name} lost the last write of its log to a disk that said it was written")
            for name, other in self.hosts.items():
                self._not_ahead(history, name, other, end_lsn)
            history.cut_at(end_lsn)
        compare(host, history, shown(host), end_lsn, "after its start")

    def _not_ahead(self, history: History, name: str, other: SimHost, end_lsn: int) -> None:
        process = other.process
        if process is None or process.worker.secondary is None:
            return
        journal = process.worker.secondary.journal
        if self.history_for(journal.header) is not history:
            return
        if journal.failure is None and self.standings[name].order_id and journal.durable_lsn > end_lsn:
            raise Violation(f"{name} has the log up to LSN {journal.durable_lsn}, its Primary only up to {end_lsn}")

    def died(self, process: Process) -> None:
        """Before a loss of power takes its part: what was logged by then may have reached the Secondaries."""
        self.observe(process)
        standing = self.standings.get(process.host.name)
        if standing is not None and not standing.promised_durable:
            standing.promised_lsn = 0

    def turned(self, process: Process) -> None:
        worker = process.worker
        self.observe(process)
        if worker.failure is not None and not process.failure_seen:
            process.failure_seen = True
            self._failed(process, worker.failure)
        if worker.primary is not None:
            self._watch_links(worker.primary)
        elif worker.secondary is not None:
            self._watch_secondary(process.host)
        check_memory(process)

    def _failed(self, process: Process, failure: VolrepError) -> None:
        host = process.host
        self.failures.append(f"{host.name}: {failure.id} {failure.text}")
        if not host.disk_errors:
            raise Violation(f"{host.name} is in FAIL though nothing is wrong with its disks: {failure.id} "
                            f"{failure.text}")
        host.on_failed(process)

    def serves(self, process: Process) -> None:
        """An answer goes out that is no refusal."""

    def refused(self, process: Process, wish: Wish) -> None:
        if not process.host.disk_errors:
            raise Violation(f"request {wish.number} got an error though nothing is wrong with the disks")

    def said(self, process: Process, kind: str, message: str) -> None:
        """A link that gives up for want of common history needs somebody who took history away."""
        if kind == "rlk_detached" and not self.reverts and not any(h.disk_errors for h in self.hosts.values()):
            raise Violation(f"{process.host.name} detached a link though no history was lost: {message}")

    def image(self, host: SimHost) -> Image | None:
        """What the host's disks stand for now; `reverted` gets it."""
        return None

    def reverted(self, host: SimHost, _: Image | None) -> None:
        """The host was put back to an older image: what it had said since is void."""
        self.standings[host.name] = Standing()
        self.reverts += 1

    # synchronous replication and orders

    def completed_some(self, process: Process) -> None:
        """Answers have just gone out."""
        self.promise(process)
        process.answers += 1
        if process.answers <= PROBES_AT_FIRST or self.random.random() < PROBE_AT_COMPLETION:
            self.probe(process.host)

    def _watch_secondary(self, host: SimHost) -> None:
        assert host.process is not None
        assert host.process.worker.secondary is not None
        journal = host.process.worker.secondary.journal
        standing = self.standings[host.name]
        order_id = str(journal.header.links.get("order", {}).get("order_id", ""))
        if order_id != standing.order_id:
            if order_id and order_id not in self.orders:
                raise Violation(f"{host.name} began anew for an order {order_id} that nobody gave")
            standing.order_id, standing.acked_lsn = order_id, 0
        if journal.failure is None:
            if (journal.durable_lsn < standing.acked_lsn and not host.srl.damaged
                    and not was_giving_up(journal.header, standing.acked_lsn)):
                raise Violation(f"{host.name} went back from LSN {standing.acked_lsn} to {journal.durable_lsn} "
                                "without an order")
            standing.acked_lsn = journal.durable_lsn
            self._check_promise(host.name)

    # crashes

    def probe(self, host: SimHost) -> None:
        """Recover the host's disks as they would be found after a loss of power in this moment."""
        self.probes += 1
        if host.process is not None:
            self.observe(host.process)
        found = recovered_copy(host, self.random)
        if found is not None:
            opened, volumes = found
            if not self._is_out_of_reach(host, opened.srl.header, opened.end.end_lsn):
                self._check_recovered(host, opened, volumes)

    def _check_recovered(self, host: SimHost, opened: Opened, volumes: dict[str, bytearray]) -> None:
        end_lsn, header = opened.end.end_lsn, opened.srl.header
        history = self.history_for(header)
        if header.role == Role.PRIMARY:
            if end_lsn < history.completed_lsn:
                raise Violation(f"a loss of power of {host.name} would lose completed writes: its log would end at LSN "
                                f"{end_lsn}, completed were {history.completed_lsn}")
            if end_lsn <= history.end_lsn:
                compare(host, history, volumes, end_lsn, "after a loss of power")
            elif host.process is not None and host.process.opened and host.process.failed is None:
                raise Violation(f"a loss of power of {host.name} would leave records that it never wrote: its log "
                                f"would end at LSN {end_lsn}, it has written up to {history.end_lsn}")
        elif header.consistent:
            compare(host, history, volumes, end_lsn, "after a loss of power")
            standing = self.standings[host.name]
            if standing.promised_durable and end_lsn < standing.promised_lsn:
                raise Violation(f"{host.name} would lack writes after a loss of power that sync_ack=data has "
                                f"completed: LSN {end_lsn}, completed were {standing.promised_lsn}")
            if end_lsn < standing.acked_lsn:
                raise Violation(f"{host.name} said that LSN {standing.acked_lsn} is durable; a loss of power leaves "
                                f"{end_lsn}")

    def _is_out_of_reach(self, host: SimHost, header: SrlHeader, end_lsn: int) -> bool:
        """Whether the log ends where its disk lost a write, with nothing behind it that says that it was there.

        A disk that loses the last write before a crash cannot be told from a crash before that write. A Secondary has
        nothing but its header to say what was durable: it cuts its log at damage behind that, and fetches it again.
        """
        if header.role == Role.PRIMARY:
            return end_lsn >= self.history_for(header).proved_lsn and is_damaged_from(host, end_lsn, 1)
        return is_damaged_from(host, end_lsn, max(1, self.standings[host.name].acked_lsn - end_lsn))

    def check_read(self, process: Process, wish: Wish, from_lsn: int, data: bytes) -> None:
        """A read shows the volume as it was at one moment between its request and its answer."""
        self.reads += 1
        history = self.history_of(process.host)
        lsns = history.lsns_from(from_lsn)
        end = wish.offset + wish.length
        if not any(history.image(lsn)[wish.volume][wish.offset:end] == data for lsn in lsns):
            raise Violation(f"read {wish.number} of volume {wish.volume} at {wish.offset} got bytes that were never "
                            "there")

    # the end

    def check_converged(self) -> None:
        """Faults have stopped and time was given: everything is up to date, connected, and equal."""
        here = self.hosts[self.primary_name]
        assert here.process is not None
        assert here.process.worker.primary is not None
        compare(here, self.history, shown(here), self.history.end_lsn, "at the end")
        for link in here.process.worker.primary.links.values():
            host = self.hosts[link.config.remote_host]
            assert host.process is not None
            assert host.process.worker.secondary is not None
            journal = host.process.worker.secondary.journal
            if journal.durable_lsn != self.history.end_lsn or not journal.header.consistent:
                raise Violation(f"{host.name} did not catch up: LSN {journal.durable_lsn} of {self.history.end_lsn}, "
                                f"consistent={journal.header.consistent}, {link.mind.state} {link.mind.reason}")
            compare(host, self.history, shown(host), self.history.end_lsn, "at the end")
            if link.in_force != wants_synchronous(here.process, link.config.link_id):
                raise Violation(f"the link to {host.name} is up to date and "
                                f"{'synchronous' if link.in_force else 'asynchronous'}, which it is not to be")

    def caught_up(self) -> bool:
        here = self.hosts[self.primary_name].process
        if here is None or here.worker.primary is None:
            return False
        for link in here.worker.primary.links.values():
            there = self.hosts[link.config.remote_host].process
            if (there is None or there.worker.secondary is None or link.mind.state != LinkState.ACTIVE
                    or there.worker.secondary.journal.durable_lsn != self.history.end_lsn or not link.mind.consistent
                    or link.mind.acked_lsn != self.history.end_lsn
                    or not there.worker.secondary.journal.header.consistent
                    or link.in_force != wants_synchronous(here, link.config.link_id)):
                return False
        return True


def was_giving_up(header: SrlHeader, lsn: int) -> bool:
    """A crash amid a new order: the log up to `lsn` at least was given up, and what replaces it had not begun yet.

    Only where that log's image was no moment's anyway: what is consistent gets a checkpoint first.
    """
    return not header.consistent and header.leftover_lsn >= lsn
