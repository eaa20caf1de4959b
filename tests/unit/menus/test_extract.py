"""Paths into JSON documents, conditions, and the words of a command."""

from __future__ import annotations

import pytest

from volrep.menus.extract import choices_of, fill_words, rows_at, value_at
from volrep.menus.model import Column, ListSource
from volrep.menus.show import show

DOCUMENT = {"rds": [
    {"rvg": "a", "dg": "d1", "primary": {"host": "london", "links": [{"to": "tokyo", "on": True},
                                                                      {"to": "paris", "on": False}]}},
    {"rvg": "b", "dg": "d2", "primary": None},
    {"rvg": "c", "dg": "d2", "primary": {"host": "rome", "links": []}},
]}


def source(**more: object) -> ListSource:
    return ListSource.from_data({"id": "x", "title": "X", "command": ["x"], "rows": "rds[].primary.links[]",
                                      "value": "to", **more})


def test_rows_remember_what_they_were_reached_through() -> None:
    rows = list(rows_at(DOCUMENT, "rds[].primary.links[]"))
    assert [(value_at(row, "^^rvg"), value_at(row, "^host"), value_at(row, "to")) for row in rows] == [
        ("a", "london", "tokyo"), ("a", "london", "paris")]
    assert value_at(rows[0], "^^^^^^rvg") is None


def test_a_list_in_a_path_gives_all_values() -> None:
    (first, *_) = rows_at(DOCUMENT, "rds[]")
    assert value_at(first, "primary.links[].to") == ["tokyo", "paris"]


@pytest.mark.parametrize("document", [None, [], 7, {"rds": 7}, {"rds": [7, None, [1]]}, {"rds": [{"primary": []}]}])
def test_documents_of_another_shape_give_no_rows(document: object) -> None:
    assert list(rows_at(document, "rds[].primary.links[]")) == []


def test_plain_texts_are_rows_with_a_message() -> None:
    assert [value_at(row, "message") for row in rows_at({"errors": ["x", "y"]}, "errors[]")] == ["x", "y"]


def test_a_condition_without_a_value_is_not_asked() -> None:
    where = source(where={"^^rvg": "{rvg}"})
    assert [row.value for row in choices_of(where, DOCUMENT, {"rvg": ""})] == ["tokyo", "paris"]
    assert choices_of(where, DOCUMENT, {"rvg": "b"}) == []


def test_what_is_chosen_already_is_left_out_also_of_several() -> None:
    unless = source(unless={"to": "{taken}"})
    assert [row.value for row in choices_of(unless, DOCUMENT, {"taken": "x,tokyo"})] == ["paris"]


def test_equal_choices_are_shown_once() -> None:
    doubled = {"rds": [*DOCUMENT["rds"], *DOCUMENT["rds"]]}
    assert len(choices_of(source(), doubled, {})) == 2
    assert len(choices_of(source(carries={"dg": "^^dg"}, rows="rds[].primary.links[]"), doubled, {})) == 2


def test_cells_and_carried_values_come_with_a_row() -> None:
    rows = choices_of(source(columns=[Column(path="to"), Column(path="on")], carries={"dg": "^^dg"}), DOCUMENT, {})
    assert rows[0].cells == ("tokyo", "yes")
    assert rows[0].carried == {"dg": "d1"}


def test_a_group_without_a_value_is_left_out_of_the_command() -> None:
    words: list[str | list[str]] = ["--json", ["-g", "{dg}"], "show", ["{rvg}"]]
    assert fill_words(words, {"dg": "d", "rvg": "a b"}) == ["--json", "-g", "d", "show", "a b"]
    assert fill_words(words, {"dg": ""}) == ["--json", "show"]


@pytest.mark.parametrize(("value", "form", "text"), [
    (1 << 30, "size", "1g"), (0.25, "duration", "0.2s"), (12.34, "percent", "12%"), (1234567, "count", "1,234,567"),
    (None, "size", ""), ("soon", "duration", "soon"), (True, "text", "yes"), (["a", "b"], "text", "a,b"),
    ("not a time", "time", "not a time"), (1048576.0, "rate", "1m/s"),
])
def test_values_are_shown_in_their_unit_or_as_they_are(value: object, form: str, text: str) -> None:
    assert show(value, form) == text  # type: ignore[arg-type]  # the forms are a Literal
