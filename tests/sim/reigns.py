"""What must be true when the Primary's role moves: a tree of reigns, each with its own history (`tree`).

The tree grows by what the SRL headers of Primaries say, and each new reign must begin as a prefix of the one it
followed; a host's log and volumes are held against the line of its newest reign that it is on.

A host that is put back to an older image loses what it alone had, and goes on from there. All other promises stay: what
others hold is overwritten by an order only, an order counts once, and in the end all are equal.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.sim.hearing import Hearing
from tests.sim.history import Expected, History, Wish
from tests.sim.loop import Violation
from tests.sim.net import SimStream
from tests.sim.oracle import Oracle, was_giving_up
from tests.sim.promises import Standing, peer_of, wanted_of
from tests.sim.recovering import OutOfReach
from tests.sim.tree import Image, ReignNode, Tree, parting_lsn
from volrep.log.header import SrlHeader
from volrep.log.record import CONTINUES, RecordType, record_bytes
from volrep.model.config import Role
from volrep.model.worker import PromoteHow
from volrep.rvg.outlink import OutLink
from volrep.rvg.primary import Primary

if TYPE_CHECKING:
    from tests.sim.host import Process, SimHost


@dataclass(slots=True)
class Seen:
    """What a host's log was when looked at last."""

    node: ReignNode
    order_id: str
    lsn: int
    serves: bool = False  # as Primary


@dataclass(slots=True)
class Asked:
    """A Secondary at the moment in which it is told to become Primary."""

    how: PromoteHow
    verified_lsn: int
    tail: list[tuple[int, Expected]]  # each with the LSN that it had in the reign before


@dataclass
class ReignOracle(Oracle):
    tree: Tree = field(default_factory=Tree)
    seen: dict[str, Seen] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)  # by host
    may_overwrite: set[tuple[str, str]] = field(default_factory=set)  # (reign, Secondary): the operator said so
    promised_in: dict[str, ReignNode] = field(default_factory=dict)  # by Secondary: what its Standing is about
    hearing: Hearing = field(init=False)
    torn: dict[str, int] = field(default_factory=dict)  # Secondary whose disk lost log that its volumes hold: to here
    takeovers: int = 0
    migrations: int = 0
    overwritten: int = 0
    conflicts: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.standings = {name: Standing() for name in self.hosts}
        self.hearing = Hearing(self)

    # the tree

    def is_primary(self, process: Process) -> bool:
        return process.worker.primary is not None

    def history_for(self, header: SrlHeader) -> History:
        return self._node(header).history

    def _node(self, header: SrlHeader) -> ReignNode:
        newest = header.history[-1]
        known = self.tree.find(header.host, newest.reign_id)
        if known is None:
            if header.role != Role.PRIMARY and newest.reign_id:
                raise Violation(f"{header.host} holds to a reign {newest.reign_id} that no Primary ever had")
            known = self._begin(header)
        return known

    def _begin(self, header: SrlHeader) -> ReignNode:
        newest = header.history[-1]
        asked = self.asked.pop(header.host, None)
        migrated = asked is not None and asked.how is PromoteHow.MIGRATE
        before = None
        if len(header.history) > 1:
            former = header.history[-2].reign_id
            before = self.tree.newest(former) if migrated else self.tree.find(header.host, former)
        inherited_lsn: int = newest.start_lsn
        if before is None:
            history = self.history if newest.reign_id else History(self.history.sizes_bytes)
        else:
            history = before.history.fork(newest.start_lsn)
            if asked is not None and asked.how is not PromoteHow.ELECT:
                inherited_lsn = max(inherited_lsn, asked.verified_lsn)
                history.owed.extend(due for _, due in asked.tail)
            elif before.host == header.host:  # elected: it goes on
                history.owed.extend(before.history.owed)
                before.history.owed.clear()
            completed_lsn = before.history.completed_lsn
            if migrated and newest.start_lsn < completed_lsn:
                raise Violation(f"a migrate to {header.host} loses completed writes: LSN {newest.start_lsn} of "
                                f"{completed_lsn}")
        said = json.dumps({"generation": newest.generation, "reign": newest.reign_id, "host": header.host})
        history.role_bytes = record_bytes(len(said))
        return self.tree.add(ReignNode(history, newest.reign_id, newest.start_lsn, header.host, before, inherited_lsn,
                                       self.world.now_s))

    @property
    def completed(self) -> int:
        histories = {id(node.history): node.history for node in self.tree.nodes}
        return sum(history.completed for history in histories.values())

    # what the operator says

    def ask_promote(self, process: Process, how: PromoteHow) -> None:
        """In the turn in which the worker hears it, just before."""
        secondary = process.worker.secondary
        if secondary is None:
            return
        self._check_promise(process.host.name)
        if process.host.name in self.torn:
            raise OutOfReach(f"{process.host.name} takes over before it has got again what its disk had lost")
        buffer = secondary._buffer
        tail = []
        for kind, volume, offset, length, start, end, end_lsn, _, _ in buffer.records:
            plain, data = kind & ~CONTINUES, bytes(buffer.view[start:end])
            if plain != RecordType.ROLE:
                tail.append((end_lsn - record_bytes(end - start), Expected(
                    kind, data if plain == RecordType.WRITE else None, offset, length,
                    Wish(0, volume, offset, length, plain, None))))
        if tail:
            self.history_of(process.host).check_received(tail)
        self.asked[process.host.name] = Asked(how, max(buffer.verified_lsn, secondary.journal.durable_lsn), tail)

    def promoted(self, process: Process, how: PromoteHow) -> None:
        """The worker has answered that it is Primary: what it took over is on its disk now."""
        if process.loop.dead or process.worker.primary is None:
            return
        self.observe(process)
        history = self.history_of(process.host)
        if how is not PromoteHow.ELECT and history.owed:
            raise Violation(f"{process.host.name} is Primary and lacks {len(history.owed)} writes that it had in "
                            "memory")
        self.takeovers += how is PromoteHow.TAKEOVER
        self.migrations += how is PromoteHow.MIGRATE
        self.probe(process.host)

    def order(self, primary: SimHost, secondary: str) -> None:
        """The operator has said that the Secondary is to be made equal, whatever it has."""
        assert primary.process is not None
        assert primary.process.worker.journal is not None
        self.may_overwrite.add((primary.process.worker.journal.header.history[-1].reign_id, secondary))

    def _may_overwrite(self, node: ReignNode, secondary: str) -> bool:
        """Said to this Primary since it became one."""
        at: ReignNode | None = node
        while at is not None and at.host == node.host:
            if (at.reign_id, secondary) in self.may_overwrite:
                return True
            at = at.before
        return False

    # what happens

    def started(self, process: Process) -> None:
        host = process.host
        self.asked.pop(host.name, None)
        if (seen := self.seen.get(host.name)) is not None:
            seen.serves = False
        super().started(process)
        journal = process.worker.journal
        assert journal is not None
        if seen is not None and not self.is_primary(process) and self._is_out_of_reach(
                host, journal.header, journal.end_lsn):
            self.torn[host.name] = max(seen.lsn, self.torn.get(host.name, 0))
        if process.worker.primary is not None:
            self.hearing.started(process)

    def superseded_by(self, name: str, process: Process) -> bool:
        """Whether `name` began a reign on top of this Primary's that it has not heard of, and still knows of it."""
        mine, theirs = self.node_of(process.host), self.tree.at.get(name)
        return theirs is not None and any(
            node.host == name and node.reign_id != mine.reign_id and mine.reign_id in node.reign_ids()
            for node in theirs.line())

    def lacks_reign_of(self, here: SimHost, other: SimHost) -> bool:
        """Whether `other`, a Primary too, reigns by a reign that is no part of what `here`, a Primary, came from."""
        return self.node_of(other).reign_id not in self.node_of(here).reign_ids()

    def has_all_of(self, name: str, process: Process) -> bool:
        """Whether `name` is on a line on top of all that this Primary has logged: no conflict keeps it from that."""
        mine, theirs = self.node_of(process.host), self.tree.at.get(name)
        assert process.worker.journal is not None
        return theirs is not None and mine in theirs.line() and (
            process.worker.journal.end_lsn <= parting_lsn(mine, theirs))

    def node_of(self, host: SimHost) -> ReignNode:
        assert host.process is not None
        assert host.process.worker.journal is not None
        return self._node(host.process.worker.journal.header)

    def _step_down(self, process: Process) -> None:
        """It was Primary when looked at last, and is no more: what it has logged in between."""
        journal, seen = process.worker.journal, self.seen.get(process.host.name)
        if journal is not None and seen is not None and seen.serves and not self.is_primary(process):
            history = seen.node.history
            history.observe(process.host.srl, journal.end_lsn)
            history.died()
            history.owed.clear()
            seen.serves = False

    def died(self, process: Process) -> None:
        if process.opened:
            self._step_down(process)
        super().died(process)
        if process.opened and self.is_primary(process):
            assert process.worker.journal is not None
            self.history_for(process.worker.journal.header).died()

    def turned(self, process: Process) -> None:
        if process.opened:
            self._step_down(process)
        super().turned(process)
        journal = process.worker.journal
        if journal is None or process.worker.roles is None or not process.opened:
            return
        if process.worker.primary is not None:
            node = self._node(journal.header)
            self.tree.serves(process.loop.name, process.host.name, node)
            self.hearing.turned(process)
            self.seen[process.host.name] = Seen(node, "", journal.durable_lsn, serves=True)
            self.standings[process.host.name] = Standing()

    def said(self, process: Process, kind: str, message: str) -> None:
        """Links may give up: histories part."""
        if kind == "primary_primary":
            self.conflicts += 1
            self.hearing.told(process, message)
        elif kind == "srl_overflow":  # who is detached is not waited for
            self.hearing.excuse(process, message.partition(":")[0])
        secondary = process.worker.secondary
        if kind == "rlk_connect" and secondary is not None:
            assert secondary._active is not None
            assert secondary._active.receiver is not None
            stream = secondary._active.receiver.stream
            assert isinstance(stream, SimStream)
            assert stream.peer is not None
            self.tree.follows(process.host.name, stream.peer.loop.name, secondary.journal.header.history[-1].reign_id)

    def serves(self, process: Process) -> None:
        self.hearing.serves(process)

    def completed_some(self, process: Process) -> None:
        here = process.worker.primary
        assert here is not None
        node = self._node(here.journal.header)
        for link in here.links.values():
            name = link.config.remote_host
            if link.in_force:
                self._promises_in(node, name)
                self._check_heir(process, link, node)
        super().completed_some(process)

    def _check_heir(self, process: Process, link: OutLink, mine: ReignNode) -> None:
        """A Secondary that is Primary by now, and this one has not noticed: what is completed on its word is there.

        What it said from memory (`sync_ack=network`) ends with a loss of power before it began its reign.
        """
        name = link.config.remote_host
        heir = self.hosts[name].process
        if heir is None or heir.worker.primary is None or peer_of(link).undone:
            return
        from_memory = wanted_of(process, link.config.link_id)["sync_ack"] == "network"
        lost_power_s = peer_of(link).lost_power_s if from_memory else float("inf")
        for node in self.tree.nodes:
            if (node.host == name and node.before is mine and node.inherited_lsn < mine.history.completed_lsn
                    and node.began_s < lost_power_s):
                raise Violation(f"{name} took over with LSN {node.inherited_lsn}, and {mine.host} completed up to "
                                f"{mine.history.completed_lsn} on its word")

    def _promises_in(self, node: ReignNode, name: str) -> None:
        """What is completed with the Secondary in force is a promise of this reign, and of none before."""
        if self.promised_in.get(name) is not node:
            self.promised_in[name], standing = node, self.standings[name]
            standing.promised_lsn, standing.in_force_since_lsn = 0, -1

    def _watch_links(self, here: Primary) -> None:
        node = self._node(here.journal.header)
        for link in here.links.values():
            name = link.config.remote_host
            if link.in_force:
                self._promises_in(node, name)
            if self.promised_in.get(name) is not node:
                continue
            standing = self.standings[name]
            if not link.in_force:
                standing.promised_lsn, standing.in_force_since_lsn = 0, -1
            elif standing.in_force_since_lsn < 0:
                standing.in_force_since_lsn = node.history.end_lsn

    def _watch_secondary(self, host: SimHost) -> None:
        assert host.process is not None
        journal = host.process.worker.journal
        assert journal is not None
        if journal.failure is not None:
            return  # what its header says in memory, its disk may lack
        header, standing = journal.header, self.standings[host.name]
        now = Seen(self._node(header), str(header.links.get("order", {}).get("order_id", "")),
                   journal.durable_lsn)
        before = self.seen.get(host.name)
        self.hearing.excuse(host.process)
        if before is not None and before.node.reign_id:
            self._check_kept(host.name, before, now, header)
        self.seen[host.name] = now
        if now.lsn >= self.torn.get(host.name, 0) or not header.consistent:
            self.torn.pop(host.name, None)
        standing.order_id, standing.acked_lsn = now.order_id, now.lsn
        if self.promised_in.get(host.name) is not now.node:
            standing.promised_lsn = 0
        self._check_promise(host.name)

    def _check_promise(self, name: str) -> None:
        """Only what was promised in the reign that it follows still."""
        process = self.hosts[name].process
        if process is not None and process.worker.journal is not None and (
                self._node(process.worker.journal.header) is self.promised_in.get(name)):
            super()._check_promise(name)

    def _check_kept(self, name: str, before: Seen, now: Seen, header: SrlHeader) -> None:
        """What was there is there still, or the operator has ordered that it be overwritten."""
        old, new = before.node, now.node
        kept_lsn = min(before.lsn, now.lsn, parting_lsn(old, new))
        if kept_lsn >= before.lsn:
            return
        if self.hosts[name].srl.damaged and now.lsn < before.lsn and old is new:
            return  # a Secondary cuts its log at damage, and fetches it again
        if now.order_id == before.order_id and old is new:
            if was_giving_up(header, before.lsn):
                return
            raise Violation(f"{name} went back from LSN {before.lsn} to {now.lsn} without an order")
        if not self._may_overwrite(new, name):
            raise Violation(f"{name} gave up its log from LSN {kept_lsn} to {before.lsn} of reign {old.reign_id} "
                            f"for reign {new.reign_id} of {new.host}, which nobody ordered")
        self.overwritten += 1

    # hosts that are put back

    def image(self, host: SimHost) -> Image | None:
        if host.process is not None:
            self.observe(host.process)
        return self.tree.image(host.name)

    def reverted(self, host: SimHost, image: Image | None) -> None:
        self.replaced(host)
        name = host.name
        if image is not None:
            self.tree.put_back(name, image, self.world.now_s)
        self.may_overwrite -= {(node.reign_id, name) for primary in self.primaries()
                               for node in self.node_of(primary).line() if _is_delivered(primary, name)}

    def replaced(self, host: SimHost) -> None:
        """It has fresh disks: all that it had said is void."""
        super().reverted(host, None)
        self.tree.at.pop(host.name, None)
        for known in (self.seen, self.asked, self.promised_in, self.torn):
            known.pop(host.name, None)
        self.hearing.forgets(host.name)

    # the end

    def primaries(self) -> list[SimHost]:
        return [host for host in self.hosts.values() if host.process is not None and self.is_primary(host.process)]

    def caught_up(self) -> bool:
        primaries = self.primaries()
        if len(primaries) != 1:
            return False
        self.primary_name, self.history = primaries[0].name, self.history_of(primaries[0])
        return super().caught_up()

    def check_converged(self) -> None:
        primaries = self.primaries()
        if len(primaries) != 1:
            raise Violation(f"{len(primaries)} Primaries at the end: {', '.join(h.name for h in primaries)}")
        self.primary_name, self.history = primaries[0].name, self.history_of(primaries[0])
        super().check_converged()


def _is_delivered(primary: SimHost, secondary: str) -> bool:
    """Whether the last order for this Secondary has been carried out: it takes a new one to overwrite it again."""
    assert primary.process is not None
    here = primary.process.worker.primary
    return here is not None and any(link.mind.delivered for link in here.links.values()
                                    if link.config.remote_host == secondary)
