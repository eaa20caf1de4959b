"""The Secondary of an RVG: the Primary's log, kept and applied in its order.

Its SRL holds the same stream as the Primary's. From the first copied region until the log has been applied to where
the copy ended, the volumes are no image of any moment: `header.consistent` is False, durably, before the
first region is written.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from volrep.link.fork import refuses
from volrep.link.frames import BadFrame
from volrep.link.history import common_end
from volrep.link.logbuffer import LogBuffer
from volrep.link.negotiate import (
    LINK_PROTOCOL,
    Claim,
    Hello,
    Refuse,
    Start,
    StartMode,
    VolumeSaid,
    Welcome,
    check_hello,
)
from volrep.link.receiver import Receiver
from volrep.link.tails import Reach
from volrep.log.record import CONTINUES, Record, RecordType, Write
from volrep.log.tails import keep_tails
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig
from volrep.model.damage import LinkFault
from volrep.model.errors import VolrepError
from volrep.model.status import Announced, LinkKState, LinkState, LinkStatus
from volrep.ports.clock import Clock
from volrep.ports.streams import Stream
from volrep.rvg.copyin import CopyIn
from volrep.rvg.dialling import Dialler
from volrep.rvg.divergence import Divergence
from volrep.rvg.incoming import Incoming
from volrep.rvg.journal import Journal
from volrep.rvg.limits import SETUP_THREADS
from volrep.rvg.link_view import connected_text
from volrep.rvg.tail import tail_for
from volrep.rvg.verifying import Verifier

_ROLE = int(RecordType.ROLE)
_ORDER = "order"  # key of the header's `links` under which the Secondary remembers


class Secondary:
    """One per RVG, with one Primary at a time; connections come as `rvg.incoming.Incoming`."""

    def __init__(self, journal: Journal, clock: Clock, dialler: Dialler, divergence: Divergence,
                 emit: Callable[[str, str], None]) -> None:
        self.journal = journal
        self.clock = clock
        self.emit = emit
        self.links: dict[str, LinkConfig] = {}
        self.writes = self.written_bytes = self.batches = 0
        self.mismatches = 0
        self.verifier = Verifier(journal, emit)
        self.copy = CopyIn(journal, self._receiver, self._keep_copied)
        self._dialler = dialler
        self._divergence = divergence
        self._buffer = LogBuffer()
        self._active: Incoming | None = None  # has said START
        self._greeting: dict[str, Incoming] = {}  # by link: not yet, at most one of each
        self._accepting = 0
        self._closed = False
        self._why_not_connected = "waits for the Primary"
        journal.on_room = self._on_room
        journal.on_failure = self._failed

    def _order(self) -> dict[str, Any]:
        """What the header remembers: id of the last order carried out, the Primary's last words."""
        return self.journal.header.links.setdefault(_ORDER, {"order_id": "", "state": "", "reason": "", "link_id": ""})

    def _keep_copied(self, frames: int) -> bool:
        """Before they are acknowledged: who is put back to an older state has fewer, and says so."""
        self._order()["copied_frames"] = frames
        return self.journal.try_save_header()

    def _receiver(self) -> Receiver | None:
        return self._active.receiver if self._active is not None else None

    def distrust(self, reason: str) -> None:
        """The volumes here are not what the log made of them: forget the order, so that only a new one goes on."""
        self._order().update(order_id="", state=LinkState.STALE.value, reason=reason[:200])
        self.journal.header.consistent = False
        self.journal.header.consistent_after_lsn = 0
        self.journal.header.salvage = {}
        self.journal.save_header()

    # connections

    def accept(self, link: LinkConfig, sock: socket.socket) -> None:
        """A connection for `link` that the engine handed over; identity is proved in a thread."""
        if self._accepting >= SETUP_THREADS or self.journal.failure is not None:
            sock.close()  # bounded: proving takes a thread; the Primary tries again
            return
        self._accepting += 1

        def done(stream: Stream | None, error: Exception | None) -> None:
            self._accepting -= 1
            if stream is None:
                self.emit("rlk_refused", f"connection from {link.remote_host} for link {link.name}: {error}")
                return
            if self.journal.failure is not None or self._closed:
                stream.close()  # it failed, or the role changed, meanwhile
                return
            if (earlier := self._greeting.pop(link.link_id, None)) is not None:
                earlier.close("replaced by a newer connection")
            incoming = self._greeting[link.link_id] = Incoming(link, self)
            incoming.open(stream, self.journal.loop, self.journal.srl.file.fileno(), self._buffer)

        self._dialler.accept(link, sock, done)

    def hello(self, link: LinkConfig, hello: Hello) -> Welcome | Refuse:
        header = self.journal.header
        volumes = [VolumeSaid(index=v["index"], name=v["name"], size_bytes=v["size_bytes"]) for v in header.volumes]
        refusal = check_hello(hello, rds_id=header.rds_id, link_id=link.link_id, volumes=volumes)
        if refusal:
            return Refuse(reason=refusal, fault=LinkFault.CONFIG)
        if refuses(header.history, hello.history):
            newest = header.history[-1]
            claim = Claim(host=header.host, history=header.history, end_lsn=self.journal.durable_lsn, primary=False)
            return Refuse(reason=f"{header.host} holds to reign {newest.generation} ({newest.reign_id}), "
                                 f"which {hello.host} does not know", claim=claim)
        if self._active is not None and self._active.link.link_id == link.link_id:
            self._active.close("replaced by a newer connection")
        shared_lsn = common_end(header.history, self.journal.durable_lsn, hello.history, hello.durable_lsn)
        try:
            tail = tail_for(self.journal, shared_lsn, Reach(hello.shown_lsn, hello.kept_tails))
        except VolrepError as error:
            return Refuse(reason=f"{error.id} {error.text}", fault=LinkFault.LOG)
        order = self._order()
        return Welcome(protocol=LINK_PROTOCOL, host=header.host, order_id=order["order_id"],
                       history=header.history, end_lsn=self.journal.durable_lsn, applied_lsn=self.journal.applied_lsn,
                       consistent=header.consistent, acting=header.acting_secondary,
                       tail=tail, copied_frames=order.get("copied_frames", 0))

    def rewind(self, incoming: Incoming, lsn: int) -> None:
        """The Primary of a newer reign asks what was written here beyond the fork."""
        hello = incoming.hello_said
        assert hello is not None
        end_lsn = incoming.rewound_end_lsn = self.journal.durable_lsn
        if lsn != common_end(self.journal.header.history, end_lsn, hello.history, hello.durable_lsn):
            raise BadFrame(f"REWIND to LSN {lsn}, where the logs do not part")

        def known(encoded: bytes | None) -> None:
            if encoded is None:
                incoming.close("what was written beyond the fork cannot be kept")
            elif incoming.receiver is not None and not incoming.receiver.closed:
                incoming.receiver.diverged(encoded)

        self._divergence.find(lsn, end_lsn, known)

    def begin(self, incoming: Incoming, start: Start) -> tuple[int, int, int]:
        """Carry out START; the connection is the one in use from now on."""
        journal, header, order = self.journal, self.journal.header, self._order()
        if start.mode == StartMode.BEGIN and start.order_id == order["order_id"]:
            raise BadFrame("an order that was carried out already")
        if not start.history:
            raise BadFrame("START without a history")
        if start.mode == StartMode.STREAM:
            self._check_stream(start)
        elif incoming.rewound_end_lsn not in (0, journal.durable_lsn):
            raise BadFrame("the log has grown since it was looked through beyond the fork")
        if self._active is not None and self._active is not incoming:
            self._active.close("replaced by a newer connection")
        self._greeting.pop(incoming.link.link_id, None)
        self._active = incoming
        if start.mode == StartMode.BEGIN:
            self._forget_log(start)
        header.history = list(start.history)
        header.generation = header.history[-1].generation
        if incoming.hello_said is not None:
            header.incarnation = max(header.incarnation, incoming.hello_said.incarnation)
        header.acting_secondary, header.rival = False, {}
        copied_frames = order.get("copied_frames", 0) if order["order_id"] == start.order_id else 0
        order.clear()
        order.update(order_id=start.order_id, state=LinkState.ACTIVE.value, reason="", link_id=incoming.link.link_id,
                     copied_frames=copied_frames,
                     primary=incoming.link.remote_host, primary_writes=0, received_writes=0,
                     primary_end_lsn=max(start.lsn, incoming.hello_said.durable_lsn if incoming.hello_said else 0))
        if not journal.try_save_header():
            raise BadFrame("START cannot be carried out, the SRL fails")
        self.copy.begin(copied_frames)
        self._why_not_connected = ""
        self.emit("rlk_connect", connected_text(incoming.link, start))
        return start.lsn, header.generation_at(start.lsn), 0

    def _check_stream(self, start: Start) -> None:
        """Nothing that is here may be lost by going on: whatever the Primary decided."""
        journal = self.journal
        if start.lsn != journal.durable_lsn:
            raise BadFrame(f"START at LSN {start.lsn}, the log here ends at {journal.durable_lsn}")
        shared_lsn = common_end(journal.header.history, journal.durable_lsn, start.history, start.lsn)
        if shared_lsn != start.lsn:
            raise BadFrame(f"START at LSN {start.lsn}, the histories part at {shared_lsn}")

    def _forget_log(self, start: Start) -> None:
        """One header write, the caller's, turns the old log with its image into the new one: a crash before it has
        changed nothing that counts, for by then the image no longer needs the log.
        """
        journal, header = self.journal, self.journal.header
        try:
            if header.consistent:
                journal.checkpoint_now()
            journal.restart_at(start.lsn)
        except VolrepError as error:
            journal.fail(error)
            raise BadFrame("START cannot be carried out, the SRL fails") from error
        header.consistent = start.consistent
        header.consistent_after_lsn = 0
        header.salvage, header.kept_tails = {}, []
        keep_tails(header, start.tails)
        if not start.consistent:
            self.emit("resync_started", f"inconsistent until all is copied; the log begins at LSN {start.lsn}")

    def mismatch(self, incoming: Incoming, reason: str) -> None:
        self.mismatches += 1
        self.emit("log_mismatch", f"{incoming.link.remote_host}: {reason}; nothing of it was acknowledged, "
                                  f"it is fetched again from LSN {self.journal.durable_lsn}")

    def connection_lost(self, incoming: Incoming, reason: str) -> None:
        if self._greeting.get(incoming.link.link_id) is incoming:
            del self._greeting[incoming.link.link_id]
        if self._active is not incoming:
            if self._active is None:
                self._why_not_connected = reason
            return
        self._heard(incoming)
        self._active = None
        self._why_not_connected = reason
        self.copy.stop()
        self.verifier.end()
        self.emit("rlk_disconnect", f"{incoming.link.remote_host}: {reason}")

    def told(self, incoming: Incoming, state: dict[str, object]) -> None:
        known = {s.value for s in LinkState}
        said = str(state.get("state", ""))
        if incoming is self._active and said in known:
            self._order().update(state=said, reason=str(state.get("reason", ""))[:200])
            self.journal.touch_header()

    def announced(self, end_lsn: int, writes: int) -> None:
        self._order().update(primary_end_lsn=end_lsn, primary_writes=writes,
                             received_writes=self._buffer.received_records)
        if self._active is not None:
            self._heard(self._active)

    def _heard(self, incoming: Incoming) -> None:
        receiver = incoming.receiver
        if receiver is not None:
            ago_s = self.clock.monotonic_s() - receiver.heard_s
            self._order().update(contact_ns=self.clock.wall_ns() - int(ago_s * 1e9),
                                 write_ns=self._buffer.newest_time_ns or self._order().get("write_ns", 0))
            self.journal.touch_header()

    # the log

    def has_room(self, length: int) -> bool:
        try:
            if self.journal.has_room(length):
                return True
        except VolrepError:
            return False  # in FAIL now; `_failed` closes the connection
        self.journal.checkpoint(hurry=True)
        return False

    def _on_room(self) -> None:
        if (receiver := self._receiver()) is not None:
            receiver.resume()

    def commit(self, view: memoryview, start: int, end: int, records: list[Record]) -> None:
        journal = self.journal
        try:
            journal.append([view[start:end]], end - start)
            journal.apply_records(view, records)
        except VolrepError:
            return  # in FAIL now; `_failed` closes the connection, nothing is acknowledged
        self.writes += len(records)
        self.written_bytes += end - start
        self.batches += 1
        self._check_consistent()

    def commit_up_to(self, lsn: int) -> None:
        """Log and apply what was received up to `lsn`: durable on the old Primary, though it never said so here.

        The host whose log proves it can then follow: the next reign begins behind all that it holds.
        """
        buffer = self._buffer
        due_bytes = min(lsn, buffer.verified_lsn) - buffer.committed_lsn
        if buffer.committed_lsn != self.journal.durable_lsn or due_bytes <= 0 or not self.has_room(due_bytes):
            return
        start, end, records = buffer.take(lsn)
        if records:
            self.commit(buffer.view, start, end, records)

    def tail(self) -> list[Write]:
        """Records received beyond the durable log, in order: what an application may have been told is safe here."""
        view = self._buffer.view
        return [(kind, index, offset, length, view[start:end] if end > start else None)
                for kind, index, offset, length, start, end, _, _, _ in self._buffer.records
                if kind & ~CONTINUES != _ROLE]

    @property
    def incarnation(self) -> int:
        """Highest of the records received over the present connection."""
        return self._buffer.cursor.incarnation

    def sync_end(self, lsn: int) -> None:
        header = self.journal.header
        if header.consistent:
            if (receiver := self._receiver()) is not None:
                receiver.say_consistent(lsn)  # the Primary had not heard
            return
        header.consistent_after_lsn = max(header.consistent_after_lsn, lsn)  # a log that was cut may need more
        if self.journal.try_save_header():
            self._check_consistent()

    def _check_consistent(self) -> None:
        header = self.journal.header
        after_lsn = header.consistent_after_lsn
        if header.consistent or not after_lsn or self.journal.applied_lsn < after_lsn:
            return
        header.consistent, header.salvage = True, {}
        if not self.journal.try_save_header():
            return
        self.emit("resync_stopped", f"consistent since LSN {header.consistent_after_lsn}")
        if (receiver := self._receiver()) is not None:
            receiver.say_consistent(header.consistent_after_lsn)

    # failure and status

    def _failed(self, _: VolrepError) -> None:
        self._close_connections("the Secondary RVG is in FAIL")

    def close(self, reason: str = "the worker ends") -> None:
        """Take no connection any more. What was received stays for `tail`."""
        self._closed = True
        self._close_connections(reason)

    def _close_connections(self, reason: str) -> None:
        for incoming in [*self._greeting.values(), *([self._active] if self._active is not None else [])]:
            incoming.close(reason)

    def link_status(self, link: LinkConfig) -> LinkStatus:
        order, header, journal = self._order(), self.journal.header, self.journal
        mine = order["link_id"] == link.link_id
        connected = self._active is not None and self._active.link.link_id == link.link_id
        state = LinkState(order["state"]) if mine and order["state"] else LinkState.STALE
        if journal.failure is not None:
            state = LinkState.FAIL
        stale = state == LinkState.STALE
        kstate = LinkKState.DETACHED if stale else LinkKState.CONNECT if connected else LinkKState.ENABLED
        flags = ["detached" if stale else "attached", "connected" if connected else "disconnected",
                 "consistent" if header.consistent else "inconsistent"]
        reason = str(order["reason"]) if mine else "replication was never started"
        return LinkStatus(
            link_id=link.link_id, name=link.name, remote_host=link.remote_host, state=state, kstate=kstate,
            flags=flags, connected=connected, reason=reason or ("" if connected else self._why_not_connected),
            attributes=effective(link.attributes), consistent=header.consistent,
            network_lsn=self._buffer.verified_lsn if connected else journal.durable_lsn, data_lsn=journal.durable_lsn,
            applied_lsn=journal.applied_lsn, mismatches=self.mismatches,
            proved_from_lsn=self.verifier.proved_from_lsn, proved_lsn=self.verifier.proved_lsn)

    def announced_status(self) -> Announced | None:
        """What is known of the Primary's log; None when no Primary ever said."""
        order, journal = self._order(), self.journal
        if "primary_end_lsn" not in order:
            return None
        if self._active is not None:
            self._heard(self._active)
        received_lsn = max(self._buffer.verified_lsn, journal.durable_lsn)
        received_writes = max(order["received_writes"], self._buffer.received_records)
        missing_bytes = max(0, order["primary_end_lsn"] - received_lsn)
        missing_writes = max(1, order["primary_writes"] - received_writes) if missing_bytes else 0
        return Announced(
            primary=str(order.get("primary", "")), primary_end_lsn=max(order["primary_end_lsn"], received_lsn),
            primary_writes=order["primary_writes"], last_contact_ns=order.get("contact_ns", 0),
            missing_writes=missing_writes, missing_bytes=missing_bytes, tail_writes=len(self._buffer.records),
            tail_bytes=self._buffer.uncommitted_bytes, last_write_ns=order.get("write_ns", 0))
