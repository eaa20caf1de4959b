"""The role of an RVG: Primary or Secondary, changed while the worker runs.

Every change is one write of the SRL header, which carries the role, the history of reigns and all that goes with them;
before it nothing has changed, after it everything has, and what is still missing then is done again by whoever opens
the SRL next (`_begin_reign`). The rows are `model.states.ROLE_ROWS`; what other hosts claim is heard in `rvg.rivals`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

from volrep.link.fork import next_generation, with_reign
from volrep.link.negotiate import Hello, Refuse, VolumeSaid, check_hello
from volrep.log.header import HISTORY_MAX, SrlHeader
from volrep.log.record import BatchEncoder, RecordType
from volrep.log.tails import begin_behind, keep_end
from volrep.model.config import LinkConfig, Role, RvgConfig
from volrep.model.damage import Salvage
from volrep.model.errors import VolrepError
from volrep.model.messages import links as messages
from volrep.model.states import RoleEvent, role_step
from volrep.model.status import LinkStatus, RoleFlag, RoleState
from volrep.model.units import Reign
from volrep.model.worker import Promote, PromoteHow
from volrep.rvg import configured
from volrep.rvg.asking import Asking
from volrep.rvg.divergence import Divergence
from volrep.rvg.exports import Exports
from volrep.rvg.journal import Journal
from volrep.rvg.maps import MapStore
from volrep.rvg.outlink import OutLink
from volrep.rvg.ports import WorkerPorts
from volrep.rvg.primary import Primary
from volrep.rvg.reads import Reads
from volrep.rvg.refuser import Refuser
from volrep.rvg.rivals import Rivals
from volrep.rvg.secondary import Secondary

ROLE_RECORD_BYTES = 4096  # more than the record that begins a reign takes
_EVENTS = {PromoteHow.MIGRATE: RoleEvent.MIGRATE, PromoteHow.TAKEOVER: RoleEvent.TAKEOVER,
           PromoteHow.ELECT: RoleEvent.ELECT}


class Roles:
    """One per opened RVG; it holds whichever of `primary` and `secondary` the header says."""

    def __init__(self, ports: WorkerPorts, journal: Journal, config: RvgConfig, emit: Callable[[str, str], None],
                 failed: Callable[[VolrepError], None]) -> None:
        """`failed` is told the journal's failure before the role is."""
        self.journal = journal
        self.config = config
        self.exports = Exports(ports.loop, ports.listen)
        self.maps = MapStore(ports.folder(config), ports.background)
        self.divergence = Divergence(journal.srl, journal.volumes, self.maps, ports.background)
        self.reads = Reads(journal.volumes, ports.background)
        self.primary: Primary | None = None
        self.secondary: Secondary | None = None
        self.asking: Asking | None = None  # a starting Primary's: its exports are not open yet
        self._served: Callable[[], None] | None = None  # who opened, until the exports may open or that takes longer
        self.draining = False  # the exports stay closed: the role is being given away
        self._loop = ports.loop
        self._new_id = ports.new_id
        self._emit = emit
        self._failed = failed
        self._dialler = ports.dialler(config)
        self._refuser = Refuser(self._dialler, ports.loop, self._turn_away)  # a Primary's
        self.rivals = Rivals(self, self.divergence, emit, ports.loop.clock.wall_ns)

    @property
    def header(self) -> SrlHeader:
        return self.journal.header

    @property
    def state(self) -> RoleState:
        header = self.header
        if header.role == Role.PRIMARY:
            return RoleState.PRIMARY_PRIMARY if header.primary_primary else RoleState.PRIMARY
        return RoleState.ACTING_SECONDARY if header.acting_secondary else RoleState.SECONDARY

    # taking and leaving a role

    def open(self, served: Callable[[], None]) -> None:
        """As the header says. A Primary asks the other hosts before it serves.

        `served` is called when its exports may open, or when that is going to take longer (`asking` says so then).
        """
        if self.header.role == Role.SECONDARY:
            self._become_secondary()
            if self.header.acting_secondary:
                self.rivals.count()
            served()
            return
        self._become_primary()
        self._adopt_links()
        assert self.primary is not None
        if self.header.primary_primary:
            self.rivals.count()

        self._served = served
        self.asking = Asking(self.primary.links, self.config.startup, self._loop, self._asked, self._asking_lasts)
        self.asking.begin()

    def _asked(self) -> None:
        """Nobody is waited for any more."""
        self.asking = None
        if self.primary is not None:
            self._serve()
            if self._served is None:
                self._emit("role_serves", f"{self.header.host} is Primary and serves: it waits for nobody any more")
        if not self._answer_served():
            self._open_late()

    def _asking_lasts(self) -> None:
        """Somebody has not answered yet; said again when fewer have not."""
        assert self.asking is not None
        if self._answer_served():
            self._emit("role_waits", f"{self.header.host} serves nobody: it waits for {', '.join(self.asking.hosts())} "
                                     "to answer whether another host has taken over; or for `serve`")

    def _answer_served(self) -> bool:
        """Whether the one who opened had not been answered yet."""
        served, self._served = self._served, None
        if served is None:
            return False
        served()
        return True

    def _open_late(self) -> None:
        """The configuration was answered before the exports could open."""
        try:
            self.adopt(self.config)
        except VolrepError as error:
            self._emit("export_failed", f"{error.id} {error.text}; {error.hint}")

    def _serve(self) -> None:
        assert self.primary is not None
        self.primary.opened_lsn = self.journal.end_lsn
        for link in self.primary.links.values():
            link.asked()

    def _become_primary(self) -> None:
        self.secondary = None
        self._begin_reign()
        self._part_from_log()
        primary = self.primary = Primary(self.journal, self._loop.clock, self.reads, self.maps, self._emit)
        primary.heard = self.rivals.heard
        primary.answered = self._answered
        primary.yielded = self.rivals.yielded
        primary.claim = self.rivals.claim
        self._loop.after_events.append(primary.commit)
        self.journal.fill_header = self._fill_header
        self._watch_failure()

    def _become_secondary(self) -> None:
        journal = self.journal
        journal.release_role()
        self.primary = None
        self.secondary = Secondary(journal, self._loop.clock, self._dialler, self.divergence, self._emit)
        self.secondary.links = {link.link_id: link for link in self.config.links}
        self._watch_failure()

    def _watch_failure(self) -> None:
        inner = self.journal.on_failure

        def failed(error: VolrepError) -> None:
            self._failed(error)
            inner(error)

        self.journal.on_failure = failed

    def _fill_header(self, header: SrlHeader) -> None:
        assert self.primary is not None
        header.links = {link_id: link.remembered() for link_id, link in self.primary.links.items()}

    def _begin_reign(self) -> None:
        """Log the reign as its first record; done again when the header was written and the record was not."""
        header, journal = self.header, self.journal
        reign = header.history[-1]
        if not reign.reign_id or journal.end_lsn != reign.start_lsn:
            return
        said = json.dumps({"generation": reign.generation, "reign": reign.reign_id, "host": header.host}).encode()
        buffers, end_lsn = BatchEncoder().encode(
            [(int(RecordType.ROLE), 0, 0, len(said), memoryview(said))], lsn=journal.end_lsn,
            generation=header.generation, incarnation=header.incarnation,
            timestamp_ns=self._loop.clock.wall_ns(), durable_lsn=journal.durable_lsn)
        if not journal.has_room(end_lsn - journal.end_lsn):
            journal.checkpoint_now()
            assert journal.has_room(end_lsn - journal.end_lsn), "no link holds the log when a reign begins"
        journal.append(buffers, end_lsn - journal.end_lsn)
        journal.apply_writes([])

    def _part_from_log(self) -> None:
        """A reign that began with a mixture: nobody becomes equal to it by the log up to its beginning.

        So the log is not kept so far back: whoever comes is told so, and what differs is everything.
        """
        header = self.header
        if not header.salvage:
            return
        self.journal.checkpoint_now()
        begin_behind(self.journal.srl, header.applied_lsn)
        header.salvage = {}
        self.journal.save_header()

    # what the operator asks

    def promote(self, asked: Promote) -> None:
        """Become Primary; done already when this very reign is in force. Raises VR-1410 to VR-1412, VR-1417."""
        header = self.header
        if header.role == Role.PRIMARY and header.history[-1].reign_id == asked.new_reign:
            return
        self.check_quiet()
        role_step(header.rvg, self.state, _EVENTS[asked.how])
        if self.primary is not None:
            self._renew_reign(self.primary, asked)
            return
        self._check_promotion(asked)
        assert self.secondary is not None
        self.secondary.close("this host becomes the Primary")
        if asked.how is PromoteHow.TAKEOVER:
            self.secondary.commit_up_to(asked.committed_lsn)
            self.check_quiet()
        tail = [] if asked.how is PromoteHow.MIGRATE else self.secondary.tail()
        begun_lsn = self.journal.end_lsn
        keep_end(self.journal.srl, self.journal.durable_lsn)  # what the forks of this reign are compared by
        self.journal.release_role()
        self._watch_failure()
        header.role = Role.PRIMARY.value
        header.incarnation = max(header.incarnation, self.secondary.incarnation) + 1
        header.acting_secondary = False
        header.links = {}
        header.failback = {}
        header.consistent, header.consistent_after_lsn = True, 0
        if not header.salvage.get("mixed"):
            header.salvage = {}
        self._add_reign(asked.new_reign)
        if asked.how is PromoteHow.TAKEOVER and asked.failback and not header.salvage:
            header.failback = {"from_lsn": begun_lsn, "auto": asked.autofb}
        self.journal.save_header()
        self._become_primary()
        assert self.primary is not None
        self.primary.log(tail)
        self.adopt(self.config)
        self._serve()
        self._emit("role_primary", f"{header.host} is Primary by {asked.how}: reign {header.generation} begins at "
                                   f"LSN {begun_lsn}" + (f"; {len(tail)} writes were in memory only" if tail else ""))

    def _check_promotion(self, asked: Promote) -> None:
        header, journal = self.header, self.journal
        if header.salvage and not (asked.salvage and asked.how is PromoteHow.TAKEOVER):
            raise VolrepError(messages.SALVAGED, dg=header.dg, rvg=header.rvg, host=header.host,
                              what=Salvage.from_data(header.salvage).words())
        if not (header.consistent or header.salvage):
            raise VolrepError(messages.NOT_CONSISTENT, rvg=header.rvg, host=header.host)
        if asked.how is PromoteHow.MIGRATE and journal.durable_lsn != asked.expect_lsn:
            raise VolrepError(messages.NOT_THE_END, rvg=header.rvg, host=header.host, end_lsn=journal.durable_lsn,
                              expect_lsn=asked.expect_lsn)

    def _add_reign(self, reign_id: str) -> None:
        header = self.header
        rival = [Reign(header.rival["generation"], 0)] if header.rival else []
        header.generation = next_generation(header.history, rival)
        newest = Reign(header.generation, self.journal.end_lsn, reign_id)
        header.history = with_reign(header.history, newest)[-HISTORY_MAX:]
        header.rival, header.primary_primary = {}, False

    def _renew_reign(self, primary: Primary, asked: Promote) -> None:
        """The same host goes on, above every other reign: exports stay open, links say HELLO again."""
        primary.commit()
        if primary.busy or not primary.make_room(ROLE_RECORD_BYTES):
            raise VolrepError(messages.CHANGING_ROLE, rvg=self.header.rvg, host=self.header.host)
        self._add_reign(asked.new_reign)
        self.journal.save_header()
        self._begin_reign()
        for link in primary.links.values():
            link.disconnect("a new reign begins")
        self._emit("role_primary", f"{self.header.host} was elected Primary: reign {self.header.generation} begins")

    def makesec(self, *, force: bool) -> None:
        """Give way to another host; done already on a Secondary. Raises VR-1413, VR-1415."""
        header = self.header
        if self.primary is None:
            return
        self.check_quiet()
        if not header.primary_primary and not force:
            raise VolrepError(messages.NO_OTHER_REIGN, rvg=header.rvg, host=header.host)
        if self.exports.connections and not force:
            raise VolrepError(messages.EXPORTS_OPEN, rvg=header.rvg, host=header.host,
                              connections=self.exports.connections)
        role_step(header.rvg, self.state, RoleEvent.MAKESEC)
        self.give_up_primary(acting=True)
        self._emit("role_acting", f"{header.host} is acting Secondary, by the operator's word")

    def check_quiet(self) -> None:
        """Raises VR-1403, VR-1416."""
        if self.journal.failure is not None:
            raise VolrepError(messages.RVG_NOT_RUNNING, rvg=self.header.rvg, host=self.header.host,
                              reason=self.journal.failure.text)
        if self.draining:
            raise VolrepError(messages.CHANGING_ROLE, rvg=self.header.rvg, host=self.header.host)

    def give_up_primary(self, *, acting: bool) -> None:
        """One header write makes a Secondary of this Primary. Raises VolrepError; the RVG is in FAIL then."""
        primary, header = self.primary, self.header
        assert primary is not None
        self.exports.close()
        primary.retire("this host is no longer Primary")
        self._loop.after_events.remove(primary.commit)
        asking, self.asking = self.asking, None
        self.draining = False
        self.journal.release_role()
        header.role = Role.SECONDARY.value
        header.acting_secondary = acting
        header.primary_primary = False
        header.links = {}
        primary.tracking.stop()
        for link_id in primary.links:
            self.maps.remove(link_id)
        self._become_secondary()
        try:
            self.journal.save_header()
            if acting:
                self.rivals.count()
        finally:
            if asking is not None:
                asking.end()  # whoever opened this RVG is answered

    # what other hosts say

    def _answered(self, link: OutLink) -> None:
        if self.asking is not None:
            self.asking.answered(link)

    def accept(self, link: LinkConfig, sock: socket.socket) -> None:
        """A connection that the engine handed over."""
        if self.secondary is not None:
            self.secondary.accept(link, sock)
            return
        if self.journal.failure is not None:
            sock.close()
            return
        self._refuser.accept(link, sock)

    def _turn_away(self, link: LinkConfig, hello: Hello) -> Refuse:
        header = self.header
        volumes = [VolumeSaid(index=v["index"], name=v["name"], size_bytes=v["size_bytes"]) for v in header.volumes]
        refusal = check_hello(hello, rds_id=header.rds_id, link_id=link.link_id, volumes=volumes)
        if refusal:
            return Refuse(reason=refusal)
        claim = hello.claim()
        self._loop.call_soon(lambda: self.rivals.heard(claim))
        newest = header.history[-1]
        return Refuse(reason=f"{header.host} is Primary itself, reign {newest.generation} ({newest.reign_id})",
                      claim=self.rivals.claim())

    # configuration

    def adopt(self, config: RvgConfig) -> None:
        """Links and exports as the configuration says."""
        self.config = config
        if self.secondary is not None:
            self.secondary.links = {link.link_id: link for link in config.links}
        if self.primary is not None:
            self._adopt_links()
            if self.asking is None and not self.draining:
                self.exports.adopt(config.exports, config.volumes, self.primary)
        self._describe()

    def _describe(self) -> None:
        """Keep in the SRL what only the engine knows. Behind `_adopt_links`: the header is written with all links."""
        described = configured.said(self.config)
        if self.journal.failure is None and self.header.configured != described:
            self.header.configured = described
            self.journal.try_save_header()

    def _adopt_links(self) -> None:
        primary = self.primary
        assert primary is not None
        wanted = {link.link_id: link for link in self.config.links}
        for link_id in [i for i in primary.links if i not in wanted]:
            primary.links.pop(link_id).close("the link was removed")
            self.maps.remove(link_id)
            self.header.links.pop(link_id, None)
        for link_id, link in wanted.items():
            present = primary.links.get(link_id)
            if present is None:
                remembered = self.header.links.get(link_id, {})
                primary.links[link_id] = OutLink(link, remembered, primary, self._dialler, self.maps, self._new_id)
            elif present.config != link:
                present.reconfigure(link)
        primary.release_waiting()

    # status

    def status(self) -> dict[str, Any]:
        """The fields of RvgStatus that say what the role is and what goes with it."""
        header, primary, secondary = self.header, self.primary, self.secondary
        tracking = primary.tracking if primary is not None else None
        flags = {RoleFlag.ACTING_SECONDARY: header.acting_secondary, RoleFlag.PRIMARY_PRIMARY: header.primary_primary,
                 RoleFlag.FAILBACK_LOGGING: tracking is not None and tracking.on,
                 RoleFlag.AUTOFB: tracking is not None and tracking.auto}
        return {
            "role": Role(header.role), "history": list(header.history),
            "role_flags": [flag for flag, is_set in flags.items() if is_set], **self.rivals.status(),
            "salvage": header.salvage or None,
            "announced": secondary.announced_status() if secondary is not None else None,
            "asking": self.asking.hosts() if self.asking is not None else []}

    def link_statuses(self) -> list[LinkStatus]:
        if self.primary is not None:
            return [link.status() for link in self.primary.links.values()]
        assert self.secondary is not None
        return [self.secondary.link_status(link) for link in self.secondary.links.values()]

    def shutdown(self) -> None:
        """Stop exports and links, then a last checkpoint and a clean header (blocking)."""
        self.exports.close()
        if self.primary is not None:
            self.primary.retire("the worker ends")
        if self.secondary is not None:
            self.secondary.close()
        self.journal.close(clean=True)

    def distrust(self, reason: str) -> None:
        """The volumes are no longer what the log made of them: nothing counts as equal to them any more."""
        self._emit("volume_changed", f"{reason}: synchronize before you rely on a copy")
        if self.primary is not None:
            for link in self.primary.links.values():
                link.distrust(reason)
        if self.secondary is not None:
            self.secondary.distrust(reason)
        self.header.distrust = ""
        self.journal.try_save_header()
