"""One picture per kind of screen. `pytest --snapshot-update tests/console/test_pictures.py` accepts changed ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from volrep.tui import status
from volrep.tui.console import Console, screen_text

Make = Callable[..., Console]
SMALL, WIDE = (80, 24), (120, 40)


def steps(*presses: str, until: str) -> Callable[[Pilot[int]], Any]:
    """Press keys, a text on the screen after each "…" being waited for; then wait for `until`."""

    async def run(pilot: Pilot[int]) -> None:
        for press in presses:
            if press.startswith("… "):
                await _shown(pilot, press[2:])
            else:
                await pilot.press(press)
        await _shown(pilot, until)
        async with asyncio.timeout(10):
            while any(worker.is_running and worker.group == "propose" for worker in pilot.app.workers):
                await pilot.pause(0.01)
        await pilot.pause()

    return run


async def _shown(pilot: Pilot[int], text: str) -> None:
    async with asyncio.timeout(10):
        while text not in screen_text(pilot.app):
            await pilot.pause(0.01)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks that stand, so that pictures are equal."""
    monkeypatch.setattr(status, "format_duration", lambda _: "0.3s")
    monkeypatch.setattr(time, "strftime", lambda *_: "03:04:05")


PICTURES: dict[str, tuple[str, tuple[int, int], Callable[[Pilot[int]], Any]]] = {
    "menu": ("volrep", SMALL, steps(until="Monitor")),
    "menu_dimmed": ("admin", SMALL, steps(until="not now:")),
    "menu_filtered": ("admin", SMALL, steps("… not now", "s", "e", "c", until="Filter: sec_")),
    "dialog": ("setuprds", SMALL, steps("… hrdg", "t", "o", until="$ volrep -g hrdg setup to")),
    "dialog_wide": ("setuprds", WIDE, steps(until="hrdg")),
    "dialog_discovered": ("set_select", SMALL, steps("… override", "down", "down", "down", "tab",
                                                     until="synchronous=off")),
    "list": ("setuprds", SMALL, steps("… hrdg", "f4", until="192.0.2.2")),
    "list_multi": ("createpri", SMALL, steps("… hrdg", "down", "down", "down", "f4", "… hr_srl", "f7",
                                             until="> hr_dv01")),
    "help": ("setuprds", SMALL, steps("… hrdg", "f1", until="One command")),
    "confirm": ("stoprep", SMALL, steps("… tokyo", "enter", until="ARE YOU SURE?")),
    "confirm_typed": ("delpri", SMALL, steps("… hr_rvg", "enter", "… Type hr_rvg", "h", until="Type hr_rvg")),
    "error": ("volume_create", SMALL, steps("enter", until="VR-1820")),
    "command": ("set_select", SMALL, steps("… override", "f6", until="COMMAND")),
    "image": ("setuprds", SMALL, steps("… hrdg", "f8", until="Current fast path")),
    "status_ok": ("host_list", SMALL, steps(until="Command: OK")),
    "status_failed": ("printrvg", SMALL, steps("… Empty", "down", "f", "a", "i", "l", "s", "enter",
                                               until="exit code: 3")),
    "review": ("migrate_select", SMALL, steps("… hr_rvg", "enter", "… CUT OFF", "enter", until="Enter goes on")),
    "review_wide": ("migrate_select", WIDE, steps("… hr_rvg", "enter", "… CUT OFF", "enter", until="Enter goes on")),
    "review_refused": ("takeover_select", SMALL, steps("… hr_rvg", "enter", "… RETURNS", "enter",
                                                       until="not possible now")),
    "sites": ("sites_select", SMALL, steps(until="03:04:05")),
    "overview": ("overview_select", SMALL, steps(until="03:04:05")),
    "overview_wide": ("overview_select", WIDE, steps(until="03:04:05")),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str, console: Make, snap_compare: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fastpath, size, run_before = PICTURES[name]
    app = console(fastpath)
    app.journal.directory = type(tmp_path)("/var/lib/volrep")  # a path that is the same everywhere is shown
    monkeypatch.setattr(app.journal, "_append", lambda *_: None)
    assert snap_compare(app, terminal_size=size, run_before=run_before)
