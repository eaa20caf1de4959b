"""The rule of driving: completed steps are taken back in reverse, and what stays is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rds.hosts import gone
from volrep.model.config import Shape
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.worker import Nothing
from volrep.rds.drive import drive
from volrep.rds.step import Call, Plan, Step


class Recorder:
    """Fails at the methods named in `failing`, with what stands there."""

    def __init__(self, **failing: BaseException) -> None:
        self.failing = failing
        self.done: list[str] = []

    def call(self, host: str, method: str, request: Shape) -> Any:
        self.done.append(method)
        if method in self.failing:
            raise self.failing[method]
        return method


def plan(*names: str, final: bool = False) -> Plan:
    """Steps that undo themselves; with `final` the first cannot."""
    return Plan(tuple(Step(name, Call("london", name, Nothing()),
                           () if final and name == names[0] else (Call("london", f"un{name}", Nothing()),))
                      for name in names))


def run(recorder: Recorder, steps: Plan) -> VolrepError:
    with pytest.raises(VolrepError) as caught:
        drive(steps, recorder, lambda _text: None)
    return caught.value


def test_answers_come_in_order() -> None:
    assert drive(plan("a", "b"), Recorder(), lambda _text: None) == ["a", "b"]


def test_a_refusal_takes_back_what_was_done_before_it_in_reverse() -> None:
    recorder = Recorder(c=gone("x"))
    assert run(recorder, plan("a", "b", "c")).id == "VR-1700"
    assert recorder.done == ["a", "b", "c", "unb", "una"]


def test_a_broken_conversation_takes_back_the_step_that_may_have_been_done() -> None:
    recorder = Recorder(b=VolrepError(engine_messages.ENGINE_CLOSED, reason="it went away"))
    assert run(recorder, plan("a", "b")).id == "VR-1714"
    assert recorder.done == ["a", "b", "unb", "una"]


def test_an_interrupt_takes_back_too() -> None:
    recorder = Recorder(b=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        drive(plan("a", "b"), recorder, lambda _text: None)
    assert recorder.done == ["a", "b", "unb", "una"]


def test_what_cannot_be_taken_back_is_listed_beside_what_was() -> None:
    error = run(Recorder(c=gone("x"), unb=gone("y")), plan("a", "b", "c"))
    assert (error.id, error.exit) == ("VR-1330", Exit.PARTIAL)
    assert "undone: a; not undone: b" in error.text
    error = run(Recorder(b=gone("x")), plan("a", "b", final=True))
    assert "undone: nothing; not undone: a" in error.text
