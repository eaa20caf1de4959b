"""The console in a real terminal, on real hosts over SSH: from nothing to a replicating pair, by every form of keys."""

from __future__ import annotations

import json

from tests.system.hosts import TestBed
from tests.system.smit import SLOW_S, done, form, go_to, pick_both_volumes
from tests.system.terminal import Terminal


def test_from_nothing_to_a_replicating_pair_by_the_console_alone(bed: TestBed) -> None:
    hosts = [bed.add_host(name) for name in ("london", "tokyo")]
    with Terminal(bed.operator, bed.folder, ["volrep", "console"], columns=100, lines=30) as screen:
        screen.until("Volume Replication")
        go_to(screen, "host_add")
        for host in hosts:
            form(screen, host.name, host.name, host.address)
            screen.until(f"volrep host add {host.name} ssh={host.name} address=")
            done(screen)
        go_to(screen, "volume_create")
        for host in hosts:
            for name, size in (("hr_dv01", "32m"), ("hr_dv02", "32m"), ("hr_srl", "128m")):
                form(screen, host.name, "hrdg", name, size)
                screen.until(f"volrep -H {host.name} -g hrdg volume create {name} {size}")
                done(screen)

        go_to(screen, "setuprds")
        form(screen, "london", "tokyo", "hrdg", "hr_rvg")
        pick_both_volumes(screen)
        screen.text("hr_srl")
        screen.until("setup hr_rvg hr_dv01,hr_dv02 hr_srl london tokyo")
        screen.keys("Enter")
        screen.until("ARE YOU SURE")
        screen.keys("Tab", "Enter")
        screen.until("^ Command: OK", SLOW_S)
        screen.keys("Enter")  # what comes next: the live overview
        screen.until("Live Overview of hr_rvg")
        screen.until("consistent, up-to-date", SLOW_S)

        screen.keys("Escape", "3")  # quickly
        screen.until("COMMAND STATUS")
        screen.keys("Escape")  # slowly
        screen.until("Esc: now 1 to 9")
        screen.keys("3")
        screen.until("Set Up an RDS")
        screen.keys("M-6")  # as Alt and the digit
        screen.until("Press Enter or Cancel")
        screen.keys("Escape", "Escape")
        screen.until("Entry Fields")

        go_to(screen, "pauserep")
        screen.until("volrep -g hrdg pauserep hr_rvg tokyo", SLOW_S)  # there is only this one to choose
        screen.keys("Enter")
        screen.until("^ Command: OK", SLOW_S)
        screen.keys("F8")
        screen.until('Current fast path: "pauserep"')
        screen.keys("Enter", "F9")
        screen.until("Type exit to return")
        screen.text("exit")
        screen.keys("Enter")
        screen.until("COMMAND STATUS")
        screen.keys("F3", "F10")  # nothing is lost: what was filled in has been run
        assert screen.exit_code() == 0

    status = bed.operator.show("-g", "hrdg", "repstatus", "hr_rvg")
    (tokyo,) = status["secondaries"]
    assert "paused" in tokyo["replication_status"].lower()
    logs = bed.operator.home / ".local" / "state" / "volrep-console"
    script = [line for line in (logs / "smit.script").read_text().splitlines() if not line.startswith("#")]
    assert script[-2:] == ["volrep -g hrdg setup hr_rvg hr_dv01,hr_dv02 hr_srl london tokyo",
                           "volrep -g hrdg pauserep hr_rvg tokyo"]
    entries = [json.loads(line) for line in (logs / "transactions.jsonl").read_text().splitlines()]
    assert [entry["exit"] for entry in entries] == [0] * len(script)
