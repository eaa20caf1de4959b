"""Every way back of an old Primary, on three hosts, by the command line: what is copied, and who copies nothing."""

from __future__ import annotations

import re

import pytest

from tests.system.hosts import TestBed
from tests.system.nbd_client import NbdClient
from tests.system.rds import Rds
from tests.system.waiting import wait_for

DEADLINE_S = 60
BLOCK = 4096
REGION = 256 << 10
SIZE_MIB = 16


@pytest.fixture
def rds(trio: TestBed) -> Rds:
    """London is the Primary, tokyo and paris have everything."""
    made = Rds(trio, ("london", "tokyo", "paris"), volumes=("hr_dv01",))
    made.create(f"{SIZE_MIB}m", "64m")
    made.start("-b")
    made.until_up_to_date()
    return made


def write(rds: Rds, host: str, *regions: int) -> None:
    """One block in each of these regions."""
    rds.volrep("-H", host, "export", "hr_dv01")
    (uri,) = [e["uri"] for e in rds.show("exports")["exports"] if e["host"] == host]
    client = NbdClient(uri)
    for region in regions:
        client.write(region * REGION, bytes([region]) * BLOCK)
    client.close()


def part(rds: Rds, old: str, *regions: int) -> None:
    """The Primary writes what nobody gets, and is gone with all its processes."""
    bed = rds.bed
    others = [name for name in bed.hosts if name != old]
    for other in others:
        bed.cut_link(old, other)
    write(rds, old, *regions)
    host = bed.hosts[old]
    host.engine.kill()
    host.kill_workers()
    host.stop_sshd()
    for other in others:
        bed.restore_link(old, other)


def takes_over(rds: Rds, host: str, *options: str) -> str:
    """On the command line, the third host following; what was said."""
    command = ("takeover", rds.name, host)
    wait_for(lambda: rds.bed.operator.volrep("-g", rds.dg, "--dry-run", *options, *command,
                                             exit_code=None).returncode == 0,
             DEADLINE_S, "the Primary to count as lost")  # its Secondaries have to miss some heartbeats first
    done = rds.bed.operator.volrep("-g", rds.dg, "-s", *options, *command)
    rds.primary = rds.bed.hosts[host]
    rds.secondaries = [other for other in rds.bed.hosts.values() if other is not rds.primary]
    return done.stdout + done.stderr


def returns(rds: Rds, name: str) -> None:
    rds.bed.hosts[name].start_sshd()
    rds.bed.hosts[name].engine.start()


def until_acting(rds: Rds, name: str) -> None:
    wait_for(lambda: [row for row in rds.status()["secondaries"] if row["host"] == name and row["state"] == "STALE"
                      and "acting_secondary" in row["role_flags"]], DEADLINE_S, f"{name} to give way")


def differed_bytes(rds: Rds, host: str) -> int:
    """How much the newest failback from this Primary copied."""
    told = rds.volrep("-H", host, "events", rds.name)
    return int(re.findall(r"failback started, (\d+) bytes differ", told)[-1])


def copies(rds: Rds, host: str) -> int:
    """How often this host's volumes were written by a copy and not by the log."""
    return rds.volrep("-H", host, "events", rds.name).count("resync_started")


def test_every_way_back_and_the_third_host_never_copies(rds: Rds) -> None:
    part(rds, "london", 5, 9)
    assert "copied back to it by itself" in takes_over(rds, "tokyo", "-autofb")
    write(rds, "tokyo", 20)
    returns(rds, "london")
    rds.until_up_to_date()  # nobody said anything more
    rds.assert_equal()
    assert (differed_bytes(rds, "tokyo"), copies(rds, "paris")) == (3 * REGION, 0)

    part(rds, "tokyo", 6)
    assert "-N keeps no account" in takes_over(rds, "paris", "-N")
    write(rds, "paris", 21)
    returns(rds, "tokyo")
    until_acting(rds, "tokyo")
    before = copies(rds, "london")
    assert "superseded by paris" in rds.volrep("repstatus", rds.name)
    rds.volrep("-s", "-w", "fbsync", rds.name)
    rds.until_up_to_date()
    rds.assert_equal()
    assert (differed_bytes(rds, "paris"), copies(rds, "london")) == (2 * REGION, before)

    rds.volrep("-s", "migrate", rds.name, "london")
    rds.primary, rds.secondaries = rds.bed.hosts["london"], [rds.bed.hosts["tokyo"], rds.bed.hosts["paris"]]
    rds.until_up_to_date()


def test_makesec_alone_and_a_full_copy_that_gives_up_the_losers_writes(rds: Rds) -> None:
    bed, operator = rds.bed, rds.bed.operator
    for other in ("tokyo", "paris"):
        bed.cut_link("london", other)
    write(rds, "london", 1, 2, 3)
    assert "london is alive" in takes_over(rds, "tokyo", "-f")
    write(rds, "tokyo", 7)
    for other in ("tokyo", "paris"):
        bed.restore_link("london", other)
    wait_for(lambda: len([h for h in rds.show("printrvg", rds.name)["rds"][0]["hosts"] if h["split"]]) == 2, DEADLINE_S,
             "both to know of the other Primary")
    assert "Primary, too:" in rds.volrep("repstatus", rds.name)
    rds.volrep("-s", "makesec", rds.name, "tokyo")
    until_acting(rds, "london")
    assert rds.path(bed.hosts["london"], "hr_dv01").read_bytes()[REGION:REGION + BLOCK] == bytes([1]) * BLOCK
    assert "has given way already" in operator.volrep("-g", rds.dg, "-s", "makesec", rds.name, "tokyo").stderr

    said = operator.volrep("-g", rds.dg, "-a", "startrep", rds.name, "london", exit_code=3).stderr
    assert "given up: what london wrote since the fork: 3 writes, 12k" in said
    assert f"fbsync {rds.name} london" in said
    rds.volrep("-s", "-a", "-w", "startrep", rds.name, "london")
    rds.until_up_to_date()
    rds.assert_equal()
    assert copies(rds, "paris") == 0


def split(rds: Rds) -> None:
    """London (reign 1) and tokyo (reign 2) are both Primary, each with writes of its own; paris follows tokyo."""
    bed = rds.bed
    for other in ("tokyo", "paris"):
        bed.cut_link("london", other)
    write(rds, "london", 1, 2, 3)
    takes_over(rds, "tokyo", "-f")
    write(rds, "tokyo", 7)
    wait_for(lambda: rds.path(bed.hosts["paris"], "hr_dv01").read_bytes()[7 * REGION] == 7, DEADLINE_S,
             "paris to follow tokyo")
    for other in ("tokyo", "paris"):
        bed.restore_link("london", other)
    wait_for(lambda: len([h for h in rds.show("printrvg", rds.name)["rds"][0]["hosts"] if h["split"]]) == 2, DEADLINE_S,
             "both to know of the other Primary")


def elected(rds: Rds, name: str) -> None:
    rds.primary = rds.bed.hosts[name]
    rds.secondaries = [other for other in rds.bed.hosts.values() if other is not rds.primary]


def test_the_older_reign_is_elected_and_the_third_host_goes_back_with_the_loser(rds: Rds) -> None:
    split(rds)
    said = rds.bed.operator.volrep("-g", rds.dg, "--dry-run", "elect", rds.name, "london").stdout
    assert "what tokyo wrote since the fork is overwritten: 1 writes, 4k" in said
    assert "what paris holds is overwritten" in said
    rds.volrep("-s", "-w", "elect", rds.name, "london")
    elected(rds, "london")
    rds.until_up_to_date()
    rds.assert_equal()
    assert rds.path(rds.bed.hosts["paris"], "hr_dv01").read_bytes()[7 * REGION] == 0
    told = re.findall(r"(\w+): failback started, (\d+) bytes differ", rds.volrep("-H", "london", "events", rds.name))
    assert {host: int(number) // REGION for host, number in told} == {"tokyo": 4, "paris": 4}


def test_a_host_that_was_away_from_an_election_is_brought_back_by_fbsync(rds: Rds) -> None:
    split(rds)
    paris = rds.bed.hosts["paris"]
    paris.engine.kill()
    paris.kill_workers()
    rds.volrep("-s", "makesec", rds.name, "london")  # the newer reign gives way to the older one
    said = rds.bed.operator.volrep("-g", rds.dg, "-s", "-w", "fbsync", rds.name)
    assert "tokyo" in said.stdout + said.stderr
    elected(rds, "london")
    paris.engine.start()
    wait_for(lambda: [row for row in rds.status()["secondaries"] if row["host"] == "paris" and row["state"] == "STALE"],
             DEADLINE_S, "london to meet paris")
    assert "given up: what paris holds" in rds.bed.operator.volrep("-g", rds.dg, "-a", "startrep", rds.name, "paris",
                                                                   exit_code=3).stderr
    rds.volrep("-s", "-w", "fbsync", rds.name)  # the one host that is to be brought back need not be named
    rds.until_up_to_date()
    rds.assert_equal()


def test_fbsync_said_before_the_old_primary_has_been_met_is_carried_out(rds: Rds) -> None:
    part(rds, "london", 5)
    takes_over(rds, "tokyo")
    write(rds, "tokyo", 20)
    returns(rds, "london")
    wait_for(lambda: "london" in [h["host"] for h in rds.show("printrvg", rds.name)["rds"][0]["hosts"]
                                  if h["fails_back"]], DEADLINE_S, "london to give way")
    rds.volrep("-s", "-w", "fbsync", rds.name, "london")  # whatever its link is about to do
    rds.until_up_to_date()
    rds.assert_equal()
