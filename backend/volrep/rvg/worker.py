"""One RVG at work: configuration in, roles, exports and status out. Everything runs in the reactor's thread.

`configure` is said again at every change; the worker acts on the difference. Recovery runs in a thread, so that
`status` answers RECOVER meanwhile.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

from volrep.link.negotiate import Refuse
from volrep.log.recovery import ScanEnd
from volrep.model.config import Role, RvgConfig
from volrep.model.damage import Damage, fault_of
from volrep.model.errors import VolrepError
from volrep.model.messages import links as messages
from volrep.model.states import RvgEvent, rvg_step
from volrep.model.status import KState, Recovered, RvgState, RvgStatus, SrlStatus, VolumeStatus
from volrep.model.worker import LinkRef, LinkStart, LogDumpRequest, WorkerMethod
from volrep.nbd.exports import ExportInfo, ExportTable
from volrep.nbd.listener import Listener
from volrep.rvg import configured
from volrep.rvg.control import Reply
from volrep.rvg.damage import damage_of, failed_end, lost_records, rvg_flags
from volrep.rvg.dialling import Dialler
from volrep.rvg.dump import dump_log
from volrep.rvg.journal import Journal
from volrep.rvg.maps import MapStore
from volrep.rvg.opening import Opened, ensure_srl, open_rvg
from volrep.rvg.outlink import OutLink
from volrep.rvg.ports import WorkerPorts
from volrep.rvg.primary import Primary
from volrep.rvg.reads import Reads
from volrep.rvg.refuser import Refuser
from volrep.rvg.repair import LogDamaged
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
        self.primary: Primary | None = None
        self.secondary: Secondary | None = None
        self.reads: Reads | None = None
        self._dialler: Dialler | None = None
        self._listeners: dict[tuple[str, str], Listener] = {}
        self._opening = False
        self._damage: Damage | None = None
        self._recovered: Recovered | None = None
        self._refuser: Refuser | None = None
        self._waiting_configure: list[tuple[RvgConfig, Reply]] = []
        self._methods: dict[str, Callable[[dict[str, Any], list[socket.socket]], dict[str, Any]]] = {
            WorkerMethod.CONFIG: lambda _, __: self._configuration(),
            WorkerMethod.STATUS: lambda _, __: self.status().model_dump(mode="json"),
            WorkerMethod.LINK_START: self._link_start,
            WorkerMethod.LINK_STOP: lambda p, _: self._link_do(p, OutLink.stop),
            WorkerMethod.LINK_PAUSE: lambda p, _: self._link_do(p, OutLink.pause),
            WorkerMethod.LINK_RESUME: lambda p, _: self._link_do(p, OutLink.resume),
            WorkerMethod.LINK_ACCEPT: self._link_accept,
            WorkerMethod.LOG_DUMP: self._log_dump,
        }

    # requests of the engine

    def handle(self, method: str, params: dict[str, Any], fds: list[socket.socket], reply: Reply) -> None:
        if method == WorkerMethod.CONFIGURE:
            self._configure(RvgConfig.model_validate(params), reply)
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
        if self.config is not None and self.config.role != config.role:
            raise VolrepError(messages.ROLE_CHANGE, rvg=config.name, before=self.config.role, after=config.role)
        self._adopt(config)
        reply(self.status().model_dump(mode="json"), None)

    def _open(self, config: RvgConfig, reply: Reply) -> None:
        self._opening = True
        self.config = config
        ports = self._ports

        def work() -> Opened:
            ensure_srl(config, ports.open_file, ports.folder(config))
            return open_rvg(config, ports.open_file)

        def done(opened: Opened | None, error: Exception | None) -> None:
            self._opening = False
            if opened is None:
                failure = error if isinstance(error, VolrepError) else VolrepError(
                    messages.OPEN_FAILED, rvg=config.name, reason=repr(error))
                self._failed(failure)
            else:
                self._opened(config, opened)
            reply(self.status().model_dump(mode="json"), None)
            waiting, self._waiting_configure = self._waiting_configure, []
            for later, later_reply in waiting:
                self._configure(later, later_reply)

        self.background.run(work, done)

    def _opened(self, config: RvgConfig, opened: Opened) -> None:
        journal = Journal(opened.srl, opened.volumes, opened.end.end_lsn, self.loop, self.background)
        self.journal = journal
        self._dialler = self._ports.dialler(config)
        self.reads = Reads(opened.volumes, self.background)
        if config.role == Role.PRIMARY:
            self.primary = Primary(journal, self.clock, self.reads, self.emit)
            self.loop.after_events.append(self.primary.commit)
            journal.fill_header = self._fill_header
        else:
            self.secondary = Secondary(journal, self.clock, self._dialler, self.emit)
        inner = journal.on_failure

        def failed(error: VolrepError) -> None:
            self._failed(error)
            inner(error)

        journal.on_failure = failed
        self.state = rvg_step(self.state, RvgEvent.START)
        self._recovered = Recovered(clean=opened.was_clean, records=opened.end.records, end_lsn=opened.end.end_lsn,
                                    given_up=lost_records(opened.given_up, config))
        self.emit("rvg_started", _started_text(config, opened.end, was_clean=opened.was_clean))
        self._adopt(config)
        if journal.header.distrust:
            self._distrust(journal.header.distrust)

    def _distrust(self, reason: str) -> None:
        """The volumes are no longer what the log made of them: nothing counts as equal to them any more."""
        assert self.journal is not None
        self.emit("volume_changed", f"{reason}: synchronize before you rely on a copy")
        if self.primary is not None:
            for link in self.primary.links.values():
                link.distrust(reason)
        if self.secondary is not None:
            self.secondary.distrust(reason)
        self.journal.header.distrust = ""
        self.journal.try_save_header()

    def _failed(self, error: VolrepError) -> None:
        if self.state != RvgState.FAIL:
            self.state = rvg_step(self.state, RvgEvent.ERROR)
        self.failure = error
        assert self.config is not None
        self._damage = damage_of(error, self.config, error.gaps if isinstance(error, LogDamaged) else [])
        self.emit("rvg_fail", f"{error.id} {error.text}; safe: {self._damage.safe}; next: {self._damage.next[0]}")

    def _adopt(self, config: RvgConfig) -> None:
        """Links and exports as the configuration says."""
        self.config = config
        if self.secondary is not None:
            self.secondary.links = {link.link_id: link for link in config.links}
        if self.primary is not None:
            self._adopt_links(config, self.primary)
            self._adopt_exports(config, self.primary)
        self._describe(config)

    def _describe(self, config: RvgConfig) -> None:
        """Keep in the SRL what only the engine knows. Behind `_adopt_links`: the header is written with all links."""
        journal, described = self.journal, configured.said(config)
        if journal is not None and journal.failure is None and journal.header.configured != described:
            journal.header.configured = described
            journal.try_save_header()

    def _adopt_links(self, config: RvgConfig, primary: Primary) -> None:
        wanted = {link.link_id: link for link in config.links}
        assert self._dialler is not None
        maps = MapStore(self._ports.folder(config), self.background)
        for link_id in [i for i in primary.links if i not in wanted]:
            primary.links.pop(link_id).close()
            maps.remove(link_id)
            primary.journal.header.links.pop(link_id, None)
        for link_id, link in wanted.items():
            present = primary.links.get(link_id)
            if present is None:
                remembered = primary.journal.header.links.get(link_id, {})
                primary.links[link_id] = OutLink(link, remembered, primary, self._dialler, maps,
                                                 self._ports.new_id)
            elif present.config != link:
                present.reconfigure(link)
        primary.release_waiting()

    def _adopt_exports(self, config: RvgConfig, primary: Primary) -> None:
        wanted = {(e.volume, e.listen) for e in config.exports}
        for key in [k for k in self._listeners if k not in wanted]:
            self._listeners.pop(key).close()
        volumes = {v.name: v for v in config.volumes}
        for volume_name, where in sorted(wanted - set(self._listeners)):
            volume = volumes[volume_name]
            table = ExportTable([ExportInfo(name=volume.name, size_bytes=volume.size_bytes, volume_index=volume.index)])
            self._listeners[volume_name, where] = self._ports.listen(where, self.loop, table, primary)

    def _fill_header(self, header: Any) -> None:
        assert self.primary is not None
        header.links = {link_id: link.remembered() for link_id, link in self.primary.links.items()}

    def _primary_for(self, verb: str) -> Primary:
        if self.primary is None:
            assert self.config is not None
            if self.config.role == Role.SECONDARY:
                raise VolrepError(messages.NOT_PRIMARY, rvg=self.config.name, host=self.config.host, verb=verb)
            raise VolrepError(messages.RVG_NOT_RUNNING, rvg=self.config.name, host=self.config.host,
                              reason=self._reason())
        return self.primary

    def _out_link(self, params: dict[str, Any], verb: str) -> OutLink:
        primary = self._primary_for(verb)
        link_id = str(params["link_id"])
        found = primary.links.get(link_id)
        if found is None:
            raise VolrepError(messages.LINK_UNKNOWN, rvg=primary.journal.header.rvg, link=link_id)
        return found

    def _link_start(self, params: dict[str, Any], _: list[socket.socket]) -> dict[str, Any]:
        asked = LinkStart.model_validate(params)
        self._out_link(params, "startrep").start(asked.method)
        return self.status().model_dump(mode="json")

    def _link_do(self, params: dict[str, Any], action: Callable[[OutLink], None]) -> dict[str, Any]:
        LinkRef.model_validate(params)
        action(self._out_link(params, action.__name__))
        return self.status().model_dump(mode="json")

    def _link_accept(self, params: dict[str, Any], fds: list[socket.socket]) -> dict[str, Any]:
        asked = LinkRef.model_validate(params)
        link = self.secondary.links.get(asked.link_id) if self.secondary is not None else None
        if not fds:
            raise VolrepError(messages.NO_DESCRIPTOR, method=WorkerMethod.LINK_ACCEPT)
        if self._damage is not None:
            self._refuse(asked.link_id, fds[0])
            return {}
        if self.secondary is None or link is None:
            fds[0].close()
            return {}
        self.secondary.accept(link, fds[0])
        return {}

    def _refuse(self, link_id: str, sock: socket.socket) -> None:
        """A Secondary in FAIL tells its Primary so."""
        assert self.config is not None
        assert self._damage is not None
        link = next((known for known in self.config.links if known.link_id == link_id), None)
        if link is None or self.config.role is not Role.SECONDARY:
            sock.close()
            return
        if self._refuser is None:
            answer = Refuse(reason=self._damage.found, fault=fault_of(self._damage.kind))
            self._refuser = Refuser(self._ports.dialler(self.config), self.loop, answer)
        self._refuser.accept(link, sock)

    def _log_dump(self, params: dict[str, Any], _: list[socket.socket]) -> dict[str, Any]:
        asked = LogDumpRequest.model_validate(params)
        if self.journal is None:
            assert self.config is not None
            raise VolrepError(messages.RVG_NOT_RUNNING, rvg=self.config.name, host=self.config.host,
                              reason=self._reason())
        return dump_log(self.journal, asked).model_dump(mode="json")

    def _configuration(self) -> dict[str, Any]:
        if self.config is None:
            raise VolrepError(messages.WORKER_UNCONFIGURED)
        return self.config.model_dump(mode="json")

    # status

    def _reason(self) -> str:
        if self.failure is not None:
            return f"{self.failure.id} {self.failure.text}"
        return "recovering" if self._opening else ""

    def status(self) -> RvgStatus:
        config, journal = self.config, self.journal
        if config is None:
            raise VolrepError(messages.WORKER_UNCONFIGURED)
        role = self.primary or self.secondary
        kstate = KState.RECOVER if self._opening else (
            KState.DISABLED if self.failure is not None or journal is None else KState.ENABLED)
        waits = {}
        if self.reads is not None and self.primary is not None:
            waits = {"srl_room": self.primary.room_waits, "cold_read_bytes": self.reads.cold_waits}
        links = []
        if self.primary is not None:
            links = [link.status() for link in self.primary.links.values()]
        elif self.secondary is not None:
            links = [self.secondary.link_status(link) for link in self.secondary.links.values()]
        if config.role is Role.SECONDARY and self._damage is not None:
            links = [failed_end(link, self._damage) for link in config.links]
        return RvgStatus(
            dg=config.dg, name=config.name, host=config.host, role=config.role, state=self.state, kstate=kstate,
            reason=self._reason(), flags=rvg_flags(config, self._damage), damage=self._damage,
            recovered=self._recovered, generation=journal.header.generation if journal else 0,
            incarnation=journal.header.incarnation if journal else 0, srl=self._srl_status(config, journal),
            volumes=[self._volume_status(v.name, v.index, v.size_bytes) for v in config.volumes], links=links,
            consistent=journal is not None and journal.header.consistent,
            writes=role.writes if role else 0, written_bytes=role.written_bytes if role else 0,
            batches=role.batches if role else 0, reads=self.reads.reads if self.reads else 0,
            read_bytes=self.reads.read_bytes if self.reads else 0, waits=waits)

    def _volume_status(self, name: str, index: int, size_bytes: int) -> VolumeStatus:
        here = [found for (volume, _), found in self._listeners.items() if volume == name]
        return VolumeStatus(index=index, name=name, size_bytes=size_bytes, state=self._part_state(name),
                            exported=[f.uri(name) for f in here],
                            open_connections=sum(len(f.connections) for f in here))

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
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        if self.primary is not None:
            self.primary.close()
        if self.secondary is not None:
            self.secondary.close()
        if self.journal is not None:
            if self.state == RvgState.ACTIVE:
                self.state = rvg_step(self.state, RvgEvent.STOP)
            self.journal.close(clean=True)


def _started_text(config: RvgConfig, end: ScanEnd, *, was_clean: bool) -> str:
    how = "after a clean stop" if was_clean else f"recovered, {end.records} records replayed"
    return f"{config.role.value} RVG {config.name} is enabled ({how}); the log ends at LSN {end.end_lsn}"
