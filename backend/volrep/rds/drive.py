"""Driving a plan: its steps in order; when one fails, the completed ones are taken back in reverse order.

Knows the rule, not the verbs. Every step is said before it is done, so an operator sees what a long one is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from volrep.model.errors import VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.messages import log as log_messages
from volrep.model.messages import rds as messages
from volrep.model.shape import Shape
from volrep.rds.step import Call, Plan, Step

_UNANSWERED = (engine_messages.ENGINE_CLOSED, engine_messages.WORKER_LOST)
# What an engine or worker says that failed on its way: of a step without a way back it may be the done part that counts
_HALFWAY = (engine_messages.INTERNAL, engine_messages.STORE_FAILED, log_messages.SYNC_FAILED)


class Caller(Protocol):
    def call(self, host: str, method: str, request: Shape) -> Any:
        """Raises VolrepError."""
        ...


def drive(plan: Plan, caller: Caller, say: Callable[[str], None]) -> list[Any]:
    """The answers of the steps; None for one that was not needed and failed.

    Raises what a step raised when everything could be taken back; VR-1330 when something could not; VR-1334 when it
    failed behind the point of no return; VR-1333 when all that was needed is done. An interrupt (Ctrl-C) counts as a
    failed step.
    """
    driver = _Driver(caller, say)
    answers: list[Any] = []
    problems: list[str] = []
    turn = 0  # steps before it stay, whatever happens
    for number, step in enumerate(plan.steps):
        say(step.title)
        try:
            answer = driver.run(step.do)
        except (VolrepError, KeyboardInterrupt) as error:
            if not step.needed and isinstance(error, VolrepError):
                problems.append(driver.tell(step, f"{error.id}: {error.text}"))
                answers.append(None)
                continue
            # A broken conversation leaves open whether the call was done: take that step back too
            unsure = isinstance(error, KeyboardInterrupt) or error.message in _UNANSWERED
            if turn or (step.final and (unsure or (isinstance(error, VolrepError) and error.message in _HALFWAY))):
                _stands(plan.steps[:number], step, error)
            driver.take_back(plan.steps[:number + 1 if unsure and step.undo else number], step, error)
            raise
        answers.append(answer)
        problems += [driver.tell(step, problem) for problem in getattr(answer, "problems", ())]
        turn = number + 1 if step.final else turn
    if problems:
        raise VolrepError(messages.DONE_WITH_PROBLEMS, problems="; ".join(problems))
    return answers


class _Driver:
    """Makes calls, keeps what answers say, takes steps back."""

    def __init__(self, caller: Caller, say: Callable[[str], None]) -> None:
        self._caller = caller
        self._say = say
        self._answers: list[Any] = []

    def run(self, call: Call) -> Any:
        request = call.request.changed(**{name: self._newest(attribute) for name, attribute in call.learned})
        answer = self._caller.call(call.host, call.method, request)
        self._answers.append(answer)
        return answer

    def _newest(self, attribute: str) -> Any:
        return next(getattr(answer, attribute) for answer in reversed(self._answers) if hasattr(answer, attribute))

    def tell(self, step: Step, problem: str) -> str:
        self._say(f"problem: {problem}")
        return f"{step.title}: {problem}"

    def take_back(self, done: tuple[Step, ...], failed: Step, error: BaseException) -> None:
        """Raises VR-1330 when something stays; else everything is as before."""
        undone: list[str] = []
        left: list[str] = []
        for step in reversed(done):
            if not step.undo or (step.base and left):
                left.append(step.title)
                continue
            self._say(f"undo: {step.title}")
            try:
                for call in step.undo:
                    self.run(call)
            except VolrepError as problem:
                self._say(f"{problem.id}: {problem.text}")
                left.append(step.title)
            else:
                undone.append(step.title)
        if left:
            raise VolrepError(messages.UNDONE_IN_PART, step=failed.title, problem=_worded(error),
                              undone="; ".join(undone) or "nothing", left="; ".join(left)) from error


def _stands(done: tuple[Step, ...], failed: Step, error: BaseException) -> None:
    raise VolrepError(messages.STANDS, step=failed.title, problem=_worded(error),
                      done="; ".join(step.title for step in done) or "nothing") from error


def _worded(error: BaseException) -> str:
    return f"{error.id}: {error.text}" if isinstance(error, VolrepError) else "interrupted"
