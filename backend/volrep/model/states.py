"""State tables of RVGs and links. Nothing else changes a state; docs/states.md is generated from here.

A row says: in this state, on this event, go there, and why. `step` is the only way through.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from volrep.model.errors import VolrepError
from volrep.model.messages import links as messages
from volrep.model.status import LinkState, RoleState, RvgState


class LinkEvent(StrEnum):
    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    OVERFLOW = "overflow"
    DETACH = "detach"
    FAIL = "fail"
    SECONDARY_PAUSE = "secondary_pause"
    RECOVER = "recover"


class RvgEvent(StrEnum):
    START = "start"
    STOP = "stop"
    ERROR = "error"


class RoleEvent(StrEnum):
    """The operator's are MIGRATE, TAKEOVER, DEMOTE, ELECT and MAKESEC; the others come from what other hosts say."""

    MIGRATE = "migrate"
    TAKEOVER = "takeover"
    DEMOTE = "demote"
    ELECT = "elect"
    MAKESEC = "makesec"
    SUPERSEDED = "superseded"
    CONFLICT = "conflict"
    FOLLOW = "follow"
    YIELDED = "yielded"


@dataclass(frozen=True, slots=True)
class Row:
    """`before` may name several states; the operator reads `why`."""

    before: tuple[StrEnum, ...]
    event: StrEnum
    after: StrEnum
    why: str


LINK_ROWS = (
    Row((LinkState.STALE,), LinkEvent.START, LinkState.ACTIVE, "replication starts"),
    Row((LinkState.ACTIVE, LinkState.PAUSE, LinkState.FAIL), LinkEvent.STOP, LinkState.STALE,
        "stopped: the log keeps nothing for this Secondary any more"),
    Row((LinkState.ACTIVE,), LinkEvent.PAUSE, LinkState.PAUSE, "paused: the log keeps what the Secondary misses"),
    Row((LinkState.PAUSE,), LinkEvent.RESUME, LinkState.ACTIVE, "goes on where it paused"),
    Row((LinkState.ACTIVE, LinkState.PAUSE, LinkState.FAIL), LinkEvent.OVERFLOW, LinkState.STALE,
        "the SRL filled while this Secondary was away or slow"),
    Row((LinkState.ACTIVE, LinkState.PAUSE, LinkState.FAIL), LinkEvent.DETACH, LinkState.STALE,
        "the two logs no longer continue each other"),
    Row((LinkState.ACTIVE, LinkState.PAUSE, LinkState.FAIL), LinkEvent.FAIL, LinkState.FAIL,
        "a data volume of the Secondary failed (flag fail); the log keeps what it misses"),
    Row((LinkState.ACTIVE, LinkState.PAUSE, LinkState.FAIL), LinkEvent.SECONDARY_PAUSE, LinkState.PAUSE,
        "the Secondary's SRL failed (flag secondary_log_err) or its volumes do not match (secondary_config_err)"),
    Row((LinkState.PAUSE, LinkState.FAIL), LinkEvent.RECOVER, LinkState.ACTIVE,
        "the Secondary is well again: replication goes on by itself"),
)

RVG_ROWS = (
    Row((RvgState.EMPTY, RvgState.CLEAN), RvgEvent.START, RvgState.ACTIVE, "recovered, open for I/O"),
    Row((RvgState.ACTIVE,), RvgEvent.STOP, RvgState.CLEAN, "stopped after a last checkpoint"),
    Row((RvgState.EMPTY, RvgState.CLEAN, RvgState.ACTIVE), RvgEvent.ERROR, RvgState.FAIL,
        "the SRL or a data volume failed"),
)

ROLE_ROWS = (
    Row((RoleState.SECONDARY,), RoleEvent.MIGRATE, RoleState.PRIMARY,
        "the Primary has given the role away, and all that it wrote is here"),
    Row((RoleState.SECONDARY,), RoleEvent.TAKEOVER, RoleState.PRIMARY,
        "the Primary is lost: a new reign begins with all that was received"),
    Row((RoleState.PRIMARY,), RoleEvent.DEMOTE, RoleState.SECONDARY,
        "the role goes to another host, which has all that was written here"),
    Row((RoleState.PRIMARY, RoleState.PRIMARY_PRIMARY), RoleEvent.SUPERSEDED, RoleState.ACTING_SECONDARY,
        "another host took over; nothing was written here that it lacks, by applications that are still there"),
    Row((RoleState.PRIMARY,), RoleEvent.CONFLICT, RoleState.PRIMARY_PRIMARY,
        "another host reigns, too, and each has writes that the other lacks: neither is stopped"),
    Row((RoleState.PRIMARY_PRIMARY,), RoleEvent.ELECT, RoleState.PRIMARY,
        "the operator has chosen this host: a reign above both begins"),
    Row((RoleState.PRIMARY,), RoleEvent.ELECT, RoleState.PRIMARY,
        "the other host has given way before the operator's choice arrived: the reign begins all the same"),
    Row((RoleState.ACTING_SECONDARY,), RoleEvent.ELECT, RoleState.PRIMARY,
        "the operator has chosen this host after all, with what it wrote beyond the fork"),
    Row((RoleState.PRIMARY, RoleState.PRIMARY_PRIMARY), RoleEvent.MAKESEC, RoleState.ACTING_SECONDARY,
        "the operator has chosen another host"),
    Row((RoleState.PRIMARY_PRIMARY,), RoleEvent.YIELDED, RoleState.PRIMARY,
        "the other host has become a Secondary"),
    Row((RoleState.SECONDARY, RoleState.ACTING_SECONDARY), RoleEvent.FOLLOW, RoleState.SECONDARY,
        "a Primary has said START: this host follows its reign"),
)


def role_step(rvg: str, state: RoleState, event: RoleEvent) -> RoleState:
    """The state after `event`. Raises VR-1410 when the table has no such row."""
    for row in ROLE_ROWS:
        if row.event == event and state in row.before:
            assert isinstance(row.after, RoleState)
            return row.after
    raise VolrepError(messages.ROLE_STATE, rvg=rvg, state=state.value, verb=event.value,
                      needed=" or ".join(s.value for row in ROLE_ROWS if row.event == event for s in row.before))


def link_step(name: str, state: LinkState, event: LinkEvent) -> LinkState:
    """The state after `event`. Raises VR-1400 when the table has no such row."""
    for row in LINK_ROWS:
        if row.event == event and state in row.before:
            assert isinstance(row.after, LinkState)
            return row.after
    raise VolrepError(messages.LINK_STATE, link=name, state=state.value, verb=event.value,
                      needed=" or ".join(s.value for row in LINK_ROWS if row.event == event for s in row.before))


def rvg_step(state: RvgState, event: RvgEvent) -> RvgState:
    """The state after `event`; a missing row is a bug of the caller."""
    for row in RVG_ROWS:
        if row.event == event and state in row.before:
            assert isinstance(row.after, RvgState)
            return row.after
    raise AssertionError(f"no row for {state} on {event}")
