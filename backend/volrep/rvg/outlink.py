"""The Primary's end of one pairing: its state, what it still needs of the log, when to connect, what to copy.

The state machine is `model.states.LINK_ROWS`. What must survive a restart is `Remembered`, kept in the SRL header under
the link's id; the region map of a copy under way is kept in a file of its own (`rvg.maps`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from volrep.link.frames import BadFrame, FrameType, frame, json_frame
from volrep.link.negotiate import (
    Detach,
    Later,
    OurLog,
    Refuse,
    Rewind,
    Start,
    Welcome,
    begin,
    decide,
)
from volrep.link.sender import Sender
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig, StartMethod
from volrep.model.damage import LinkFault
from volrep.model.states import LinkEvent, link_step
from volrep.model.status import LinkState, LinkStatus
from volrep.ports.reactor import Timer
from volrep.ports.streams import Buffer, Stream
from volrep.rvg.changes import Maps
from volrep.rvg.copyout import CopyOut
from volrep.rvg.dialling import Dialler
from volrep.rvg.doubts import Doubts
from volrep.rvg.failback import differing_regions, why_copied
from volrep.rvg.greeting import hello_of
from volrep.rvg.limits import DIAL_INTERVAL_S
from volrep.rvg.link_view import connected_text, status_of
from volrep.rvg.maps import MapStore, encoded_max_bytes
from volrep.rvg.remembered import Remembered, connection_part
from volrep.rvg.resync import Resync
from volrep.rvg.synchrony import Synchrony
from volrep.rvg.tail import checked, tails_before
from volrep.rvg.verifying import Checker

if TYPE_CHECKING:
    from volrep.rvg.primary import Primary

_EVENT_TYPES = {LinkEvent.STOP: "rlk_stopped", LinkEvent.PAUSE: "rlk_paused", LinkEvent.OVERFLOW: "srl_overflow",
                LinkEvent.DETACH: "rlk_detached"}


class OutLink:
    """`link.sender.SenderOwner`; one per Secondary, each at its own pace."""

    def __init__(self, config: LinkConfig, remembered: dict[str, Any], primary: Primary, dialler: Dialler,
                 maps: MapStore, new_id: Callable[[], str]) -> None:
        known = {k: v for k, v in remembered.items() if k in Remembered.__dataclass_fields__}
        self.config = config
        self.mind = Remembered(**known)
        self.sender: Sender | None = None
        self._synchrony = Synchrony(config, primary.emit, primary.release_waiting)
        self._primary = primary
        self._dialler = dialler
        self._copy = CopyOut(config.link_id, maps, primary.journal, self._pump, self._copied)
        self._new_id = new_id
        self._loop = primary.journal.loop
        self._dialling = False
        self._dial_timer: Timer | None = None
        self._closed = False
        self.why_not_connected = ""
        self.doubts = Doubts(primary.journal, config.remote_host, primary.emit, self._part)
        self.checker = Checker(primary.journal, config.remote_host, primary.emit, self._part)
        self.mismatch, self.verdict = self.doubts.mismatch, self.checker.verdict
        self._asking = False
        self._rewind = Rewind(0)  # asked over the present connection
        self._was_connected = False
        self._heals = False
        if self.mind.syncing:
            self._begin_copy(self._copy.kept(self.mind.order_id, fresh=False))
        if self.active:
            self._dial_soon(0.0)

    # what others ask

    @property
    def active(self) -> bool:
        """To be connected: also to hear that a Secondary is well again."""
        return self.mind.state == LinkState.ACTIVE or bool(self.mind.fault)

    @property
    def in_force(self) -> bool:
        """Synchronous replication: completed writes are there, too."""
        return self._synchrony.in_force

    @property
    def resync(self) -> Resync | None:
        return self._copy.resync

    @property
    def was_started(self) -> bool:
        return bool(self.mind.order_id)

    @property
    def attached(self) -> bool:
        return self.mind.state != LinkState.STALE

    @property
    def connected(self) -> bool:
        return self.sender is not None and self.sender.streaming

    @property
    def retain_lsn(self) -> int:
        """The log is needed from here on."""
        return self.mind.acked_lsn if self.mind.state != LinkState.STALE else 1 << 63

    @property
    def sync_acked_lsn(self) -> int:
        sender = self.sender
        assert sender is not None
        return sender.data_lsn if sender.prompt_commit else sender.network_lsn

    def remembered(self) -> dict[str, Any]:
        return asdict(self.mind)

    # the data path

    def offer(self, buffers: list[Buffer], start_lsn: int, end_lsn: int) -> None:
        if self.sender is not None:
            self.sender.offer(buffers, start_lsn, end_lsn)

    def committed(self) -> None:
        if self.sender is not None:
            self.sender.committed()

    def listen(self) -> None:
        """Somebody waits for an acknowledgement: take it if it has come, without waiting for the loop's next turn."""
        if self.in_force and self.sender is not None:
            self.sender.on_readable()

    def applied(self) -> None:
        """The volumes hold the batch, too: regions may be read again."""
        if self.resync is not None:
            self._pump()

    def acked(self) -> None:
        sender, mind, journal = self.sender, self.mind, self._primary.journal
        assert sender is not None
        if not self._confirmed():
            return
        mind.acked_lsn = max(mind.acked_lsn, sender.data_lsn)
        journal.touch_header()
        self._synchrony.look(mind, sender, journal.end_lsn)
        if self.in_force:
            self._primary.release_waiting()

    # the operator's verbs

    def start(self, method: StartMethod) -> None:
        journal = self._primary.journal
        if method in (StartMethod.FOLLOW, StartMethod.FAILBACK) and self.attached:
            self._change_order(method)
            return
        self._step(LinkEvent.START, "")
        self.mind = Remembered(
            state=LinkState.ACTIVE, reason="", order_id=self._new_id(), method=method.value,
            begin_lsn=journal.durable_lsn,
            acked_lsn=journal.retained_lsn() if method == StartMethod.FOLLOW else journal.durable_lsn,
            syncing=method == StartMethod.AUTOSYNC, consistent=method in (StartMethod.BLANK, StartMethod.FORCE))
        if self.mind.syncing:
            self._begin_copy(self._copy.kept(self.mind.order_id, fresh=True))
            self._primary.emit("resync_started", f"{self.config.remote_host}: automatic synchronization started")
        journal.save_header()
        self._dial_soon(0.0)

    def _change_order(self, method: StartMethod) -> None:
        """Replication runs, or waits for the other host: only an order that waits becomes a failback."""
        if method is StartMethod.FAILBACK and not (self.connected or self.mind.syncing):
            self.mind.fail_back(self._new_id)
            self._primary.journal.save_header()

    def ask(self) -> None:
        """Whatever the link's state: hear what the other host has to say before this one serves."""
        self._asking = True
        self._dial_soon(0.0)

    def asked(self) -> None:
        """This host serves now."""
        self._asking = False
        if self.active and self.sender is None:
            self._dial_soon(0.0)

    def stop(self) -> None:
        self._leave(LinkEvent.STOP, "replication was stopped")

    def pause(self) -> None:
        self._leave(LinkEvent.PAUSE, "paused by user")

    def resume(self) -> None:
        self._step(LinkEvent.RESUME, "")
        self._primary.journal.save_header()
        self._primary.emit("rlk_resumed", f"{self.config.remote_host}: replication resumed")
        self._dial_soon(0.0)

    def overflow(self) -> None:
        """The SRL needs the room that this link still holds."""
        if self.active and not self.mind.delivered and self._copies_what_differs():
            self.mind.acked_lsn = self._primary.journal.end_lsn  # whoever comes needs no log
        elif self.mind.state in (LinkState.ACTIVE, LinkState.PAUSE, LinkState.FAIL):
            self._leave(LinkEvent.OVERFLOW, "the SRL overflowed")

    def _copies_what_differs(self) -> bool:
        """Whether the other host, when it comes, is made equal by a failback, by order or by itself."""
        method = self.mind.method
        return method == StartMethod.FAILBACK or (method == StartMethod.FOLLOW and self._primary.tracking.auto)

    def distrust(self, reason: str) -> None:
        """This Primary's volumes are not what the log made of them: the Secondary cannot be equal."""
        self.mind.consistent = False
        if self.mind.state in (LinkState.ACTIVE, LinkState.PAUSE, LinkState.FAIL):
            self._leave(LinkEvent.DETACH, reason)

    def reconfigure(self, config: LinkConfig) -> None:
        """Attributes or address changed: what concerns the connection takes a new one."""
        old, self.config = self.config, config
        self._synchrony.configure(config)
        if self.sender is not None:
            self.sender.gathers = not self._synchrony.wanted
        if connection_part(old) != connection_part(config):
            self.disconnect("the link's configuration changed")
            if self.active:
                self._dial_soon(0.0)
        else:
            self._primary.journal.loop.call_soon(self._recheck)

    def _recheck(self) -> None:
        if self.connected:
            assert self.sender is not None
            self._synchrony.look(self.mind, self.sender, self._primary.journal.end_lsn)

    def _step(self, event: LinkEvent, reason: str) -> None:
        self.mind.state = link_step(self.config.name, LinkState(self.mind.state), event)
        self.mind.reason = reason
        self.mind.fault = ""

    def _leave(self, event: LinkEvent, reason: str) -> None:
        """Out of ACTIVE: tell the Secondary, close the connection, remember."""
        self._step(event, reason)
        if self.connected:
            assert self.sender is not None
            self.sender.push(json_frame(FrameType.STATE, {"state": self.mind.state, "reason": reason}))
        if self.mind.state == LinkState.STALE:
            self._copy.drop()
            self.mind.syncing = False
        self.disconnect(reason)
        self._primary.emit(_EVENT_TYPES[event], f"{self.config.remote_host}: {reason}; link {self.config.name} "
                                                     f"is {self.mind.state}")
        if event == LinkEvent.OVERFLOW:
            self._primary.journal.touch_header()  # the caller writes the header when it moves the tail
        else:
            self._primary.journal.try_save_header()

    # connecting

    def _dial_soon(self, delay_s: float) -> None:
        if self._dial_timer is not None:
            self._dial_timer.cancel()
        self._dial_timer = self._loop.call_at(self._loop.clock.monotonic_s() + delay_s, self._dial)

    def _dial(self) -> None:
        self._dial_timer = None
        if not self._wanted or self.sender is not None or self._dialling or self._primary.journal.failure is not None:
            return
        self._dialling = True
        dialled = self.config

        def done(stream: Stream | None, error: Exception | None) -> None:
            self._dialling = False
            if stream is not None and self._wanted and self.sender is None and self.config is dialled:
                sender = Sender(stream, self._loop, self._primary, self, hello_of(self._primary, self.config))
                sender.gathers = not self._synchrony.wanted
                if not sender.closed:  # else HELLO met a connection that was gone: `lost` has dialled again
                    self.sender = sender
                return
            if stream is not None:
                stream.close()
            if error is not None:
                self.why_not_connected = str(error)
            if self._wanted:
                self._dial_soon(DIAL_INTERVAL_S)

        self._dialler.dial(dialled, done)

    @property
    def _wanted(self) -> bool:
        """Whether there should be a connection."""
        return (self.active or self._asking) and not self._closed

    def _sync_ack(self) -> str:
        return effective(self.config.attributes)["sync_ack"]

    def welcomed(self, welcome: Welcome) -> Start | Rewind | Later | Detach:
        mind, journal = self.mind, self._primary.journal
        self._primary.yielded(self.config.remote_host)
        if self._asking:
            self._loop.call_soon(lambda: self._primary.answered(self))
            return Later("asked before serving")
        if not self.active:
            return Later("no longer wanted")
        if not self._heed(welcome):
            return Later("the SRL fails")
        log = OurLog(journal.header.history, journal.retained_lsn(), journal.durable_lsn)
        decision: Start | Rewind | Later | Detach = decide(mind.order(), welcome, log, self._sync_ack())
        if isinstance(decision, Detach) and self._fails_back_by_itself(welcome):
            decision = decide(mind.order(), welcome, log, self._sync_ack())
        decision = checked(journal, mind.order(), welcome, decision)
        if isinstance(decision, Start):
            self._started(decision, welcome.copied_frames if welcome.order_id == decision.order_id else 0)
        elif isinstance(decision, Rewind):
            self._rewind = decision
        return decision

    def _heed(self, welcome: Welcome) -> bool:
        """What the Secondary says of itself counts from here on; False when the SRL fails."""
        mind, journal = self.mind, self._primary.journal
        if welcome.order_id == mind.order_id:
            if not self._confirmed():  # its own word, when its first acknowledgement was lost
                return False
        elif mind.syncing and not mind.delivered and mind.method == StartMethod.AUTOSYNC:
            mind.begin_lsn = mind.acked_lsn = journal.durable_lsn  # begin at the newest
            if not journal.try_save_header():  # who comes with nothing but that beginning is known by it
                return False
        if mind.delivered or mind.method in (StartMethod.FOLLOW, StartMethod.FAILBACK):
            mind.consistent = welcome.consistent and not mind.syncing  # it knows better
            self._heals = not welcome.consistent  # by the log alone: it has cut off what was damaged
        if self.resync is not None:
            mind.copied_frames = self._copy.copied_frames
        return True

    def _confirmed(self) -> bool:
        """The Secondary has carried the order out, which is remembered; False when the SRL fails."""
        known, self.mind.delivered = self.mind.delivered, True
        return known or self._primary.journal.try_save_header()

    def _fails_back_by_itself(self, welcome: Welcome) -> bool:
        """-autofb: the old Primary has returned; what would make the link STALE becomes a failback."""
        wanted = self._primary.tracking.auto and welcome.acting and (
            self.mind.method == StartMethod.FOLLOW and not self.mind.delivered)  # it has not returned before
        if wanted:
            self.mind.fail_back(self._new_id)
        return wanted and self._primary.journal.try_save_header()

    def _part(self, reason: str) -> None:
        if self.active:
            self._leave(LinkEvent.DETACH, reason)

    def verify(self, lsn: int, length: int, crc: int) -> None:
        assert self.sender is not None
        self.checker.verify(self.sender, lsn, length, crc, self.sender.data_lsn)

    def refused(self, refuse: Refuse) -> None:
        primary, claim, fault = self._primary, refuse.claim, refuse.fault
        if refuse.damaged_lsn and self.active:
            self.doubts.suspect(refuse.damaged_lsn)
        if claim is not None:
            self._loop.call_soon(lambda: primary.heard(claim))
        if self._asking:
            self._loop.call_soon(lambda: primary.answered(self))
        if fault is None or fault == self.mind.fault or not self.active:
            return
        self._step(LinkEvent.FAIL if fault is LinkFault.VOLUME else LinkEvent.SECONDARY_PAUSE, refuse.reason[:200])
        self.mind.fault = fault.value
        primary.emit("rlk_fail" if fault is LinkFault.VOLUME else "rlk_paused",
                     f"{self.config.remote_host}: {refuse.reason}; link {self.config.name} is {self.mind.state}")
        primary.journal.touch_header()

    # failback

    def diverged_max_bytes(self) -> int:
        return encoded_max_bytes([v.file.size_bytes for v in self._primary.journal.volumes if v is not None])

    def diverged(self, maps: bytes) -> None:
        differing_regions(self._primary, self._rewind, maps, partial(self._begin_failback, self.sender))

    def _begin_failback(self, sender: Sender | None, union: Maps) -> None:
        """The map is complete up to this moment: what is written from now on comes in the log."""
        mind, journal = self.mind, self._primary.journal
        if sender is None or sender is not self.sender or not self.active:
            return
        mind.begin_lsn = mind.acked_lsn = journal.durable_lsn
        mind.syncing, mind.consistent, mind.consistent_after_lsn = True, False, 0
        mind.copy_bytes = sum(m.marked_bytes for m in union.values())
        self._copy.drop()

        def saved(done: bool) -> None:
            if not done:
                sender.close("the map of what differs cannot be saved")
            elif sender is self.sender and journal.try_save_header():
                self._begin_copy(union)
                self._primary.emit("resync_started", f"{self.config.remote_host}: failback started, "
                                                     f"{mind.copy_bytes} bytes {why_copied(self._rewind)}")
                start = begin(self.mind.order(), journal.header.history, self._sync_ack())
                start.tails = tails_before(journal, start.lsn)
                self._started(start, 0)
                sender.begin(start)

        self._copy.save(mind.order_id, union, saved)

    def _started(self, start: Start, copied_frames: int) -> None:
        self.checker.begin()
        self.why_not_connected = ""
        self._was_connected = True
        if self.mind.fault:
            self._step(LinkEvent.RECOVER, "")
        self._primary.emit("rlk_connect", connected_text(self.config, start))
        self.mind.acked_lsn = start.lsn  # less than it was when the Secondary has lost a part of its log
        assert self.sender is not None
        self.sender.regions = self._copy.connected(copied_frames)
        if self.resync is None:
            waits = self.mind.consistent_after_lsn and not self.mind.consistent
            self._loop.call_soon(self._say_sync_end if waits else self._primary.look_equal)

    def rvg_failed(self) -> None:
        """Nothing goes out any more; the Secondary is told why."""
        if self.connected:
            assert self.sender is not None
            self.sender.push(json_frame(FrameType.STATE, {"state": self.mind.state,
                                                          "reason": "the Primary RVG is in FAIL"}))
        self.disconnect("the RVG is in FAIL")

    def disconnect(self, reason: str) -> None:
        if self.sender is not None:
            self.sender.close(reason)

    def lost(self, reason: str, *, detach: bool) -> None:
        was_connected, self._was_connected = self._was_connected, False
        self.sender = None
        news, self.why_not_connected = reason != self.why_not_connected, reason
        self._synchrony.end()
        if was_connected or (news and not self._asking):
            self._primary.emit("rlk_disconnect", f"{self.config.remote_host}: {reason}")
        if detach and self.active:
            self._leave(LinkEvent.DETACH, reason)
        elif self._wanted:
            self._dial_soon(DIAL_INTERVAL_S)
        self._primary.release_waiting()

    # the copy

    def _begin_copy(self, maps: Maps) -> None:
        self._copy.begin(self.mind.order_id, maps, self.mind.copy_bytes)

    def _pump(self) -> None:
        if self.sender is not None:
            self.sender.pump()

    def _copied(self) -> None:
        """Every region is durable there: consistent as soon as the log up to here is applied."""
        self.mind.consistent_after_lsn = self._primary.durable_lsn
        self.mind.syncing, self.mind.copied_frames = False, self._copy.copied_frames
        self._copy.drop()
        if self._primary.journal.try_save_header():
            self._say_sync_end()

    def _say_sync_end(self) -> None:
        if self.connected:
            assert self.sender is not None
            self.sender.regions = None
            self.sender.push(frame(FrameType.SYNC_END, lsn=self.mind.consistent_after_lsn))

    def consistent(self, lsn: int) -> None:
        if self.mind.syncing or not (self.mind.consistent_after_lsn or self._heals):
            raise BadFrame("unexpected CONSISTENT from the Secondary")
        if self.mind.consistent:
            return
        self.mind.consistent = True
        if not self._primary.journal.try_save_header():
            return
        self._primary.emit("resync_stopped", f"{self.config.remote_host}: consistent since LSN {lsn}")
        self.acked()
        self._primary.look_equal()

    def close(self, reason: str) -> None:
        """The link is removed, the role changes, or the worker ends."""
        self._closed = True
        self._copy.pause()
        if self._dial_timer is not None:
            self._dial_timer.cancel()
        sender, self.sender = self.sender, None
        if sender is not None:
            sender.close(reason)

    def status(self) -> LinkStatus:
        return status_of(self, self._primary.lag, self._primary.clock.wall_ns())
