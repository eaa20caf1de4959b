"""The verbs of the Primary role on real hosts: refusals with reasons, a split brain settled, a Primary that waits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.system.hosts import TestBed
from tests.system.nbd_client import NbdClient
from tests.system.rds import Rds
from tests.system.waiting import wait_for

DEADLINE_S = 60
BLOCK = 4096


@pytest.fixture
def rds(pair: TestBed) -> Rds:
    made = Rds(pair, ("london", "tokyo"), volumes=("hr_dv01",))
    made.create("16m", "64m")
    made.start("-b")
    made.until_up_to_date()
    return made


def refused(rds: Rds, *argv: str) -> str:
    """What a verb says that is refused in the present state."""
    done = rds.bed.operator.volrep("-g", rds.dg, *argv, exit_code=3)
    return done.stdout + done.stderr


def role(rds: Rds, host: str) -> dict[str, Any]:
    (found,) = (h for h in rds.show("printrvg", rds.name)["rds"][0]["hosts"] if h["host"] == host)
    assert isinstance(found, dict)
    return found


def write(rds: Rds, *fills: bytes) -> None:
    """Blocks, one after the other, over the export of whoever is Primary."""
    (uri,) = rds.export()
    client = NbdClient(uri)
    for number, fill in enumerate(fills):
        client.write(number * BLOCK, fill * BLOCK)
    client.close()


def test_who_may_not_move_the_role_is_told_why_and_nothing_changes(rds: Rds) -> None:
    (uri,) = rds.export()
    client = NbdClient(uri)
    said = refused(rds, "-s", "migrate", rds.name, "tokyo")
    assert all(part in said for part in ("VR-1360", "volumes are open on london (1 connections)", "--drain", "hint: "))
    said = refused(rds, "-s", "takeover", rds.name, "tokyo")
    assert all(part in said for part in ("VR-1361", "london answers and is the Primary", "migrate"))
    assert "VR-1030" in refused(rds, "--drain", "migrate", rds.name, "tokyo")  # nobody to ask
    assert "VR-1366" in refused(rds, "firedrill", rds.name)
    told = rds.bed.operator.volrep("-g", rds.dg, "-s", "elect", rds.name, "london")
    assert "london is the only Primary already" in told.stdout + told.stderr
    assert "VR-1363" in refused(rds, "-s", "fbsync", rds.name)
    client.write(0, b"a" * BLOCK)
    assert rds.status()["primary"]["host"] == "london"
    rds.volrep("validate", rds.name, exit_code=3)  # the open volume is in the way of a migrate
    rds.volrep("-s", "--drain", "migrate", rds.name, "tokyo")
    with pytest.raises(OSError, match=r"closed|reset|pipe"):
        client.write(0, b"b" * BLOCK)
    client.close()
    rds.volrep("validate", rds.name)
    assert rds.status()["primary"]["host"] == "tokyo"


def test_a_split_brain_is_shown_on_both_sides_and_elect_settles_it(rds: Rds) -> None:
    write(rds, b"0", b"0", b"0")
    rds.until_up_to_date()
    rds.bed.cut_link("london", "tokyo")
    write(rds, b"l", b"l")  # by an application that nobody stopped
    assert "VR-1361" in refused(rds, "-s", "takeover", rds.name, "tokyo")
    rds.volrep("-s", "-f", "takeover", rds.name, "tokyo")
    rds.primary, rds.secondaries = rds.bed.hosts["tokyo"], [rds.bed.hosts["london"]]
    write(rds, b"t")
    rds.bed.restore_link("london", "tokyo")
    wait_for(lambda: role(rds, "london")["split"] and role(rds, "tokyo")["split"], DEADLINE_S,
             "both to know of the other Primary")
    errors = [e["message"] for e in rds.status()["config_errors"]]
    assert len([e for e in errors if "Primary-Primary configuration with" in e and " since " in e]) == 2, errors
    assert "VR-1360" in refused(rds, "-s", "migrate", rds.name, "london")
    found = rds.show("--regions", "divergence", rds.name, "london")
    assert (found["since_fork"]["writes"], [r["offset"] // BLOCK for r in found["regions"]][:1]) == (2, [0])
    assert path_bytes(rds, "london")[:BLOCK] == b"l" * BLOCK  # neither is overwritten
    assert path_bytes(rds, "tokyo")[:BLOCK] == b"t" * BLOCK

    rds.volrep("-s", "-w", "elect", rds.name, "tokyo")
    rds.until_up_to_date()
    rds.assert_equal()
    assert path_bytes(rds, "london")[:3 * BLOCK] == b"t" * BLOCK + b"0" * 2 * BLOCK
    rds.volrep("-s", "migrate", rds.name, "london")
    assert rds.status()["config_errors"] == []


def path_bytes(rds: Rds, host: str) -> bytes:
    return rds.path(rds.bed.hosts[host], "hr_dv01").read_bytes()


def test_a_primary_that_asks_its_peers_waits_for_them_or_for_the_operator(rds: Rds) -> None:
    london, tokyo = rds.bed.hosts["london"], rds.bed.hosts["tokyo"]
    rds.export()
    rds.volrep("set", rds.name, "startup=ask-peers")
    assert rds.show("printrvg", rds.name)["rds"][0]["primary"]["startup"] == "ask-peers"
    tokyo.engine.kill()
    tokyo.kill_workers()
    london.kill_workers()
    wait_for(lambda: role(rds, "london")["waiting"], DEADLINE_S, "london to wait for tokyo")
    assert rds.status()["primary"]["asking"] == ["tokyo"]
    assert [row["closed"] for row in rds.show("exports")["exports"]] == [
        "london waits for tokyo to answer before it serves"]
    assert "closed on london: london waits for tokyo" in rds.volrep("exports")
    rds.volrep("-s", "serve", rds.name)
    wait_for(lambda: not role(rds, "london")["waiting"], DEADLINE_S, "london to serve")
    write(rds, b"x")
    tokyo.engine.start()
    rds.until_up_to_date()
