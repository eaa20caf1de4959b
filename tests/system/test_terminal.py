"""The terminal of system tests shows what a program shows, and sends the keys that it is told."""

from __future__ import annotations

import subprocess

from tests.system.hosts import TestBed
from tests.system.terminal import Terminal, exit_code_of_zombie
from tests.system.waiting import wait_for


def test_keys_reach_the_program_and_its_screen_comes_back(bed: TestBed) -> None:
    echo = "stty raw -echo; printf 'ready %s\\n' \"$(tput cols)\"; head -c 8 | od -An -c; exit 7"
    with Terminal(bed.operator, bed.folder, ["sh", "-c", echo], columns=100) as terminal:
        terminal.until("^ready 100")
        terminal.text("ab")
        terminal.keys("Escape", "3", "Up", "Enter")
        terminal.until(r"a +b +033 +3 +033 +[\[O] +A +\\r")
        assert terminal.exit_code() == 7


def test_how_a_program_ended_that_nobody_has_waited_for_is_read_from_the_kernel() -> None:
    child = subprocess.Popen(["sh", "-c", "read line; exit 5"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    assert exit_code_of_zombie(child.pid) == ""
    child.stdin.close()
    assert wait_for(lambda: exit_code_of_zombie(child.pid), 10, "the zombie") == "5"
    child.wait()
    assert exit_code_of_zombie(child.pid) == ""
