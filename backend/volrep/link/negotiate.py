"""What two ends say before the log flows, and what follows from it. Pure.

The Primary says HELLO, the Secondary WELCOME with what it has, the Primary decides with `decide` and says START.
Nothing on the Secondary is overwritten unless the operator ordered it: an order (`startrep`) has an id of its own
(`order_id`), the Secondary remembers the last one it carried out, and only a new one lets it begin anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from volrep.link.frames import BadFrame
from volrep.link.history import History, common_end
from volrep.model.damage import LinkFault
from volrep.model.units import FIRST_LSN

LINK_PROTOCOL = 1
TAIL_MAX_BYTES = 64 << 10  # of the log that a WELCOME vouches for: some records, one quick read

LSN_END = 1 << 63  # LSNs lie below it: nothing writes that much
SaidLsn = Annotated[int, Field(ge=0, lt=LSN_END, multiple_of=8)]
SaidGeneration = Annotated[int, Field(ge=0, lt=1 << 32)]
SaidHistory = Annotated[list[tuple[SaidGeneration, SaidLsn]], Field(max_length=256)]  # the SRL header keeps as many

SaidT = TypeVar("SaidT", bound="_Said")


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore")  # a newer peer may say more


class VolumeSaid(_Said):
    index: int
    name: str
    size_bytes: int


class Hello(_Said):
    """The Primary's first frame."""

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


class Welcome(_Said):
    """What the Secondary has. `end_lsn` is durable there; 0 when its log never began.

    `tail_crc` is the CRC32C of the `tail_bytes` before it (0: it does not say), so that two logs that differ in
    spite of equal histories do not go on (volrep.rvg.tail).
    """

    protocol: int
    host: str
    order_id: str
    history: SaidHistory
    end_lsn: SaidLsn
    applied_lsn: SaidLsn
    consistent: bool
    tail_bytes: Annotated[int, Field(ge=0, le=TAIL_MAX_BYTES, multiple_of=8)] = 0
    tail_crc: Annotated[int, Field(ge=0, lt=1 << 32)] = 0

    @model_validator(mode="after")
    def _tail_is_before_the_end(self) -> Welcome:
        if self.tail_bytes > self.end_lsn:
            raise ValueError("tail_bytes reach back before the log began")
        return self


class Refuse(_Said):
    """Why an end ends the connection. `fault`: what a Secondary that can be reached suffers from."""

    reason: str
    fault: LinkFault | None = None


class StartMode(StrEnum):
    STREAM = "stream"  # go on from the Secondary's end
    BEGIN = "begin"  # a new order: forget what is there, the log begins at `lsn`


class Start(_Said):
    mode: StartMode
    lsn: Annotated[SaidLsn, Field(ge=FIRST_LSN)]
    order_id: str
    consistent: bool  # BEGIN only: the volumes are equal already (blank, force)
    history: SaidHistory
    sync_ack: str


@dataclass(frozen=True, slots=True)
class Order:
    """The operator's last startrep for a link, as the Primary remembers it."""

    order_id: str
    begin_lsn: int
    consistent: bool
    delivered: bool  # a Secondary has confirmed it


@dataclass(frozen=True, slots=True)
class Detach:
    """Replication cannot go on: the link becomes STALE for this reason."""

    reason: str


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


def decide(order: Order, welcome: Welcome, *, history: History, retained_lsn: int, durable_lsn: int,
           sync_ack: str) -> Start | Detach:
    """What the Primary does with a Secondary that says this. `retained_lsn`: the oldest LSN its log still has."""
    if welcome.protocol != LINK_PROTOCOL:
        return Detach(f"link protocol {welcome.protocol} of {welcome.host}, this end speaks {LINK_PROTOCOL}")
    if welcome.order_id != order.order_id:
        if order.delivered:
            return Detach(f"{welcome.host} no longer has the log it had; start it again")
        if order.begin_lsn < retained_lsn:
            return Detach("the log no longer holds what was written since the start was ordered")
        return _start(StartMode.BEGIN, order.begin_lsn, order, history, sync_ack)
    shared_lsn = common_end(history, durable_lsn, welcome.history, welcome.end_lsn)
    if shared_lsn < welcome.end_lsn:
        return Detach(f"{welcome.host} has history up to LSN {welcome.end_lsn} that this Primary lacks "
                      f"(shared up to {shared_lsn}); nothing was overwritten")
    if welcome.end_lsn < retained_lsn:
        return Detach(f"the log begins at LSN {retained_lsn}, {welcome.host} needs it from {welcome.end_lsn}")
    return _start(StartMode.STREAM, welcome.end_lsn, order, history, sync_ack)


def _start(mode: StartMode, lsn: int, order: Order, history: History, sync_ack: str) -> Start:
    return Start(mode=mode, lsn=lsn, order_id=order.order_id, consistent=order.consistent,
                 history=[(g, s) for g, s in history], sync_ack=sync_ack)


def parse_said(shape: type[SaidT], value: dict[str, Any]) -> SaidT:
    """A HELLO, WELCOME or START out of its JSON. Raises BadFrame."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise BadFrame(f"{shape.__name__} has {error.error_count()} bad fields, first "
                       f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from error
