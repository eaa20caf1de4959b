"""The Secondary of an RVG: the Primary's log, kept and applied in its order.

Its SRL holds the same stream as the Primary's. From the first copied region until the log has been applied to where
the copy ended, the volumes are no image of any moment: `header.consistent` is False, durably, before the
first region is written.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from volrep.link.frames import BadFrame
from volrep.link.logbuffer import LogBuffer
from volrep.link.negotiate import (
    LINK_PROTOCOL,
    Hello,
    Refuse,
    Start,
    StartMode,
    VolumeSaid,
    Welcome,
    check_hello,
)
from volrep.link.receiver import Receiver
from volrep.log.record import Record
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig
from volrep.model.damage import LinkFault
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.model.status import LinkKState, LinkState, LinkStatus
from volrep.ports.clock import Clock
from volrep.ports.reactor import Timer
from volrep.ports.streams import Stream
from volrep.rvg.dialling import Dialler
from volrep.rvg.journal import Journal
from volrep.rvg.limits import REGION_SYNC_BYTES, REGION_SYNC_INTERVAL_S, SETUP_THREADS
from volrep.rvg.outlink import connected_text
from volrep.rvg.tail import tail_of
from volrep.volume.data import DataVolume

_ORDER = "order"  # key of the header's `links` under which the Secondary remembers


class Secondary:
    """`link.receiver.ReceiverOwner`; one per RVG, with one Primary at a time."""

    def __init__(self, journal: Journal, clock: Clock, dialler: Dialler, emit: Callable[[str, str], None]) -> None:
        self.journal = journal
        self.clock = clock
        self.emit = emit
        self.links: dict[str, LinkConfig] = {}
        self.writes = self.written_bytes = self.batches = 0
        self._dialler = dialler
        self._buffer = LogBuffer()
        self._receiver: Receiver | None = None
        self._link: LinkConfig | None = None
        self._accepting = 0
        self._why_not_connected = "waits for the Primary"
        self._regions_received = 0
        self._regions_unsynced_bytes = 0
        self._region_syncing = False
        self._region_timer: Timer | None = None
        self._last_time_ns = 0
        journal.on_room = self._on_room
        journal.on_failure = self._failed

    def _order(self) -> dict[str, Any]:
        """What the header remembers: id of the last order carried out, the Primary's last word on the link."""
        return self.journal.header.links.setdefault(_ORDER, {"order_id": "", "state": "", "reason": "", "link_id": ""})

    def distrust(self, reason: str) -> None:
        """The volumes here are not what the log made of them: forget the order, so that only a new one goes on."""
        self._order().update(order_id="", state=LinkState.STALE.value, reason=reason[:200])
        self.journal.header.consistent = False
        self.journal.header.consistent_after_lsn = 0
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
            if stream is not None and self.journal.failure is not None:
                stream.close()  # it failed meanwhile
                return
            if stream is None:
                self.emit("rlk_refused", f"connection from {link.remote_host} for link {link.name}: {error}")
                return
            if self._receiver is not None:
                self._receiver.close("replaced by a newer connection")
            self._link = link
            self._receiver = Receiver(stream, self.journal.loop, self.journal.srl.file.fileno(), self._buffer, self)

        self._dialler.accept(link, sock, done)

    def hello(self, hello: Hello) -> Welcome | Refuse:
        header, link = self.journal.header, self._link
        assert link is not None
        volumes = [VolumeSaid(index=v["index"], name=v["name"], size_bytes=v["size_bytes"]) for v in header.volumes]
        refusal = check_hello(hello, rds_id=header.rds_id, link_id=link.link_id, volumes=volumes)
        if refusal:
            return Refuse(reason=refusal, fault=LinkFault.CONFIG)
        try:
            tail_bytes, tail_crc = tail_of(self.journal)
        except VolrepError as error:
            return Refuse(reason=f"{error.id} {error.text}", fault=LinkFault.LOG)
        return Welcome(protocol=LINK_PROTOCOL, host=header.host, order_id=self._order()["order_id"],
                       history=header.history, end_lsn=self.journal.durable_lsn,
                       applied_lsn=self.journal.applied_lsn, consistent=header.consistent,
                       tail_bytes=tail_bytes, tail_crc=tail_crc)

    def begin(self, start: Start) -> tuple[int, int, int]:
        journal, header, order = self.journal, self.journal.header, self._order()
        if start.mode == StartMode.BEGIN:
            if start.order_id == order["order_id"]:
                raise BadFrame("an order that was carried out already")
            header.consistent = start.consistent
            header.consistent_after_lsn = 0
            order["order_id"] = start.order_id
            try:
                journal.restart_at(start.lsn)
            except VolrepError as error:
                journal.fail(error)
                raise BadFrame("START cannot be carried out, the SRL fails") from error
            if not start.consistent:
                self.emit("resync_started", f"inconsistent until all is copied; the log begins at LSN {start.lsn}")
        elif start.lsn != journal.durable_lsn:
            raise BadFrame(f"START at LSN {start.lsn}, the log here ends at {journal.durable_lsn}")
        header.history = list(start.history)
        header.generation = max((g for g, _ in start.history), default=header.generation)
        link = self._link
        assert link is not None
        order.update(state=LinkState.ACTIVE.value, reason="", link_id=link.link_id)
        if not journal.try_save_header():
            raise BadFrame("START cannot be carried out, the SRL fails")
        self._regions_received = self._regions_unsynced_bytes = 0
        self._why_not_connected = ""
        self.emit("rlk_connect", connected_text(link, start))
        return start.lsn, 0, 0

    def lost(self, reason: str) -> None:
        self._receiver = None
        self._why_not_connected = reason
        if self._region_timer is not None:
            self._region_timer.cancel()
            self._region_timer = None
        if self._link is not None:
            self.emit("rlk_disconnect", f"{self._link.remote_host}: {reason}")

    def told(self, state: dict[str, object]) -> None:
        known = {s.value for s in LinkState}
        said = str(state.get("state", ""))
        if said in known:
            self._order().update(state=said, reason=str(state.get("reason", ""))[:200])
            self.journal.touch_header()

    # the log

    def has_room(self, length: int) -> bool:
        try:
            if self.journal.has_room(length):
                return True
        except VolrepError:
            return False  # in FAIL now; `_failed` closes the connection
        self.journal.checkpoint()
        return False

    def _on_room(self) -> None:
        if self._receiver is not None:
            self._receiver.resume()

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
        self._last_time_ns = records[-1][7]
        self._check_consistent()

    def applied_lsn(self) -> int:
        return self.journal.applied_lsn

    # the copy

    def region(self, volume: int, offset: int, data: memoryview | None, length: int) -> None:
        target = self._target(volume, offset, length)
        header = self.journal.header
        if header.consistent:
            raise BadFrame("a region for volumes that are consistent")
        try:
            if data is not None:
                target.file.write([data], offset)
            elif any(is_data for _, _, is_data in target.file.extents(offset, length)):
                target.file.zero(offset, length, unmap=True)
        except OSError as error:
            self.journal.fail(VolrepError(messages.VOLUME_IO_FAILED, name=target.name, reason=error))
            return
        self._regions_received += 1
        self._regions_unsynced_bytes += length if data is not None else 0
        if self._regions_unsynced_bytes >= REGION_SYNC_BYTES:
            self._sync_regions()
        elif self._region_timer is None:
            self._region_timer = self.journal.loop.call_at(
                self.clock.monotonic_s() + REGION_SYNC_INTERVAL_S, self._sync_regions)

    def _target(self, volume: int, offset: int, length: int) -> DataVolume:
        volumes = self.journal.volumes
        target = volumes[volume] if volume < len(volumes) else None
        if target is None or offset + length > target.file.size_bytes:
            raise BadFrame(f"a region of {length} bytes at {offset} of volume {volume} does not exist here")
        return target

    def _sync_regions(self) -> None:
        """Acknowledge what is written so far as soon as it is durable."""
        if self._region_timer is not None:
            self._region_timer.cancel()
            self._region_timer = None
        if self._region_syncing:
            return
        self._region_syncing = True
        self._regions_unsynced_bytes = 0
        receiver, count = self._receiver, self._regions_received

        def done(_: None, error: Exception | None) -> None:
            self._region_syncing = False
            if error is not None:
                assert isinstance(error, VolrepError), error
                self.journal.fail(error)
            elif receiver is not None and receiver is self._receiver:
                receiver.acknowledge_regions(count)
                if self._regions_received > count and self._region_timer is None:
                    self._region_timer = self.journal.loop.call_at(
                        self.clock.monotonic_s() + REGION_SYNC_INTERVAL_S, self._sync_regions)

        self.journal.background.run(self.journal.sync_volumes, done)

    def sync_end(self, lsn: int) -> None:
        header = self.journal.header
        if header.consistent:
            if self._receiver is not None:
                self._receiver.say_consistent(lsn)  # the Primary had not heard
            return
        header.consistent_after_lsn = max(header.consistent_after_lsn, lsn)  # a log that was cut may need more
        if self.journal.try_save_header():
            self._check_consistent()

    def _check_consistent(self) -> None:
        header = self.journal.header
        after_lsn = header.consistent_after_lsn
        if header.consistent or not after_lsn or self.journal.applied_lsn < after_lsn:
            return
        header.consistent = True
        if not self.journal.try_save_header():
            return
        self.emit("resync_stopped", f"consistent since LSN {header.consistent_after_lsn}")
        if self._receiver is not None:
            self._receiver.say_consistent(header.consistent_after_lsn)

    # failure and status

    def _failed(self, _: VolrepError) -> None:
        if self._receiver is not None:
            self._receiver.close("the Secondary RVG is in FAIL")

    def close(self) -> None:
        if self._receiver is not None:
            self._receiver.close("the worker ends")

    def link_status(self, link: LinkConfig) -> LinkStatus:
        order, header, journal = self._order(), self.journal.header, self.journal
        mine = order["link_id"] == link.link_id
        connected = self._receiver is not None and self._link is not None and self._link.link_id == link.link_id
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
            applied_lsn=journal.applied_lsn)
