"""What a plan is made of. Pure.

A step is one call of an engine, with the calls that take it back. Steps are idempotent: a plan is made from
what is there, so a command that is run again plans only what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from volrep.model.config import Shape


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the control API of `host`."""

    host: str
    method: str
    request: Shape


@dataclass(frozen=True, slots=True)
class Step:
    """`title` reads as what is being done: "london: create RVG hr_rvg (Primary)"."""

    title: str
    do: Call
    undo: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and notes for the operator: what was found done already, what to do next."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def then(self, other: Plan) -> Plan:
        return Plan(self.steps + other.steps, self.notes + other.notes)
