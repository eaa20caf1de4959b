"""Completion, from the words a shell hands over to what it offers."""

from __future__ import annotations

from typing import Any

import pytest

from volrep.cli.completion import VolrepBash, join_assignments
from volrep.cli.grammar import build

LIVE = {"rvg": ["hr_rvg"], "secondary": ["paris", "tokyo"], "dg": ["hrdg"], "host": ["london"]}


def _complete(kind: str, typed: str, _options: dict[str, Any]) -> list[str]:
    return [value for value in LIVE.get(kind, []) if value.startswith(typed)]


def offered(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """What bash would insert for the last of `words`, which it has split at `=`."""
    monkeypatch.setenv("COMP_WORDS", "\n".join(("volrep", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    shell = VolrepBash(build(lambda _parsed: 0, _complete), {}, "volrep", "_VOLREP_COMPLETE")
    return [line.partition(",")[2] for line in shell.complete().splitlines()]


@pytest.mark.parametrize(("words", "expected"), [
    (["star"], ["startrep"]),
    (["volume", "de"], ["destroy"]),
    (["-g", ""], ["hrdg"]),
    (["-g", "hrdg", "startrep", "hr"], ["hr_rvg"]),
    (["startrep", "hr_rvg", ""], ["paris", "tokyo"]),
    (["startrep", "-g", "hrdg", "hr_rvg", "to"], ["tokyo"]),
    (["addsec", "hr_rvg", "london", "tokyo", "syn"], ["synchronous=", "sync_ack="]),
    (["addsec", "hr_rvg", "london", "tokyo", "sync_ack", "=", "d"], ["data"]),
    (["addsec", "hr_rvg", "london", "tokyo", "sync_ack", "="], ["network", "data"]),
    (["engine", "run", "--log-level", "w"], ["warning"]),
    (["completion", "z"], ["zsh"]),
])
def test_words_are_completed_by_what_they_stand_for(monkeypatch: pytest.MonkeyPatch, words: list[str],
                                                    expected: list[str]) -> None:
    assert offered(monkeypatch, *words) == expected


def test_assignments_that_bash_took_apart_are_joined() -> None:
    assert join_assignments(["set", "r", "a", "=", "b", "c", "=", "--json"]) == ["set", "r", "a=b", "c=", "--json"]
