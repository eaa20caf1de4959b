"""Pictures of documents: at 80 columns everything can be read, whatever the hosts are called and are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.console.fake_volrep import ANSWERS
from volrep.menus.load import load
from volrep.menus.model import View
from volrep.tui.drawing import draw
from volrep.tui.text import cell_len

CATALOGUE = load()


def view(name: str) -> View:
    screen = CATALOGUE.screens[name]
    assert isinstance(screen, View)
    return screen


def drawn(name: str, document: Any, width: int = 80) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in draw(view(name), document, width)]


def site(host: str, role: str, **values: Any) -> dict[str, Any]:
    return {"host": host, "role": role, "state": "ENABLED/ACTIVE", "data": "consistent, up-to-date",
            "mode": "asynchronous", "behind_writes": 1234567, **values}


ACTING = site("paris", "acting Secondary", data="consistent, diverged", since_fork={"writes": 12, "bytes": 49152})


def test_three_hosts_and_an_acting_secondary_stand_side_by_side_in_80_columns() -> None:
    lines = drawn("sites", {"sites": [site("london", "Secondary"), site("tokyo", "Primary"), ACTING]})
    assert max(map(cell_len, lines)) <= 80
    words = [line.split() for line in lines]
    assert ["london", "tokyo", "paris"] in words
    assert ["now", "Secondary", "Primary", "acting", "Secondary"] in words
    assert ["data", "consistent,", "consistent,", "consistent,"] in words
    assert ["up-to-date", "up-to-date", "diverged"] in words
    assert ["writes", "since", "fork", "12"] in words


def test_more_hosts_than_fit_stand_below_each_other() -> None:
    names = ("amsterdam.example", "berlin.example.org", "cairo", "delhi", "edinburgh.example.org")
    lines = drawn("sites", {"sites": [site(name, "Secondary") for name in names]})
    assert max(map(cell_len, lines)) <= 80
    assert sum(line.split()[:1] == ["now"] for line in lines) == 2
    text = "".join("".join(lines).split())
    assert all(name in text for name in names)
    wide = drawn("sites", {"sites": [site(name, "Secondary") for name in names]}, 160)
    assert sum(line.split()[:1] == ["now"] for line in wide) == 1


def test_what_has_no_room_beside_goes_below() -> None:
    lines = drawn("overview", ANSWERS["repstatus"])
    assert max(map(cell_len, lines)) <= 80
    row = next(number for number, line in enumerate(lines) if line.startswith("  paris"))
    assert lines[row + 1].strip() == "Replication: resync in progress (autosync)"
    assert "━" in lines[row + 2]
    wide = drawn("overview", ANSWERS["repstatus"], 140)
    assert any(line.startswith("  paris") and line.endswith("resync in progress (autosync)") for line in wide)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_long_events_and_errors_go_on_in_further_lines(width: int) -> None:
    long = ("london is acting Secondary: superseded by reign 2, as tokyo says; 12345678 bytes of its log lie beyond "
            "the fork")
    document = ANSWERS["repstatus"] | {
        "events": [{"time": "2026-01-02T03:04:05+00:00", "host": "london", "type": "role_acting", "message": long}],
        "config_errors": [{"host": "london", "message": long}]}
    lines = drawn("overview", document, width)
    assert max(map(cell_len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    assert text.count(long) == 2


def test_short_facts_stand_beside_each_other_and_what_nobody_knows_is_a_dash() -> None:
    lines = drawn("overview", ANSWERS["repstatus"])
    assert lines[0].split() == ["Primary", "london", "State", "ACTIVE"]
    assert lines[1].split() == ["I/O", "enabled", "Disk", "group", "hrdg"]
    assert "━" in next(line for line in lines if "SRL used" in line)
    alone = drawn("overview", ANSWERS["repstatus"] | {"primary": None})
    assert alone[0].split() == ["Primary", "-", "State", "-"]


def test_errors_stand_above_what_is_long() -> None:
    document = ANSWERS["repstatus"] | {"config_errors": [{"host": "tokyo", "message": "waits"}]}
    lines = drawn("overview", document)
    assert lines.index("Configuration errors") < lines.index("Secondaries")
