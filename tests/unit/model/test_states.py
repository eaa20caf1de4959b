"""The state tables: complete, without traps, and the only way through."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import pytest

from volrep.model.errors import VolrepError
from volrep.model.states import (
    LINK_ROWS,
    ROLE_ROWS,
    RVG_ROWS,
    LinkEvent,
    RoleEvent,
    Row,
    RvgEvent,
    link_step,
    role_step,
    rvg_step,
)
from volrep.model.states_doc import page
from volrep.model.status import LinkState, RoleState, RvgState

ROOT = Path(__file__).resolve().parents[3]

# Shown, never entered by an event of the Primary: no RVG.
SHOWN_ONLY = {LinkState.UNASSOC}

TABLES = [
    pytest.param(LINK_ROWS, LinkState.STALE, set(LinkState) - SHOWN_ONLY, set(LinkEvent), set(), id="link"),
    pytest.param(RVG_ROWS, RvgState.EMPTY, set(RvgState), set(RvgEvent), {RvgState.FAIL}, id="rvg"),
    pytest.param(ROLE_ROWS, RoleState.SECONDARY, set(RoleState), set(RoleEvent), set(), id="role"),
]


def reached(rows: Sequence[Row], first: StrEnum) -> set[StrEnum]:
    found = {first}
    while more := {row.after for row in rows if found & set(row.before)} - found:
        found |= more
    return found


@pytest.mark.parametrize(("rows", "first", "states", "events", "ends"), TABLES)
def test_every_state_is_reached_and_only_fail_is_an_end(
        rows: Sequence[Row], first: StrEnum, states: set[StrEnum], events: set[StrEnum], ends: set[StrEnum]) -> None:
    assert reached(rows, first) == states
    assert {row.event for row in rows} == events
    assert {state for state in states if not any(state in row.before for row in rows)} == ends


@pytest.mark.parametrize(("rows", "first", "states", "events", "ends"), TABLES)
def test_a_pair_of_state_and_event_has_one_row_with_a_reason(
        rows: Sequence[Row], first: StrEnum, states: set[StrEnum], events: set[StrEnum], ends: set[StrEnum]) -> None:
    pairs = [(before, row.event) for row in rows for before in row.before]
    assert len(pairs) == len(set(pairs))
    assert [row for row in rows if len(row.why) < 10 or row.why.endswith(".") or not row.before] == []


def test_a_link_takes_listed_steps_and_refuses_all_others_in_the_operators_words() -> None:
    listed = {(before, row.event): row.after for row in LINK_ROWS for before in row.before}
    for state in LinkState:
        for event in LinkEvent:
            if (state, event) in listed:
                assert link_step("rlk_tokyo_rvg", state, event) == listed[state, event]
                continue
            with pytest.raises(VolrepError) as refused:
                link_step("rlk_tokyo_rvg", state, event)
            assert refused.value.id == "VR-1400"
            assert f"is {state}" in refused.value.text
            needed = {before for before, listed_event in listed if listed_event == event}
            assert all(word in refused.value.text for word in needed)


def test_an_rvg_takes_listed_steps_and_no_others() -> None:
    listed = {(before, row.event): row.after for row in RVG_ROWS for before in row.before}
    for state in RvgState:
        for event in RvgEvent:
            if (state, event) in listed:
                assert rvg_step(state, event) == listed[state, event]
            else:
                with pytest.raises(AssertionError):
                    rvg_step(state, event)


def test_a_role_takes_listed_steps_and_refuses_all_others_in_words() -> None:
    listed = {(before, row.event): row.after for row in ROLE_ROWS for before in row.before}
    for state in RoleState:
        for event in RoleEvent:
            if (state, event) in listed:
                assert role_step("rvg", state, event) == listed[state, event]
                continue
            with pytest.raises(VolrepError) as refused:
                role_step("rvg", state, event)
            assert refused.value.id == "VR-1410"
            assert f"is {state}" in refused.value.text


def test_the_page_of_states_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "states.md").read_text() == page(), "run `make docs`"
