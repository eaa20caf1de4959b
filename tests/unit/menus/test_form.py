"""A dialog being filled in: initial values, what is sent, what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from volrep.menus.extract import Row
from volrep.menus.form import Form
from volrep.menus.model import Dialog


def form(*fields: dict[str, Any], context: dict[str, str] | None = None, **dialog: Any) -> Form:
    stanza = Dialog.from_data({"id": "x", "title": "X", "command": ["x"], "field": [
        {"label": field["name"].upper(), **field} for field in fields], **dialog})
    return Form(stanza, context or {})


RING: dict[str, Any] = {"name": "mode", "kind": "ring", "attribute": "mode",
                        "choices": [{"text": "off"}, {"text": "on", "value": "1"}, {"text": "auto"}]}


def test_options_come_first_then_positions_by_number_then_attributes() -> None:
    made = form({"name": "a", "attribute": "a"}, {"name": "second", "position": 2}, {"name": "first", "position": 1},
                {"name": "dg", "option": "-g"})
    for name, value in {"a": "x y", "second": "2", "first": "1", "dg": "d"}.items():
        made.set(name, value)
    assert made.argv() == ["-g", "d", "x", "1", "2", "a=x y"]


def test_an_attribute_is_sent_when_it_differs_from_what_is_in_force() -> None:
    made = form(RING | {"discovered": "attributes.mode"}, {"name": "host", "position": 1}, context={"host": "tokyo"},
                discover={"command": ["show"], "rows": "links[]", "where": {"host": "{host}"}})
    links = [{"host": "paris", "attributes": {"mode": "auto"}}, {"host": "tokyo", "attributes": {"mode": "1"}}]
    assert made.discovered({"links": links})
    assert made.shown(made.dialog.fields[0]) == "on"
    assert made.argv() == ["x", "tokyo"]
    made.rotate("mode", 1)
    assert made.argv() == ["x", "tokyo", "mode=auto"]
    made.reset("mode")
    assert made.argv() == ["x", "tokyo"]


def test_discovery_keeps_what_was_typed_meanwhile() -> None:
    made = form({"name": "a", "attribute": "a", "discovered": "a"}, discover={"command": ["show"]})
    made.set("a", "typed")
    assert made.discovered({"a": "found"})
    assert (made.values["a"], made.initial["a"]) == ("typed", "found")


def test_nobody_asks_for_the_values_of_an_unknown_object() -> None:
    made = form({"name": "host", "position": 1}, discover={"command": ["show"], "where": {"host": "{host}"}})
    assert not made.can_discover
    made.set("host", "tokyo")
    assert made.can_discover


def test_a_ring_turns_both_ways_and_round() -> None:
    made = form(RING)
    seen = []
    for step in (1, 1, 1, -1):
        made.rotate("mode", step)
        seen.append(made.values["mode"])
    assert seen == ["1", "auto", "off", "auto"]


def test_words_of_a_choice_are_options() -> None:
    made = form({"name": "how", "kind": "ring", "choices": [{"text": "no", "words": []},
                                                            {"text": "yes", "words": ["-f", "-a"]}]})
    assert made.argv() == ["x"]
    made.set("how", "yes")
    assert made.argv() == ["-f", "-a", "x"]


def test_secrets_are_not_among_the_words() -> None:
    made = form({"name": "key", "kind": "secret", "environment": "VOLREP_KEY"})
    made.set("key", "s3cret")
    assert made.argv() == ["x"]
    assert made.environment() == {"VOLREP_KEY": "s3cret"}


def test_chosen_rows_fill_the_field_and_what_they_carry() -> None:
    made = form({"name": "vols", "kind": "multi-list", "source": "l", "position": 1}, {"name": "dg", "option": "-g"},
                {"name": "shown", "kind": "fixed", "send": "never", "default": "stays"})
    made.choose("vols", [Row("a", ("a",), {"dg": "d", "host": "h", "shown": "no"}), Row("b", ("b",), {"dg": "d"})])
    assert made.argv() == ["-g", "d", "x", "a,b"]
    assert made.all_values()["host"] == "h"
    assert made.values["shown"] == "stays"


@pytest.mark.parametrize(("field", "value", "id_"), [
    ({"required": True}, "  ", "VR-1820"),
    ({"kind": "number"}, "1e5", "VR-1821"),
    ({"kind": "size"}, "ten", "VR-1010"),
    ({"kind": "name", "object": "RVG"}, "a b", "VR-1011"),
    ({"kind": "multi-list", "source": "l", "object": "volume"}, "ok,not ok", "VR-1011"),
    ({"kind": "path"}, "relative", "VR-1824"),
    ({"pattern": "[ab]+", "rule": "a and b only"}, "abc", "VR-1822"),
])
def test_a_wrong_value_is_a_problem_of_its_field(field: dict[str, Any], value: str, id_: str) -> None:
    made = form({"name": "good"}, {"name": "a", **field})
    made.set("a", value)
    assert [(each.name, error.id) for each, error in made.problems()] == [("a", id_)]


@pytest.mark.parametrize(("field", "value"), [
    ({}, ""), ({"kind": "number"}, "-5"), ({"kind": "size"}, "1.5t"), ({"kind": "path"}, "/a b"),
    ({"kind": "size"}, ""),
])
def test_a_right_or_empty_value_is_none(field: dict[str, Any], value: str) -> None:
    made = form({"name": "a", **field})
    made.set("a", value)
    assert made.problems() == []
