"""One RVG at work: configuration in, roles, exports and status out. Everything runs in the reactor's thread.

`configure` is said again at every change; the worker acts on the difference. Recovery runs in a thread, so that
`status` answers RECOVER meanwhile. The role is what the SRL's header says (`rvg.roles`); what the configuration says
only decides what a new SRL begins as.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

from volrep.link.negotiate import Refuse
from volrep.log.recovery import ScanEnd
from volrep.model.config import LinkConfig, Role, RvgConfig
from volrep.model.damage import Damage, fault_of
from volrep.model.errors import VolrepError
from volrep.model.messages import links as messages
from volrep.model.states import RvgEvent, rvg_step
from volrep.model.status import KState, Recovered, RvgState, RvgStatus, SrlStatus, VolumeStatus
from volrep.model.worker import (
    Demote,
    DivergenceRequest,
    LinkRef,
    LinkStart,
    LogDumpRequest,
    Makesec,
    Promote,
    WorkerMethod,
)
from volrep.rvg.control import Reply
from volrep.rvg.damage import damage_of, failed_end, lost_records, rvg_flags
from volrep.rvg.demotion import Demotion
from volrep.rvg.dump import dump_divergence, dump_log
from volrep.rvg.journal import Journal
from volrep.rvg.opening import Opened, ensure_srl, open_rvg
from volrep.rvg.outlink import OutLink
from volrep.rvg.ports import WorkerPorts
from volrep.rvg.primary import Primary
from volrep.rvg.refuser import Refuser
from volrep.rvg.repair import LogDamaged
from volrep.rvg.roles import Roles
from volrep.rvg.secondary import Secondary

logger = logging.getLogger("volrep.rvg")


class Worker:
    def __init__(self, ports: WorkerPorts, emit: Callable[[str, str], None]) -> None:
        self.loop = ports.loop
        self.clock = ports.loop.clock
        self.background = ports.background
        self.emit = emit
        self._ports = ports
        self.config: RvgConfig | None = None
        self.state = RvgState.EMPTY
        self.failure: VolrepError | None = None
        self.journal: Journal | None = None
        self.roles: Roles | None = None
        self._opening = False
        self._damage: Damage | None = None
        self._recovered: Recovered | None = None
        self._refuser: Refuser | None = None
        self._waiting_configure: list[tuple[RvgConfig, Reply]] = []
        self._methods: dict[str, Callable[[dict[str, Any], list[socket.socket]], dict[str, Any]]] = {
            WorkerMethod.CONFIG: lambda _, __: self._configuration(),
            WorkerMethod.STATUS: lambda _, __: self.status().data(),
            WorkerMethod.LINK_START: self._link_start,
            WorkerMethod.LINK_STOP: lambda p, _: self._link_do(p, OutLink.stop),
            WorkerMethod.LINK_PAUSE: lambda p, _: self._link_do(p, OutLink.pause),
            WorkerMethod.LINK_RESUME: lambda p, _: self._link_do(p, OutLink.resume),
            WorkerMethod.LINK_ACCEPT: self._link_accept,
            WorkerMethod.PROMOTE: self._promote,
            WorkerMethod.MAKESEC: self._makesec,
            WorkerMethod.SERVE: self._serve,
            WorkerMethod.DIVERGENCE: self._divergence,
            WorkerMethod.LOG_DUMP: self._log_dump,
        }

    @property
    def primary(self) -> Primary | None:
        return self.roles.primary if self.roles is not None else None

    @property
    def secondary(self) -> Secondary | None:
        return self.roles.secondary if self.roles is not None else None

    # requests of the engine

    def handle(self, method: str, params: dict[str, Any], fds: list[socket.socket], reply: Reply) -> None:
        if method == WorkerMethod.CONFIGURE:
            self._configure(RvgConfig.from_data(params), reply)
        elif method == WorkerMethod.DEMOTE:
            self._demote(Demote.from_data(params), reply)
        elif method == WorkerMethod.SHUTDOWN:
            self.shutdown()
            reply(None, None)
            self.loop.stop()
        elif (run := self._methods.get(method)) is not None:
            reply(run(params, fds), None)
        else:
            raise VolrepError(messages.WORKER_METHOD, method=method)

    def _configure(self, config: RvgConfig, reply: Reply) -> None:
        if self._opening:
            self._waiting_configure.append((config, reply))
            return
        if self.config is not None and self.config.rvg_id != config.rvg_id:
            raise VolrepError(messages.RVG_MISMATCH, running=self.config.name, wanted=config.name)
        if self.journal is None and self.failure is None:
            self._open(config, reply)
            return
        self.config = config
        if self.roles is not None:
            self.roles.adopt(config)
        reply(self.status().data(), None)

    def _open(self, config: RvgConfig, reply: Reply) -> None:
        self._opening = True
        self.config = config
        ports = self._ports

        def work() -> Opened:
            ensure_srl(config, ports.open_file, ports.folder(config), ports.new_id()[:16])
            return open_rvg(config, ports.open_file)

        def done(opened: Opened | None, error: Exception | None) -> None:
            if opened is None:
                failure = error if isinstance(error, VolrepError) else VolrepError(
                    messages.OPEN_FAILED, rvg=config.name, reason=repr(error))
                self._failed(failure)
                self._answer_configure(reply)
            else:
                self._opened(config, opened, lambda: self._answer_configure(reply))

        self.background.run(work, done)

    def _answer_configure(self, reply: Reply) -> None:
        self._opening = False
        assert self.config is not None
        try:
            if self.roles is not None:
                self.roles.adopt(self.config)
        except VolrepError as error:
            reply(None, error)
        else:
            reply(self.status().data(), None)
        waiting, self._waiting_configure = self._waiting_configure, []
        for later, later_reply in waiting:
            self._configure(later, later_reply)

    def _opened(self, config: RvgConfig, opened: Opened, served: Callable[[], None]) -> None:
        journal = Journal(opened.srl, opened.volumes, opened.end.end_lsn, self.loop, self.background)
        self.journal = journal
        self.state = rvg_step(self.state, RvgEvent.START)
        self._recovered = Recovered(clean=opened.was_clean, records=opened.end.records, end_lsn=opened.end.end_lsn,
                                    given_up=lost_records(opened.given_up, config))
        self.emit("rvg_started", _started_text(journal.header.role, config, opened.end, was_clean=opened.was_clean))
        roles = self.roles = Roles(self._ports, journal, config, self.emit, self._failed)
        roles.open(served)
        if journal.header.distrust:
            roles.distrust(journal.header.distrust)

    def _failed(self, error: VolrepError) -> None:
        if self.state != RvgState.FAIL:
            self.state = rvg_step(self.state, RvgEvent.ERROR)
        self.failure = error
        assert self.config is not None
        gaps, salvage = (error.gaps, error.salvage) if isinstance(error, LogDamaged) else ([], None)
        self._damage = damage_of(error, self.config, gaps, salvage)
        self.emit("rvg_fail", f"{error.id} {error.text}; safe: {self._damage.safe}; next: {self._damage.next[0]}")

    def _primary_for(self, verb: str) -> Primary:
        primary = self._running().primary
        if primary is None:
            assert self.config is not None
            raise VolrepError(messages.NOT_PRIMARY, rvg=self.config.name, host=self.config.host, verb=verb)
        return primary

    def _running(self) -> Roles:
        """Raises VR-1403 while nothing is opened."""
        if self.roles is None:
            assert self.config is not None
            raise VolrepError(messages.RVG_NOT_RUNNING, rvg=self.config.name, host=self.config.host,
                              reason=self._reason())
        return self.roles

    def _out_link(self, params: dict[str, Any], verb: str) -> OutLink:
        primary = self._primary_for(verb)
        link_id = str(params["link_id"])
        found = primary.links.get(link_id)
        if found is None:
            raise VolrepError(messages.LINK_UNKNOWN, rvg=primary.journal.header.rvg, link=link_id)
        return found

    def _link_start(self, params: dict[str, Any], _: list[socket.socket]) -> dict[str, Any]:
        asked = LinkStart.from_data(params)
        self._out_link(params, "startrep").start(asked.method)
        return self.status().data()

    def _link_do(self, params: dict[str, Any], action: Callable[[OutLink], None]) -> dict[str, Any]:
        LinkRef.from_data(params)
        action(self._out_link(params, action.__name__))
        return self.status().data()

    def _link_accept(self, params: dict[str, Any], fds: list[socket.socket]) -> dict[str, Any]:
        asked = LinkRef.from_data(params)
        if not fds:
            raise VolrepError(messages.NO_DESCRIPTOR, method=WorkerMethod.LINK_ACCEPT)
        links = self.config.links if self.config is not None else []
        link = next((link for link in links if link.link_id == asked.link_id), None)
        if link is not None and self._damage is not None:
            self._refuse(link, fds[0])
        elif link is not None and self.roles is not None:
            self.roles.accept(link, fds[0])
        else:
            fds[0].close()
        return {}

    def _refuse(self, link: LinkConfig, sock: socket.socket) -> None:
        """A Secondary in FAIL tells its Primary so."""
        assert self.config is not None
        assert self._damage is not None
        if self._role() is not Role.SECONDARY:
            sock.close()
            return
        if self._refuser is None:
            answer = Refuse(reason=self._damage.found, fault=fault_of(self._damage.kind))
            self._refuser = Refuser(self._ports.dialler(self.config), self.loop, lambda _, __: answer)
        self._refuser.accept(link, sock)

    def _role(self) -> Role:
        """What the SRL says; what the configuration does while the SRL cannot be read."""
        assert self.config is not None
        return Role(self.journal.header.role) if self.journal is not None else self.config.role

    # roles

    def _demote(self, asked: Demote, reply: Reply) -> None:
        def done(error: VolrepError | None) -> None:
            reply(self.status().data() if error is None else None, error)

        Demotion(self._running(), asked, self.loop, done).begin()

    def _promote(self, params: dict[str, Any], _: list[socket.socket]) -> dict[str, Any]:
        self._running().promote(Promote.from_data(params))
        return self.status().data()

    def _makesec(self, params: dict[str, Any], _: list[socket.socket]) -> dict[str, Any]:
        self._running().makesec(force=Makesec.from_data(params).force)
        return self.status().data()

    def _serve(self, _: dict[str, Any], __: list[socket.socket]) -> dict[str, Any]:
        roles = self._running()
        if roles.asking is not None:
            roles.asking.end()
            roles.adopt(roles.config)
        return self.status().data()

    def _divergence(self, params: dict[str, Any], _: list[socket.socket]) -> dict[str, Any]:
        asked = DivergenceRequest.from_data(params)
        return dump_divergence(self._running(), asked).data()

    def _log_dump(self, params: dict[str, Any], _: list[socket.socket]) -> dict[str, Any]:
        asked = LogDumpRequest.from_data(params)
        return dump_log(self._running().journal, asked).data()

    def _configuration(self) -> dict[str, Any]:
        if self.config is None:
            raise VolrepError(messages.WORKER_UNCONFIGURED)
        return self.config.data()

    # status

    def _reason(self) -> str:
        if self.failure is not None:
            return f"{self.failure.id} {self.failure.text}"
        if self.roles is not None and self.roles.asking is not None:
            return f"asks {', '.join(self.roles.asking.hosts())} who is Primary, before it serves"
        return "recovering" if self._opening else ""

    def _kstate(self) -> KState:
        if self._opening or (self.roles is not None and self.roles.asking is not None):
            return KState.RECOVER
        return KState.DISABLED if self.failure is not None or self.roles is None else KState.ENABLED

    def status(self) -> RvgStatus:
        config, journal, roles = self.config, self.journal, self.roles
        if config is None:
            raise VolrepError(messages.WORKER_UNCONFIGURED)
        shown: dict[str, Any] = {
            "dg": config.dg, "name": config.name, "host": config.host, "state": self.state, "kstate": self._kstate(),
            "reason": self._reason(), "flags": rvg_flags(config, self._damage), "damage": self._damage,
            "recovered": self._recovered, "srl": self._srl_status(config, journal)}
        failed_ends = []
        if self._damage is not None and self._role() is Role.SECONDARY:
            failed_ends = [failed_end(link, self._damage) for link in config.links]
        if journal is None or roles is None:
            volumes = [VolumeStatus(index=v.index, name=v.name, size_bytes=v.size_bytes,
                                    state=self._part_state(v.name)) for v in config.volumes]
            return RvgStatus(**shown, role=config.role, generation=0, incarnation=0, links=failed_ends,
                             volumes=volumes, consistent=False)
        at_work, reads = roles.primary or roles.secondary, roles.reads
        waits = {}
        if roles.primary is not None:
            waits = {"srl_room": roles.primary.room_waits, "cold_read_bytes": reads.cold_waits}
        assert at_work is not None
        return RvgStatus(
            **shown, generation=journal.header.generation, incarnation=journal.header.incarnation,
            volumes=[roles.exports.status(v, self._part_state(v.name)) for v in config.volumes],
            links=failed_ends or roles.link_statuses(), consistent=journal.header.consistent, writes=at_work.writes,
            written_bytes=at_work.written_bytes, batches=at_work.batches, reads=reads.reads,
            read_bytes=reads.read_bytes, waits=waits, **roles.status())

    def _part_state(self, name: str) -> str:
        if self._damage is None:
            return "ENABLED"
        return "FAIL" if name in self._damage.part.split(",") else "DISABLED"

    def _srl_status(self, config: RvgConfig, journal: Journal | None) -> SrlStatus:
        state = self._part_state(config.srl.name)
        if journal is None:
            return SrlStatus(name=config.srl.name, state=state, size_bytes=config.srl.size_bytes, capacity_bytes=0,
                             tail_lsn=0, end_lsn=0, durable_lsn=0, applied_lsn=0, used_bytes=0)
        return SrlStatus(
            name=config.srl.name, state=state, size_bytes=config.srl.size_bytes, capacity_bytes=journal.capacity_bytes,
            tail_lsn=journal.retained_lsn(), end_lsn=journal.end_lsn, durable_lsn=journal.durable_lsn,
            applied_lsn=journal.applied_lsn, used_bytes=journal.end_lsn - journal.floor_lsn())

    # the end

    def shutdown(self) -> None:
        """Stop exports and links, then a last checkpoint and a clean header (blocking)."""
        if self.roles is not None:
            if self.state == RvgState.ACTIVE:
                self.state = rvg_step(self.state, RvgEvent.STOP)
            self.roles.shutdown()


def _started_text(role: str, config: RvgConfig, end: ScanEnd, *, was_clean: bool) -> str:
    how = "after a clean stop" if was_clean else f"recovered, {end.records} records replayed"
    asks = "; it asks the other hosts before it serves" if role == Role.PRIMARY and config.links else ""
    return f"{role} RVG {config.name} has started ({how}); the log ends at LSN {end.end_lsn}{asks}"
