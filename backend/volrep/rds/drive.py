"""Driving a plan: its steps in order; when one fails, the completed ones are taken back in reverse order.

Knows the rule, not the verbs. Every step is said before it is done, so an operator sees what a long one is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from volrep.model.config import Shape
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.messages import rds as messages
from volrep.rds.step import Call, Plan, Step


class Caller(Protocol):
    def call(self, host: str, method: str, request: Shape) -> Any:
        """Raises VolrepError."""
        ...


def drive(plan: Plan, caller: Caller, say: Callable[[str], None]) -> list[Any]:
    """The answers of the steps.

    Raises what a step raised when everything could be taken back, VR-1330 when something could not. An interrupt
    (Ctrl-C) counts as a failed step.
    """
    answers: list[Any] = []
    for number, step in enumerate(plan.steps):
        say(step.title)
        try:
            answers.append(_run(caller, step.do))
        except (VolrepError, KeyboardInterrupt) as error:
            # A broken conversation leaves open whether the call was done: take that step back too
            unsure = isinstance(error, KeyboardInterrupt) or error.message is engine_messages.ENGINE_CLOSED
            done = plan.steps[:number + 1 if unsure and step.undo else number]
            _take_back(done, caller, say, step, error)
            raise
    return answers


def _run(caller: Caller, call: Call) -> Any:
    return caller.call(call.host, call.method, call.request)


def _take_back(done: tuple[Step, ...], caller: Caller, say: Callable[[str], None], failed: Step,
               error: BaseException) -> None:
    """Raises VR-1330 when something stays; else everything is as before."""
    undone: list[str] = []
    left: list[str] = []
    for step in reversed(done):
        if not step.undo:
            left.append(step.title)
            continue
        say(f"undo: {step.title}")
        try:
            for call in step.undo:
                _run(caller, call)
        except VolrepError as problem:
            say(f"{problem.id}: {problem.text}")
            left.append(step.title)
        else:
            undone.append(step.title)
    if left:
        problem_text = f"{error.id}: {error.text}" if isinstance(error, VolrepError) else "interrupted"
        raise VolrepError(messages.UNDONE_IN_PART, step=failed.title, problem=problem_text,
                          undone="; ".join(undone) or "nothing", left="; ".join(left)) from error
