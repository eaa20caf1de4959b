"""What a plan is made of. Pure.

A step is one call of an engine, with the calls that take it back. Steps are idempotent: a plan is made from
what is there, so a command that is run again plans only what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from volrep.model.shape import Shape


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the control API of `host`.

    `learned` names fields of the request that are only known on the way: (field, attribute of the newest answer that
    has it). What stands in the request before is a place holder.
    """

    host: str
    method: str
    request: Shape
    learned: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """`title` reads as what is being done: "london: create RVG hr_rvg (Primary)".

    `final`: when it has been done there is no way back; a failure later leaves everything as it then is.
    `needed` False: a failure is told at the end, and the steps behind it are done all the same.
    `base`: what the steps behind it stand on. It is not taken back while one of them could not be, because the same
    command finds what is left by it.
    `estimate_s`: how long it took on that host when it was done last; None when nobody has measured it; 0 for
    a call that is answered at once.
    """

    title: str
    do: Call
    undo: tuple[Call, ...] = ()
    final: bool = False
    needed: bool = True
    base: bool = False
    estimate_s: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in order, and notes for the operator: what was found done already, what to do next."""

    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def then(self, other: Plan) -> Plan:
        return Plan(self.steps + other.steps, self.notes + other.notes)
