"""Hooks: what an administrator's programs are told when the Primary role moves."""

from __future__ import annotations

from enum import StrEnum

from volrep.model.config import Role
from volrep.model.shape import Shape


class HookEvent(StrEnum):
    """On the host that it happens to. What comes before may stop the change, what comes after cannot."""

    PRE_DEMOTE = "pre-demote"  # the application has to let go of the volumes
    POST_DEMOTE = "post-demote"  # the volumes are a Secondary's: nobody may use them
    PRE_PROMOTE = "pre-promote"  # this host is about to become the Primary
    POST_PROMOTE = "post-promote"  # the application may use the volumes here

    @property
    def decides(self) -> bool:
        """Whether a failure stops what is about to happen."""
        return self in (HookEvent.PRE_DEMOTE, HookEvent.PRE_PROMOTE)

    @property
    def role(self) -> Role:
        """What this host is afterwards."""
        return Role.SECONDARY if self.value.endswith("demote") else Role.PRIMARY


class HookRun(Shape):
    """`reason` is the verb, or what happened: migrate, takeover, elect, makesec, undo, superseded.

    `peer` is the other host of the change, "" when there is none or it is not known.
    """

    dg: str
    rvg: str
    event: HookEvent
    reason: str
    peer: str = ""


class HookResult(Shape):
    """One program. `problem` is empty when it did what it should; `said` is the end of its output."""

    name: str
    seconds: float
    problem: str = ""
    said: str = ""


class HookReport(Shape):
    """All programs of one event, in their order; the first that fails before a change ends the list."""

    event: HookEvent
    results: list[HookResult]

    @property
    def problems(self) -> list[str]:
        return [f"{result.name}: {result.problem}" for result in self.results if result.problem]


def took_key(event: HookEvent) -> str:
    """Under which an engine keeps how long the programs of an event took."""
    return f"hook {event.value}"
