"""The terminal of system tests shows what a program shows, and sends the keys that it is told."""

from __future__ import annotations

from tests.system.hosts import TestBed
from tests.system.terminal import Terminal


def test_keys_reach_the_program_and_its_screen_comes_back(bed: TestBed) -> None:
    echo = "stty raw -echo; printf 'ready %s\\n' \"$(tput cols)\"; head -c 8 | od -An -c; exit 7"
    with Terminal(bed.operator, bed.folder, ["sh", "-c", echo], columns=100) as terminal:
        terminal.until("^ready 100")
        terminal.text("ab")
        terminal.keys("Escape", "3", "Up", "Enter")
        terminal.until(r"a +b +033 +3 +033 +[\[O] +A +\\r")
        assert terminal.exit_code() == 7
