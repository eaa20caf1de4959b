"""The Primary's end of one pairing: its state, what it still needs of the log, when to connect, what to copy.

The state machine is `model.states.LINK_ROWS`. What must survive a restart is `Remembered`, kept in the SRL header under
the link's id; the region map of a copy under way is kept in a file of its own (`rvg.maps`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from volrep.link.frames import BadFrame, FrameType, frame, json_frame
from volrep.link.negotiate import (
    LINK_PROTOCOL,
    Detach,
    Hello,
    Order,
    Refuse,
    Start,
    StartMode,
    VolumeSaid,
    Welcome,
    decide,
)
from volrep.link.sender import Sender
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig, StartMethod
from volrep.model.damage import FAULT_FLAGS, LinkFault
from volrep.model.states import LinkEvent, link_step
from volrep.model.status import LinkKState, LinkState, LinkStatus, SyncStatus
from volrep.ports.reactor import Timer
from volrep.ports.streams import Buffer, Stream
from volrep.rvg.dialling import Dialler
from volrep.rvg.limits import DIAL_INTERVAL_S, REGION_MAP_SAVE_INTERVAL_S
from volrep.rvg.maps import MapStore
from volrep.rvg.resync import Resync
from volrep.rvg.tail import differs

if TYPE_CHECKING:
    from volrep.rvg.primary import Primary

_EVENT_TYPES = {LinkEvent.STOP: "rlk_stopped", LinkEvent.PAUSE: "rlk_paused", LinkEvent.OVERFLOW: "srl_overflow",
                LinkEvent.DETACH: "rlk_detached"}


@dataclass(slots=True)
class Remembered:
    """What the SRL header keeps of a link."""

    state: str = LinkState.STALE
    reason: str = "replication was never started"
    order_id: str = ""  # of the last startrep; empty: never
    method: str = ""
    begin_lsn: int = 0
    delivered: bool = False  # the Secondary has carried the order out
    acked_lsn: int = 0  # durable there
    fault: str = ""  # what the Secondary suffers from (`LinkFault`): the link goes on by itself when that has passed
    syncing: bool = False  # regions are still to be copied
    consistent_after_lsn: int = 0  # all regions copied: consistent when this is applied there
    consistent: bool = False


class OutLink:
    """`link.sender.SenderOwner`; one per Secondary, each at its own pace."""

    def __init__(self, config: LinkConfig, remembered: dict[str, Any], primary: Primary, dialler: Dialler,
                 maps: MapStore, new_id: Callable[[], str]) -> None:
        known = {k: v for k, v in remembered.items() if k in Remembered.__dataclass_fields__}
        self.config = config
        self.mind = Remembered(**known)
        self.sender: Sender | None = None
        self.in_force = False  # synchronous replication: completed writes are there, too
        self._primary = primary
        self._dialler = dialler
        self._maps = maps
        self._new_id = new_id
        self._loop = primary.journal.loop
        self._resync: Resync | None = None
        self._dialling = False
        self._dial_timer: Timer | None = None
        self._save_timer: Timer | None = None
        self._why_not_connected = ""
        self._heals = False
        if self.mind.syncing:
            self._begin_copy(fresh=False)
        if self.active:
            self._dial_soon(0.0)

    # what others ask

    @property
    def active(self) -> bool:
        """To be connected: also to hear that a Secondary is well again."""
        return self.mind.state == LinkState.ACTIVE or bool(self.mind.fault)

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

    def applied(self) -> None:
        """The volumes hold the batch, too: regions may be read again."""
        if self._resync is not None:
            self._pump()

    def acked(self) -> None:
        sender, mind, journal = self.sender, self.mind, self._primary.journal
        assert sender is not None
        if not mind.delivered:
            mind.delivered = True
            if not journal.try_save_header():
                return
        mind.acked_lsn = max(mind.acked_lsn, sender.data_lsn)
        journal.touch_header()
        if not self.in_force and self._wants_sync() and sender.network_lsn >= journal.end_lsn and not mind.syncing:
            self._set_in_force(True)
        if self.in_force:
            self._primary.release_waiting()

    def _wants_sync(self) -> bool:
        return effective(self.config.attributes)["synchronous"] == "override"

    def _set_in_force(self, in_force: bool) -> None:
        if in_force == self.in_force:
            return
        self.in_force = in_force
        mode = "synchronous" if in_force else "asynchronous"
        self._primary.emit("repmode_sync" if in_force else "repmode_async",
                           f"{self.config.remote_host}: replication is {mode} from now on")
        self._primary.release_waiting()

    # the operator's verbs

    def start(self, method: StartMethod) -> None:
        journal = self._primary.journal
        self._step(LinkEvent.START, "")
        self.mind = Remembered(
            state=LinkState.ACTIVE, reason="", order_id=self._new_id(), method=method.value,
            begin_lsn=journal.durable_lsn, acked_lsn=journal.durable_lsn,
            syncing=method == StartMethod.AUTOSYNC, consistent=method != StartMethod.AUTOSYNC)
        if self.mind.syncing:
            self._begin_copy(fresh=True)
            self._primary.emit("resync_started", f"{self.config.remote_host}: automatic synchronization started")
        journal.save_header()
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
        if self.mind.state in (LinkState.ACTIVE, LinkState.PAUSE, LinkState.FAIL):
            self._leave(LinkEvent.OVERFLOW, "the SRL overflowed")

    def distrust(self, reason: str) -> None:
        """This Primary's volumes are not what the log made of them: the Secondary cannot be equal."""
        self.mind.consistent = False
        if self.mind.state in (LinkState.ACTIVE, LinkState.PAUSE, LinkState.FAIL):
            self._leave(LinkEvent.DETACH, reason)

    def reconfigure(self, config: LinkConfig) -> None:
        """Attributes or address changed: what concerns the connection takes a new one."""
        old, self.config = self.config, config
        if not self._wants_sync():
            self._set_in_force(False)
        if _connection_part(old) != _connection_part(config):
            self.disconnect("the link's configuration changed")
            if self.active:
                self._dial_soon(0.0)
        else:
            self._primary.journal.loop.call_soon(self._recheck)

    def _recheck(self) -> None:
        if self.connected:
            self.acked()

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
            self._drop_copy()
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
        if not self.active or self.sender is not None or self._dialling or self._primary.journal.failure is not None:
            return
        self._dialling = True
        dialled = self.config

        def done(stream: Stream | None, error: Exception | None) -> None:
            self._dialling = False
            if stream is not None and self.active and self.sender is None and self.config is dialled:
                sender = Sender(stream, self._loop, self._primary, self, self._hello())
                if not sender.closed:  # else HELLO met a connection that was gone: `lost` has dialled again
                    self.sender = sender
                return
            if stream is not None:
                stream.close()
            if error is not None:
                self._why_not_connected = str(error)
            if self.active:
                self._dial_soon(DIAL_INTERVAL_S)

        self._dialler.dial(dialled, done)

    def _hello(self) -> Hello:
        header = self._primary.journal.header
        return Hello(
            protocol=LINK_PROTOCOL, rds_id=header.rds_id, link_id=self.config.link_id, host=header.host, rvg=header.rvg,
            history=header.history, durable_lsn=self._primary.durable_lsn, incarnation=header.incarnation,
            volumes=[VolumeSaid(index=v["index"], name=v["name"], size_bytes=v["size_bytes"]) for v in header.volumes],
            sync_ack=effective(self.config.attributes)["sync_ack"])

    def welcomed(self, welcome: Welcome) -> Start | Detach:
        mind, journal = self.mind, self._primary.journal
        if mind.syncing and not mind.delivered and welcome.order_id != mind.order_id:
            mind.begin_lsn = mind.acked_lsn = journal.durable_lsn  # nothing was copied yet: begin at the newest
        if mind.delivered:
            mind.consistent = welcome.consistent and not mind.syncing  # it knows better
            self._heals = not welcome.consistent  # by the log alone: it has cut off what was damaged
        order = Order(mind.order_id, mind.begin_lsn, mind.consistent and not mind.syncing, mind.delivered)
        decision = decide(order, welcome, history=journal.header.history, retained_lsn=journal.retained_lsn(),
                          durable_lsn=journal.durable_lsn, sync_ack=effective(self.config.attributes)["sync_ack"])
        if isinstance(decision, Start) and decision.mode == StartMode.STREAM:
            decision = differs(journal, welcome) or decision
        if isinstance(decision, Start):
            self._started(decision)
        return decision

    def refused(self, refuse: Refuse) -> None:
        fault = refuse.fault
        if fault is None or fault == self.mind.fault or not self.active:
            return
        self._step(LinkEvent.FAIL if fault is LinkFault.VOLUME else LinkEvent.SECONDARY_PAUSE, refuse.reason[:200])
        self.mind.fault = fault.value
        self._primary.emit("rlk_fail" if fault is LinkFault.VOLUME else "rlk_paused",
                           f"{self.config.remote_host}: {refuse.reason}; link {self.config.name} is {self.mind.state}")
        self._primary.journal.touch_header()

    def _started(self, start: Start) -> None:
        self._why_not_connected = ""
        if self.mind.fault:
            self._step(LinkEvent.RECOVER, "")
        self._primary.emit("rlk_connect", connected_text(self.config, start))
        self.mind.acked_lsn = start.lsn  # less than it was when the Secondary has lost a part of its log
        assert self.sender is not None
        if self._resync is not None:
            self._resync.rewind()
            self.sender.regions = self._resync
        elif self.mind.consistent_after_lsn and not self.mind.consistent:
            self._loop.call_soon(self._say_sync_end)

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
        was_streaming = self.sender is not None
        self.sender = None
        self._why_not_connected = reason
        self._set_in_force(False)
        if was_streaming:
            self._primary.emit("rlk_disconnect", f"{self.config.remote_host}: {reason}")
        if detach and self.active:
            self._leave(LinkEvent.DETACH, reason)
        elif self.active:
            self._dial_soon(DIAL_INTERVAL_S)
        self._primary.release_waiting()

    # the copy

    def _begin_copy(self, *, fresh: bool) -> None:
        journal = self._primary.journal
        volumes = {v.index: v for v in journal.volumes if v is not None}
        maps = self._maps.open(self.config.link_id, self.mind.order_id, volumes, fresh=fresh)
        self._resync = Resync(volumes, maps, journal.background, self._loop.clock, self._pump, self._copied)
        self._resync.total_bytes = sum(v.file.size_bytes for v in volumes.values())
        self._save_timer = self._loop.call_at(self._loop.clock.monotonic_s() + REGION_MAP_SAVE_INTERVAL_S,
                                              self._save_maps)

    def _pump(self) -> None:
        if self.sender is not None:
            self.sender.pump()

    def _save_maps(self) -> None:
        if self._resync is None:
            return
        self._maps.save(self.config.link_id, self.mind.order_id, self._resync.maps)
        self._save_timer = self._loop.call_at(self._loop.clock.monotonic_s() + REGION_MAP_SAVE_INTERVAL_S,
                                              self._save_maps)

    def _copied(self) -> None:
        """Every region is durable there: consistent as soon as the log up to here is applied."""
        self.mind.consistent_after_lsn = self._primary.durable_lsn
        self.mind.syncing = False
        self._drop_copy()
        if self._primary.journal.try_save_header():
            self._say_sync_end()

    def _say_sync_end(self) -> None:
        if self.connected:
            assert self.sender is not None
            self.sender.regions = None
            self.sender.push(frame(FrameType.SYNC_END, lsn=self.mind.consistent_after_lsn))

    def _drop_copy(self) -> None:
        if self._resync is not None:
            self._resync = None
            if self._save_timer is not None:
                self._save_timer.cancel()
            self._maps.remove(self.config.link_id)

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

    def close(self) -> None:
        """The link is removed, or the worker ends."""
        self.mind.state = LinkState.STALE if self.mind.state == LinkState.UNASSOC else self.mind.state
        for timer in (self._dial_timer, self._save_timer):
            if timer is not None:
                timer.cancel()
        sender, self.sender = self.sender, None
        if sender is not None:
            sender.close("the worker ends")

    # status

    def status(self) -> LinkStatus:
        sender, mind, primary = self.sender, self.mind, self._primary
        now_ns = primary.clock.wall_ns()
        stale = mind.state == LinkState.STALE
        writes, lag_bytes, seconds = (0, 0, 0.0) if stale else primary.lag.behind(mind.acked_lsn, now_ns)
        connected = self.connected
        return LinkStatus(
            link_id=self.config.link_id, name=self.config.name, remote_host=self.config.remote_host,
            state=LinkState(mind.state), kstate=_kstate(stale, connected), flags=self._flags(),
            connected=connected, reason=mind.reason or ("" if connected else self._why_not_connected),
            attributes=effective(self.config.attributes), current_mode=self._current_mode(),
            consistent=mind.consistent, sent_lsn=sender.sent_lsn if sender else mind.acked_lsn,
            network_lsn=sender.network_lsn if sender else mind.acked_lsn, data_lsn=mind.acked_lsn,
            applied_lsn=sender.applied_lsn if sender else 0, behind_writes=writes, behind_bytes=lag_bytes,
            behind_s=seconds, sent_bytes=sender.sent_bytes if sender else 0, sync=self._sync_status())

    def _current_mode(self) -> str:
        if not self.connected:
            return "N/A"
        return "synchronous" if self.in_force else "asynchronous"

    def _sync_status(self) -> SyncStatus | None:
        resync = self._resync
        if resync is None:
            return None
        left_bytes, rate = resync.left_bytes(), resync.rate_bytes_per_s() if self.connected else 0.0
        return SyncStatus(method=self.mind.method, done_bytes=resync.total_bytes - left_bytes,
                          total_bytes=resync.total_bytes, rate_bytes_per_s=rate,
                          left_s=left_bytes / rate if rate > 0 else None)

    def _flags(self) -> list[str]:
        mind = self.mind
        flags = ["write"] if mind.state == LinkState.ACTIVE else []
        flags.append("detached" if mind.state == LinkState.STALE else "attached")
        flags.append("connected" if self.connected else "disconnected")
        flags.append("consistent" if mind.consistent else "inconsistent")
        flags.append("synchronous" if self.in_force else "asynchronous")
        if mind.syncing:
            flags += ["autosync", "resync_started"]
        if mind.state == LinkState.PAUSE and not mind.fault:
            flags.append("primary_paused")
        return flags + list(FAULT_FLAGS.get(mind.fault, ()))


def connected_text(link: LinkConfig, start: Start) -> str:
    how = "begins" if start.mode == StartMode.BEGIN else "goes on"
    return f"{link.remote_host}: link {link.name} connected, {how} at LSN {start.lsn}"


def _kstate(stale: bool, connected: bool) -> LinkKState:
    if stale:
        return LinkKState.DETACHED
    return LinkKState.CONNECT if connected else LinkKState.ENABLED


def _connection_part(config: LinkConfig) -> tuple[object, ...]:
    chosen = effective(config.attributes)
    return (config.remote_address, config.remote_port, config.peer_certificate, config.key, chosen["encryption"],
            chosen["sync_ack"])
