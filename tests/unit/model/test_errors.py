"""Errors cross process borders and keep their number, values and words."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest

from volrep.model.errors import Exit, Message, VolrepError, from_wire
from volrep.model.messages import CATALOGUE, links, usage


class _Any:
    """Formats as anything: number, text, repr."""

    def __format__(self, spec: str) -> str:
        return format(7, spec) if spec else "7"


def sample(message: Message) -> dict[str, object]:
    fields = {f for text in (message.text, message.hint) for _, f, _, _ in string.Formatter().parse(text) if f}
    return {name: _Any() for name in fields}


def test_an_error_is_the_same_on_the_other_side() -> None:
    error = VolrepError(links.LINK_STATE, link="rlk_{tokyo}", state="PAUSE", verb="start", needed="STALE")
    back = from_wire(json.loads(json.dumps(error.wire())))
    assert (back.id, back.text, back.hint, back.exit) == (error.id, error.text, error.hint, Exit.REFUSED)
    assert back.message is links.LINK_STATE
    assert str(back) == "VR-1400: link rlk_{tokyo} is PAUSE; start needs STALE"


def test_values_that_json_does_not_know_travel_as_text() -> None:
    error = VolrepError(usage.USAGE, problem=OSError(5, "input/output error"), usage=Path("/x"))
    assert json.loads(json.dumps(error.wire()))["values"] == {"problem": "[Errno 5] input/output error", "usage": "/x"}


def test_a_number_of_a_newer_version_keeps_its_words() -> None:
    back = from_wire({"number": 9999, "values": {"a": 1}, "text": "half of {a} {is} gone", "hint": "look {there}",
                      "exit": 3})
    assert (back.id, back.text, back.hint) == ("VR-9999", "half of {a} {is} gone", "look {there}")
    assert back.exit == Exit.REFUSED
    assert from_wire(back.wire()).text == back.text


@pytest.mark.parametrize("number", sorted(CATALOGUE))
def test_text_and_hint_can_be_filled(number: int) -> None:
    message = CATALOGUE[number]
    error = VolrepError(message, **sample(message))
    assert error.text
    assert error.hint
    assert error.exit != Exit.DONE
