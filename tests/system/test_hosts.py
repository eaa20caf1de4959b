"""Hosts over real SSH: every way not to get in has its own message, exit code 4, and changes nothing."""

from __future__ import annotations

import subprocess

import pytest

from tests.system.hosts import Host, TestBed
from tests.system.rds import Rds


def refused(bed: TestBed, *argv: str, exit_code: int = 4) -> str:
    done = bed.operator.volrep(*argv, exit_code=exit_code)
    return done.stdout + done.stderr


@pytest.fixture
def london(bed: TestBed) -> Host:
    host = bed.add_host("london")
    bed.enter_in_inventory()
    return host


def test_hosts_are_asked_over_ssh_and_each_reason_for_silence_is_told(trio: TestBed) -> None:
    rows = {row["name"]: row for row in trio.operator.show("host", "list")["hosts"]}
    assert {row["state"] for row in rows.values()} == {"up"}
    trio.hosts["tokyo"].engine.stop()
    trio.hosts["paris"].stop_sshd()
    rows = {row["name"]: row for row in trio.operator.show("host", "list")["hosts"]}
    assert [rows[name]["state"] for name in ("london", "tokyo", "paris")] == ["up", "down", "unknown"]
    assert "VR-1116" in rows["tokyo"]["problem"]
    assert "VR-1110" in rows["paris"]["problem"]
    assert "VR-1110" in refused(trio, "host", "check")
    trio.operator.volrep("host", "check", "london")


def test_an_unknown_host_key_is_refused_with_its_fingerprint(bed: TestBed, london: Host) -> None:
    bed.operator.forget_key(london)
    shown = subprocess.run(["ssh-keygen", "-lf", str(london.folder / "host_key.pub")], capture_output=True, text=True,
                           check=True, timeout=30).stdout.split()[1]
    text = refused(bed, "host", "check", "london")
    assert "VR-1111" in text
    assert shown in text
    assert "hint: compare it" in text
    assert london.address not in bed.operator.known_hosts.read_text()


def test_a_changed_host_key_is_refused_and_stays_refused(bed: TestBed, london: Host) -> None:
    before = bed.operator.known_hosts.read_text()
    london.change_host_key()
    for _ in range(2):
        assert "VR-1112" in refused(bed, "host", "check", "london")
    assert bed.operator.known_hosts.read_text() == before
    bed.operator.accept_key(london)
    bed.operator.volrep("host", "check", "london")


def test_without_a_key_that_the_host_accepts_nobody_gets_in(bed: TestBed, london: Host) -> None:
    (london.folder / "authorized_keys").write_text("")
    assert "VR-1113" in refused(bed, "host", "check", "london")
    (bed.operator.ssh_dir / "id_ed25519").unlink()
    assert "VR-1113" in refused(bed, "host", "check", "london")


def test_a_host_without_volrep_says_how_to_put_it_there(bed: TestBed) -> None:
    bed.add_host("oslo", bare=True)
    done = bed.operator.volrep("host", "add", "oslo", "ssh=oslo")
    assert "VR-1114" in done.stderr
    assert "volrep host install oslo" in refused(bed, "host", "check", "oslo")


def test_a_host_under_another_name_than_its_engines_is_not_entered(bed: TestBed, london: Host) -> None:
    assert "VR-1106" in refused(bed, "host", "add", "york", f"ssh={london.name}", exit_code=3)
    assert [row["name"] for row in bed.operator.show("host", "list")["hosts"]] == ["london"]


def test_a_host_that_the_network_swallows_costs_a_bounded_time(pair: TestBed) -> None:
    pair.cut_link("operator", "tokyo")
    rows = {row["name"]: row for row in pair.operator.show("host", "list")["hosts"]}
    assert (rows["london"]["state"], rows["tokyo"]["state"]) == ("up", "unknown")


def test_addsec_to_a_host_that_is_away_changes_nothing(pair: TestBed) -> None:
    rds = Rds(pair, ("london", "tokyo"))
    for host in ("london", "tokyo"):
        for volume, size in (("hr_dv01", "16m"), ("hr_srl", "64m")):
            rds.volrep("-H", host, "volume", "create", volume, size)
    rds.volrep("-H", "london", "createpri", "hr_rvg", "hr_dv01", "hr_srl")
    pair.hosts["tokyo"].stop_sshd()
    assert "VR-1110" in refused(pair, "-g", "hrdg", "addsec", "hr_rvg", "london", "tokyo")
    (found,) = rds.show("printrvg")["rds"]
    assert (found["primary"]["links"], found["secondaries"]) == ([], [])
    pair.hosts["tokyo"].start_sshd()
    rds.volrep("addsec", "hr_rvg", "london", "tokyo")
    rds.volrep("addsec", "hr_rvg", "london", "tokyo")
    assert [s["host"] for s in rds.show("printrvg")["rds"][0]["secondaries"]] == ["tokyo"]
