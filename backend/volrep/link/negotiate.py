"""What two ends say before the log flows, and what follows from it. Pure.

The Primary says HELLO, the Secondary WELCOME with what it has, the Primary decides with `decide` and says START.
Nothing on the Secondary is overwritten unless the operator ordered it: an order (`startrep`) has an id of its own
(`order_id`), the Secondary remembers the last one it carried out, and only a new one lets it begin anew.

After a change of roles the new Primary's order is `follow`, which lets nobody forget anything, or `failback`, which
first asks for what the Secondary holds beyond the fork (REWIND). Who refuses whom stands in `link.fork`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from volrep.link.frames import BadFrame
from volrep.link.history import History, Relation, common_end, compare
from volrep.link.tails import Likeness
from volrep.log.tails import KEPT_TAILS_MAX, TAIL_MAX_BYTES
from volrep.model.config import StartMethod
from volrep.model.damage import LinkFault
from volrep.model.shape import BadShape, Declared
from volrep.model.units import FIRST_LSN, NO_TAIL, Reign, Tail

LINK_PROTOCOL = 4  # 2: reigns have ids; 3: tails before what both share; 4: WELCOME counts the regions of a copy

LSN_END = 1 << 63  # LSNs lie below it: nothing writes that much
SaidLsn = Annotated[int, Meta(ge=0, le=LSN_END - 8, multiple_of=8)]
SaidCount = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
SaidName = Annotated[str, Meta(max_length=200)]
SaidHistory = Annotated[list[Reign], Meta(max_length=256)]  # as many as an SRL keeps
SaidTails = Annotated[list[Tail], Meta(max_length=KEPT_TAILS_MAX)]
_GENERATION_END = 1 << 32
_REIGN_ID = re.compile(r"[0-9a-f]{0,16}")


def _check_log(history: Sequence[Reign], tails: Sequence[Tail] = ()) -> None:
    before = Reign(-1, 0)
    for reign in history:
        if not before.generation < reign.generation < _GENERATION_END:
            raise ValueError(f"generation {reign.generation} after {before.generation}")
        if not before.start_lsn <= reign.start_lsn < LSN_END or reign.start_lsn % 8:
            raise ValueError(f"generation {reign.generation} begins at LSN {reign.start_lsn}")
        if _REIGN_ID.fullmatch(reign.reign_id) is None:
            raise ValueError(f"generation {reign.generation} has a malformed id")
        before = reign
    for tail in tails:
        _check_tail(tail)


def _check_tail(tail: Tail) -> None:
    if not 0 <= tail.lsn < LSN_END or not 0 <= tail.length <= min(tail.lsn, TAIL_MAX_BYTES) or tail.length % 8:
        raise ValueError(f"a tail of {tail.length} bytes before LSN {tail.lsn}")
    if not 0 <= tail.crc < 1 << 32:
        raise ValueError("a tail whose CRC is none")


SaidT = TypeVar("SaidT", bound="_Said")


class _Said(Declared):
    """A newer peer may say more: what is not known here is ignored."""


class VolumeSaid(_Said):
    index: int
    name: str
    size_bytes: int


class SaidSince(_Said):
    """Writes beyond a fork, as `model.status.SinceFork`."""

    writes: SaidCount
    bytes: SaidCount
    first_ns: SaidCount
    last_ns: SaidCount
    complete: bool


class Claim(_Said):
    """Which reign a host holds to: what it says when it refuses another Primary.

    `primary`: it reigns itself; otherwise it follows. `conflict`: it knows of the other reign and holds to its own.
    """

    host: SaidName
    history: SaidHistory
    end_lsn: SaidLsn
    primary: bool
    conflict: bool = False
    since_fork: SaidSince | None = None

    def __post_init__(self) -> None:
        _check_log(self.history)


class Refuse(_Said):
    """Why an end ends the connection. `fault`: what a Secondary that can be reached suffers from; `claim`: a reign that
    the other end lacks, or the speaker's own; `damaged_lsn`: the record there arrived damaged (0: it is about another
    thing).
    """

    reason: str
    fault: LinkFault | None = None
    claim: Claim | None = None
    damaged_lsn: SaidLsn = 0


class Hello(_Said):
    """The Primary's first frame. `conflict` and `since_fork` as in Claim.

    `shown_lsn`, `kept_tails`: what it can show of its log (`link.tails.Reach`).
    """

    protocol: int
    rds_id: str
    link_id: str
    host: str
    rvg: str
    history: SaidHistory
    durable_lsn: SaidLsn
    incarnation: int
    volumes: list[VolumeSaid]
    sync_ack: str
    conflict: bool = False
    since_fork: SaidSince | None = None
    shown_lsn: SaidLsn = 0
    kept_tails: SaidTails = []

    def __post_init__(self) -> None:
        _check_log(self.history, self.kept_tails)

    def claim(self) -> Claim:
        return Claim(host=self.host, history=self.history, end_lsn=self.durable_lsn, primary=True,
                     conflict=self.conflict, since_fork=self.since_fork)


class Welcome(_Said):
    """What the Secondary has. `end_lsn` is durable there; 0 when its log never began. `acting`: it was Primary.

    `tail` lies before the LSN up to which it shares its history with HELLO's, so that two logs that differ in spite
    of equal histories are not taken for equal (`link.tails`). `copied_frames`: region frames of the order's copy that
    are durable there.
    """

    protocol: int
    host: str
    order_id: str
    history: SaidHistory
    end_lsn: SaidLsn
    applied_lsn: SaidLsn
    consistent: bool
    acting: bool = False
    tail: Tail = NO_TAIL
    copied_frames: SaidCount = 0

    def __post_init__(self) -> None:
        _check_log(self.history, [self.tail])


class StartMode(StrEnum):
    STREAM = "stream"  # go on from the Secondary's end
    BEGIN = "begin"  # a new order: forget what is there, the log begins at `lsn`


class Start(_Said):
    """`tails`: of the Primary's log before `lsn`, which the Secondary keeps when its own begins there."""

    mode: StartMode
    lsn: Annotated[int, Meta(ge=FIRST_LSN, le=LSN_END - 8, multiple_of=8)]
    order_id: str
    consistent: bool  # BEGIN only: the volumes are equal already (blank, force)
    history: SaidHistory
    sync_ack: str
    tails: SaidTails = []

    def __post_init__(self) -> None:
        _check_log(self.history, self.tails)


@dataclass(frozen=True, slots=True)
class Order:
    """The operator's last startrep for a link, as the Primary remembers it. `acked_lsn`: durable there;
    `copied_frames`: as many region frames at least have been acknowledged."""

    order_id: str
    begin_lsn: int
    consistent: bool
    delivered: bool  # a Secondary has confirmed it
    method: StartMethod = StartMethod.AUTOSYNC
    acked_lsn: int = 0
    copied_frames: int = 0


@dataclass(frozen=True, slots=True)
class Detach:
    """Replication cannot go on: the link becomes STALE for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rewind:
    """The Secondary is to say what it wrote beyond the fork at `lsn`; START follows when that is known.

    `everything`: nobody can say that both are the same before it, so all is copied, not only what either side wrote
    since.
    """

    lsn: int
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Later:
    """The Secondary has answered, which was all that was wanted: the connection ends, another one may follow."""

    reason: str


@dataclass(frozen=True, slots=True)
class OurLog:
    """The Primary's log. `retained_lsn`: the oldest LSN it still has."""

    history: History
    retained_lsn: int
    durable_lsn: int


def check_hello(hello: Hello, *, rds_id: str, link_id: str, volumes: Sequence[VolumeSaid]) -> str:
    """Why a Secondary with these volumes refuses this HELLO; empty when it does not."""
    if hello.protocol != LINK_PROTOCOL:
        return f"link protocol {hello.protocol} of {hello.host}, this end speaks {LINK_PROTOCOL}"
    if hello.rds_id != rds_id or hello.link_id != link_id:
        return "the connection is for another RDS"
    ours = {v.index: v for v in volumes}
    for theirs in hello.volumes:
        mine = ours.pop(theirs.index, None)
        if mine is None:
            return f"volume {theirs.name} of {hello.host} has no counterpart here"
        if mine.name != theirs.name:
            return f"volume {theirs.index} is {theirs.name} on {hello.host} but {mine.name} here"
        if mine.size_bytes != theirs.size_bytes:
            return f"volume {mine.name} has {theirs.size_bytes} bytes on {hello.host}, {mine.size_bytes} here"
    if ours:
        return f"volume {next(iter(ours.values())).name} has no counterpart on {hello.host}"
    return ""


def decide(order: Order, welcome: Welcome, log: OurLog, sync_ack: str) -> Start | Rewind | Detach:
    """What the Primary does with a Secondary that says this."""
    if welcome.protocol != LINK_PROTOCOL:
        return Detach(f"link protocol {welcome.protocol} of {welcome.host}, this end speaks {LINK_PROTOCOL}")
    if welcome.order_id == order.order_id:
        if welcome.copied_frames < order.copied_frames:
            return Detach(f"{welcome.host} has {welcome.copied_frames} of {order.copied_frames} pieces of the copy "
                          "that it had acknowledged: it went back to an older state; synchronize it anew")
        return _go_on(order, welcome, log, sync_ack)
    if order.method is StartMethod.FOLLOW:
        return _follow(order, welcome, log, sync_ack)
    if order.method is StartMethod.FAILBACK:
        return _fail_back(order, welcome, log, sync_ack)
    if order.delivered:
        return Detach(f"{welcome.host} no longer has the log it had; start it again")
    if order.begin_lsn < log.retained_lsn:
        return Detach("the log no longer holds what was written since the start was ordered")
    return begin(order, log.history, sync_ack)


def begin(order: Order, history: History, sync_ack: str) -> Start:
    """The Secondary is to forget its log, as ordered."""
    return _start(StartMode.BEGIN, order.begin_lsn, order, history, sync_ack)


def _go_on(order: Order, welcome: Welcome, log: OurLog, sync_ack: str) -> Start | Detach:
    shared_lsn = common_end(log.history, log.durable_lsn, welcome.history, welcome.end_lsn)
    if shared_lsn < welcome.end_lsn:
        return Detach(f"{welcome.host} has history up to LSN {welcome.end_lsn} that this Primary lacks "
                      f"(shared up to {shared_lsn}); nothing was overwritten")
    if welcome.end_lsn < log.retained_lsn:
        return Detach(f"the log begins at LSN {log.retained_lsn}, {welcome.host} needs it from {welcome.end_lsn}")
    return _start(StartMode.STREAM, welcome.end_lsn, order, log.history, sync_ack)


def _follow(order: Order, welcome: Welcome, log: OurLog, sync_ack: str) -> Start | Detach:
    """A Secondary of an earlier reign goes on when all it has is ours, too."""
    if not welcome.consistent:
        return Detach(f"{welcome.host} is not consistent; synchronize it")
    return _go_on(order, welcome, log, sync_ack)


def _fail_back(order: Order, welcome: Welcome, log: OurLog, sync_ack: str) -> Start | Rewind | Detach:
    """A host with history of its own is rewound to the fork, if ours is the newer reign."""
    if not welcome.consistent:
        return Detach(f"{welcome.host} is not consistent: only a whole synchronization makes it equal")
    go_on = _go_on(order, welcome, log, sync_ack)
    if isinstance(go_on, Start):
        return go_on
    if order.delivered:
        return Detach(f"{welcome.host} no longer has the log it had; bring it back again")
    if compare(log.history, welcome.history).relation is Relation.FOREIGN:
        return Detach(f"{welcome.host} shares no history with this Primary; synchronize it")
    shared_lsn = common_end(log.history, log.durable_lsn, welcome.history, welcome.end_lsn)
    if shared_lsn < welcome.end_lsn and not is_above(log.history, welcome.history):
        return Detach(f"{welcome.host} has a reign of its own that is as new as this one; elect the Primary first")
    return Rewind(shared_lsn)


def compared(decision: Start | Rewind, order: Order, welcome: Welcome,
             likeness: Likeness) -> Start | Rewind | Later | Detach:
    """What becomes of a decision that takes both logs for the same before `decision.lsn`."""
    if likeness is Likeness.SAME:
        return decision
    if likeness is Likeness.MOVED:
        return Later("the logs have moved on since HELLO")
    if likeness is Likeness.DIFFERENT:
        return Detach(f"the logs differ between LSN {welcome.tail.lsn - welcome.tail.length} and {welcome.tail.lsn}: "
                      "one of the two hosts went back to an older state and wrote on, or its log is damaged; nothing "
                      f"was overwritten on {welcome.host}, only a whole synchronization makes it equal")
    if isinstance(decision, Rewind):
        return replace(decision, everything=True)
    if _is_known(order, welcome):
        return decision
    if order.method is StartMethod.FAILBACK:
        return Rewind(decision.lsn, everything=True)
    return Detach(f"neither this Primary nor {welcome.host} has the log before LSN {decision.lsn} any more, so that "
                  f"nobody can say whether it was the same; synchronize {welcome.host}")


def _is_known(order: Order, welcome: Welcome) -> bool:
    """Whether this very log has had the Secondary's word for all that the Secondary has."""
    if welcome.order_id != order.order_id or welcome.end_lsn > order.acked_lsn:
        return False
    return order.delivered or (order.method is not StartMethod.FOLLOW and welcome.end_lsn == order.begin_lsn)


def is_above(ours: History, theirs: History) -> bool:
    """Whether our newest reign has a higher number than theirs: records of it never pass for records of ours."""
    return bool(ours) and (not theirs or ours[-1].generation > theirs[-1].generation)


def _start(mode: StartMode, lsn: int, order: Order, history: History, sync_ack: str) -> Start:
    return Start(mode=mode, lsn=lsn, order_id=order.order_id, consistent=order.consistent, history=list(history),
                 sync_ack=sync_ack)


def parse_said(shape: type[SaidT], value: dict[str, Any]) -> SaidT:
    """A HELLO, WELCOME or START out of its JSON. Raises BadFrame."""
    try:
        return shape.from_data(value)
    except BadShape as error:
        raise BadFrame(f"{shape.__name__} has a bad field: {error}") from error
