"""The Primary role moves by the console alone, in a terminal of 24x80: planned, and because the Primary is lost."""

from __future__ import annotations

from tests.system.hosts import TestBed
from tests.system.rds import Rds
from tests.system.smit import SLOW_S, go_to
from tests.system.terminal import Terminal


def choose(screen: Terminal, fastpath: str, asked: str, host: str) -> None:
    """A selector that asks for a host, its form, and on to the picture of all hosts."""
    screen.keys("C-p")
    screen.until("Search for commands|🔎")
    screen.text(fastpath)
    screen.keys("Enter")
    screen.until(asked, SLOW_S)
    screen.until(rf"^ │\s+{host}\s+hr_rvg", SLOW_S)
    screen.keys("Enter")
    screen.until("Entry Fields", SLOW_S)
    screen.until(rf"\[{host} ", SLOW_S)
    screen.keys("Enter")


def test_the_role_moves_there_and_back_by_the_console_alone(pair: TestBed) -> None:
    rds = Rds(pair, ("london", "tokyo"))
    rds.create("16m", "64m")
    rds.start("-b")
    rds.until_up_to_date()
    with Terminal(pair.operator, pair.folder, ["volrep", "console"]) as screen:
        screen.until("Volume Replication")
        go_to(screen, "role")
        choose(screen, "migrate_select", "Which host is to become the Primary", "tokyo")
        screen.until("Before: Migrate the Primary Role")
        screen.until(r"^\s+london\s+tokyo", SLOW_S)
        screen.until(r"afterwards\s+Secondary\s+Primary")
        screen.until("Enter goes on")
        screen.keys("Enter")
        screen.until("ARE YOU SURE")
        screen.keys("Tab", "Enter")
        screen.until("^ Command: OK", SLOW_S)
        screen.keys("C-Home")
        screen.until(r"tokyo: become the Primary")
        screen.keys("F3", "F3")

        tokyo = pair.hosts["tokyo"]
        tokyo.engine.kill()
        tokyo.kill_workers()
        tokyo.stop_sshd()
        choose(screen, "takeover_select", "Which host is to take over", "london")
        screen.until("What will be lost", SLOW_S)
        screen.until(r"^\s+london\s+tokyo$")  # a host that does not answer leaves room for the one that takes over
        screen.until(r"tokyo\s+host tokyo .* cannot be")
        screen.until("all that the Primary announced was received")
        screen.until("Enter goes on")
        screen.keys("Enter")
        screen.until("Type london to confirm")
        screen.text("london")
        screen.keys("Tab", "Tab", "Enter")
        screen.until("^ Command: OK", SLOW_S)
        screen.keys("F3")
        screen.until("Entry Fields")
        screen.keys("F3")
        screen.until(r"\A.*\[role\]$")

        tokyo.start_sshd()
        tokyo.engine.start()
        rds.until_up_to_date()  # it had nothing that london lacks: it serves nobody and follows
        screen.keys("C-p")
        screen.until("Search for commands|🔎")
        screen.text("sites_select")
        screen.keys("Enter")
        screen.until(r"\A.*\[sites\]$", SLOW_S)
        screen.until(r"^\s+london\s+tokyo", SLOW_S)
        screen.until(r"now\s+Primary\s+Secondary")
        screen.until("ready to migrate")
        screen.keys("F3")
        screen.until(r"\A.*\[role\]$")
    script = [line for line in (pair.operator.home / ".local/state/volrep-console/smit.script").read_text().splitlines()
              if line.startswith("volrep")]
    assert script == ["volrep -g hrdg -s migrate hr_rvg tokyo", "volrep -g hrdg -s takeover hr_rvg london"]
