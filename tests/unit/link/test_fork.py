"""Who gives way to whom, as tables."""

from __future__ import annotations

import pytest

from volrep.link.fork import Reaction, next_generation, react, refuses, with_reign
from volrep.link.history import NEVER_LSN
from volrep.link.negotiate import Claim
from volrep.model.units import Reign

A, B, C, D = Reign(1, 4096, "a"), Reign(2, 8000, "b"), Reign(2, 8000, "c"), Reign(3, 9000, "d")


@pytest.mark.parametrize(("ours", "theirs", "refused"), [
    ([A], [A], False),
    ([A], [A, B], False),  # a newer reign: follow
    ([A, B], [A], True),  # it has been superseded and does not know
    ([A, B], [A, C], True),  # two of the same number: an operator decides
    ([A, B], [A, C, D], False),  # one was elected above ours; its order says what becomes of what is here
    ([A, C, D], [A, B], True),
    ([A], [Reign(1, 4096, "z")], False),  # nothing in common: only a new order can begin anything
])
def test_a_secondary_follows_the_newest_reign(ours: list[Reign], theirs: list[Reign], refused: bool) -> None:
    assert refuses(ours, theirs) == refused


@pytest.mark.parametrize(("ours", "theirs", "end", "opened", "in_conflict", "reaction"), [
    ([A], [A, B], 9000, NEVER_LSN, False, Reaction.GIVE_WAY),  # it has not served since it started
    ([A], [A, B], 8000, 4096, False, Reaction.GIVE_WAY),  # it served, and wrote nothing beyond the fork
    ([A], [A, B], 9000, 9000, False, Reaction.GIVE_WAY),  # all of that is of an earlier run
    ([A], [A, B], 9008, 9000, False, Reaction.CONFLICT),  # applications have written beyond the fork
    ([A], [A, B], 9008, 4096, False, Reaction.CONFLICT),
    ([A], [A, B], 9000, NEVER_LSN, True, Reaction.CONFLICT),  # it held to its reign before it was restarted
    ([A], [A, B], 8000, NEVER_LSN, True, Reaction.GIVE_WAY),  # its conflict is with a third one: this one has it all
    ([A, B], [A, C], 8000, NEVER_LSN, False, Reaction.CONFLICT),
    ([A, B], [A, C, D], 9000, NEVER_LSN, False, Reaction.CONFLICT),  # giving way is the operator's word
    ([A, B], [A], 9000, 8000, False, Reaction.NONE),
    ([A], [A], 9000, 8000, False, Reaction.NONE),
    ([A], [Reign(1, 4096, "f")], 9000, 8000, False, Reaction.NONE),
])
def test_what_a_primary_makes_of_another_reign(ours: list[Reign], theirs: list[Reign], end: int, opened: int,
                                               in_conflict: bool, reaction: Reaction) -> None:
    for primary in (True, False):
        claim = Claim(host="tokyo", history=theirs, end_lsn=9000, primary=primary)
        assert react(ours, claim, end_lsn=end, opened_lsn=opened, in_conflict=in_conflict) is reaction


def test_the_newer_reign_learns_that_the_older_one_holds_on() -> None:
    claim = Claim(host="london", history=[A], end_lsn=9000, primary=True, conflict=True)
    assert react([A, B], claim, end_lsn=9000, opened_lsn=8000, in_conflict=False) is Reaction.CONFLICT


def test_a_new_reign_is_above_all_others() -> None:
    assert next_generation([A, B], [Reign(7, 0)]) == 8
    assert next_generation([A]) == 2
    assert next_generation() == 1


def test_a_reign_has_nothing_of_one_that_its_log_had_not_reached() -> None:
    """A Secondary that follows knows of reigns beyond the end of its log, and may have to take over there."""
    assert with_reign([A, B], Reign(3, 7000, "e")) == [A, Reign(3, 7000, "e")]
    assert with_reign([A, B], Reign(3, 8000, "e")) == [A, B, Reign(3, 8000, "e")]
