"""The rule of driving: completed steps are taken back in reverse, and what stays is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.rds.hosts import gone
from volrep.engine.api import RvgPromote
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.messages import log as log_messages
from volrep.model.shape import Shape
from volrep.model.worker import Nothing, PromoteHow
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


class Answer:
    """What a step may answer: an LSN, and problems that did not stop it."""

    def __init__(self, end_lsn: int, *problems: str) -> None:
        self.end_lsn, self.problems = end_lsn, list(problems)


class Answers:
    """Each call is answered by the next number, and its request kept."""

    def __init__(self, *problems: str) -> None:
        self.requests: list[Any] = []
        self.problems = problems

    def call(self, host: str, method: str, request: Shape) -> Any:
        self.requests.append(request)
        return Answer(100 + len(self.requests), *self.problems)


def test_what_an_answer_said_goes_into_later_requests() -> None:
    def step(name: str) -> Step:
        request = RvgPromote(dg="d", rvg=name, how=PromoteHow.MIGRATE, new_reign="0" * 16)
        return Step(name, Call("london", "x", request, (("expect_lsn", "end_lsn"),)))

    answers = Answers()
    drive(Plan((Step("first", Call("london", "x", Nothing())), step("a"), step("b"))), answers, lambda _text: None)
    assert [request.expect_lsn for request in answers.requests[1:]] == [101, 102]


def test_behind_the_point_of_no_return_nothing_is_taken_back() -> None:
    recorder = Recorder(c=gone("x"))
    a, b, c = plan("a", "b", "c").steps
    error = run(recorder, Plan((a, replace(b, final=True), c)))
    assert (error.id, error.exit, recorder.done) == ("VR-1334", Exit.PARTIAL, ["a", "b", "c"])
    assert "done and not taken back: a; b" in error.text


@pytest.mark.parametrize(("failure", "undone"), [
    (gone("x"), ["una"]),
    (VolrepError(engine_messages.WORKER_ABSENT, rvg="r", host="london", reason="it is stopped"), ["una"]),
    (VolrepError(engine_messages.ENGINE_CLOSED, reason="it went away"), []),
    (VolrepError(engine_messages.WORKER_LOST, rvg="r", host="london", reason="it went away"), []),
    (VolrepError(engine_messages.STORE_FAILED, path="/c", reason="disk full"), []),
    (VolrepError(engine_messages.INTERNAL, method="rvg.promote", problem="a bug"), []),
    (VolrepError(log_messages.SYNC_FAILED, path="/srl", reason="I/O error"), [])])
def test_a_final_step_that_may_have_been_done_counts_as_done(failure: VolrepError, undone: list[str]) -> None:
    recorder = Recorder(b=failure)
    a, b = plan("a", "b").steps
    error = run(recorder, Plan((a, replace(b, final=True))))
    assert error.id == (failure.id if undone else "VR-1334")
    assert recorder.done == ["a", "b", *undone]


def test_what_is_not_needed_may_fail_and_is_told_at_the_end() -> None:
    recorder = Recorder(b=gone("x"))
    a, b, c = plan("a", "b", "c").steps
    error = run(recorder, Plan((a, replace(b, needed=False), c)))
    assert (error.id, error.exit, recorder.done) == ("VR-1333", Exit.PARTIAL, ["a", "b", "c"])
    assert "b: VR-1700" in error.text


def test_problems_in_an_answer_are_told_at_the_end() -> None:
    with pytest.raises(VolrepError, match=r"VR-1333.*a: it hurts"):
        drive(plan("a"), Answers("it hurts"), lambda _text: None)
