"""Command lines as operators type them: what is understood, and what is refused with which id."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from volrep.cli.grammar import Parsed, build, closest
from volrep.model.errors import VolrepError


def parse(line: str) -> Parsed:
    found: list[Parsed] = []

    def run(parsed: Parsed) -> int:
        found.append(parsed)
        return 0

    build(run, lambda *_: []).main(shlex.split(line), "volrep", standalone_mode=False)
    (parsed,) = found
    return parsed


def _given(parsed: Parsed) -> dict[str, Any]:
    return {name: value for name, value in parsed.options.items() if value}


@pytest.mark.parametrize("line", [
    "-g hrdg -a startrep hr_rvg tokyo",
    "startrep -g hrdg -a hr_rvg tokyo",
    "startrep hr_rvg tokyo -g hrdg -a",
    "-a startrep hr_rvg -g hrdg tokyo",
    "-ag hrdg startrep hr_rvg tokyo",
])
def test_options_may_stand_anywhere(line: str) -> None:
    parsed = parse(line)
    assert parsed.verb.name == "startrep"
    assert parsed.arguments == {"rvg": "hr_rvg", "secondary": "tokyo"}
    assert _given(parsed) == {"dg": "hrdg", "autosync": True}


def test_an_option_behind_the_verb_outweighs_one_before_it() -> None:
    assert _given(parse("-g one volume list -g two")) == {"dg": "two"}


def test_verbs_of_two_words_take_options_between_and_around() -> None:
    parsed = parse("--json -H london volume create hr_dv01 10g directory=/srv")
    assert parsed.verb.name == "volume create"
    assert parsed.arguments == {"name": "hr_dv01", "size": "10g"}
    assert parsed.attributes == {"directory": "/srv"}
    assert _given(parsed) == {"json": True, "host": "london"}


def test_an_optional_argument_left_out_is_empty() -> None:
    assert parse("pauserep hr_rvg").arguments == {"rvg": "hr_rvg", "secondary": ""}


def test_attributes_may_stand_between_arguments() -> None:
    parsed = parse("set hr_rvg synchronous=override tokyo sync_ack=data")
    assert parsed.arguments == {"rvg": "hr_rvg", "secondary": "tokyo"}
    assert parsed.attributes == {"synchronous": "override", "sync_ack": "data"}


def test_the_value_of_an_attribute_may_hold_an_equals_sign() -> None:
    assert parse("attach v mount=/mnt/a=b").attributes == {"mount": "/mnt/a=b"}


def test_a_path_with_an_equals_sign_is_an_argument_where_a_verb_has_no_attributes() -> None:
    assert parse("volume add v /dev/x=y").arguments == {"name": "v", "path": "/dev/x=y"}


@pytest.mark.parametrize(("line", "number", "said"), [
    ("startrp hr_rvg", 1000, "startrep"),
    ("volume lst", 1000, "volume list"),
    ("host", 1001, "host add"),
    ("startrep", 1001, "startrep RVG [SECONDARY]"),
    ("volume create v", 1001, "needs SIZE"),
    ("volume list more", 1001, "no place for 'more'"),
    ("-l volume list", 1001, "no option -l"),
    ("-a pauserep r", 1001, "no option -a"),
    ("export v listn=x", 1015, "listen"),
    ("export v listen=x listen=y", 1001, "twice"),
    ("completion tcsh", 1001, "bash, zsh, fish"),
    ("engine run --log-level loud", 1001, "warning"),
])
def test_what_cannot_be_understood_is_refused_with_the_next_move(line: str, number: int, said: str) -> None:
    with pytest.raises(VolrepError) as caught:
        parse(line)
    assert (caught.value.message.number, int(caught.value.exit)) == (number, 2)
    assert said in f"{caught.value.text} {caught.value.hint}"


def test_a_verb_misspelt_is_told_the_nearest_ones_each_once() -> None:
    assert closest("creatpri").split(", ")[0] == "createpri"
    for word in ("crea", "start", "volume creat"):
        near = closest(word).split(", ")
        assert len(near) == len(set(near)), near
