"""`host install` over real SSH: hosts that have Python and sshd and nothing else of ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.system.hosts import Host, TestBed
from tests.system.waiting import wait_for

INSTALL_TIMEOUT_S = 180


def enter(bed: TestBed, host: Host) -> None:
    """In the inventory, whatever answers there."""
    bed.operator.volrep("host", "add", host.name, f"ssh={host.name}", f"address={host.address}")


def install(bed: TestBed, host: Host, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
    return bed.operator.volrep("--json", "host", "install", host.name, exit_code=exit_code,
                               timeout_s=INSTALL_TIMEOUT_S)


def seen(bed: TestBed, host: Host) -> str:
    """Every path of an installation that the host has (its own view of /opt, /usr/local and /var/lib)."""
    places = "/opt/volrep /usr/local/bin/volrep /var/lib/volrep /tmp/volrep-install.*"
    return bed.operator.ssh(host, "sh", "-c", f"'find {places} -maxdepth 2 2>/dev/null | sort'", check=False).stdout


def engine_pid(bed: TestBed, host: Host) -> int:
    return int(bed.operator.ssh(host, "cat", "/var/lib/volrep/lock").stdout)


@pytest.fixture
def bare(bed: TestBed) -> Host:
    host = bed.add_host("oslo", bare=True)
    enter(bed, host)
    return host


def test_a_host_without_volrep_gets_one_and_its_engine_answers(bed: TestBed, bare: Host) -> None:
    refused = bed.operator.volrep("host", "check", bare.name, exit_code=4)
    assert "VR-1114" in refused.stdout + refused.stderr, refused
    answer: dict[str, Any] = json.loads(install(bed, bare).stdout)
    assert answer["changed"]
    assert answer["engine"]["how"] == "started"
    assert bed.operator.show("host", "list")["hosts"][0]["state"] == "up"
    bed.operator.volrep("-g", "dg", "-H", bare.name, "volume", "create", "dv01", "16m")
    leftovers = [line for line in seen(bed, bare).splitlines() if line.startswith("/tmp/")]
    assert leftovers == []

    pid = engine_pid(bed, bare)
    again: dict[str, Any] = json.loads(install(bed, bare).stdout)
    assert (again["changed"], again["engine"]["how"], engine_pid(bed, bare)) == (False, "kept", pid)


def test_an_upgrade_switches_the_release_and_restarts_the_engine_with_its_volumes(bed: TestBed, bare: Host) -> None:
    first: dict[str, Any] = json.loads(install(bed, bare).stdout)
    bed.operator.volrep("-g", "dg", "-H", bare.name, "volume", "create", "dv01", "16m")
    pid = engine_pid(bed, bare)
    # What is installed there is an older release, as far as anybody can tell by its name
    older = "0.0.9-0123456789ab"
    releases = "/opt/volrep/releases"
    bed.operator.ssh(bare, "sh", "-c", f"'cd {releases} && cp -a {first['release']} {older} && rm -r {first['release']}"
                                       f" && ln -sfn releases/{older} /opt/volrep/current'")
    second: dict[str, Any] = json.loads(install(bed, bare).stdout)
    assert (second["before"], second["release"]) == (older, first["release"])
    assert second["changed"]
    assert engine_pid(bed, bare) == second["engine"]["pid"]
    assert bed.operator.show("volume", "list")["volumes"][0]["name"] == "dv01"
    assert pid == second["engine"]["pid"] or not Path(f"/proc/{pid}").exists()


def test_a_host_without_python_is_refused_and_stays_as_it_is(bed: TestBed) -> None:
    host = bed.add_host("oslo", bare=True, python=False)
    enter(bed, host)
    before = seen(bed, host)
    assert "VR-1115" in install(bed, host, exit_code=3).stderr
    assert seen(bed, host) == before


def test_an_engine_that_cannot_start_undoes_the_installation(bed: TestBed, bare: Host) -> None:
    taken = bed.folder / "taken.log"
    holder = bare.popen(["python3", "-c", "import socket, time; s = socket.create_server(('0.0.0.0', 4145)); "
                                          "print('held', flush=True); time.sleep(300)"], taken)
    wait_for(lambda: "held" in taken.read_text(), 10, "the replication port to be taken")
    before = seen(bed, bare)
    refused = install(bed, bare, exit_code=1)
    assert "VR-1120" in refused.stderr
    assert "4145" in refused.stderr
    assert seen(bed, bare) == before
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait(10)
    install(bed, bare)  # the cause is gone, and nothing is in the way


def test_what_somebody_else_put_there_is_not_replaced(bed: TestBed, bare: Host) -> None:
    bed.operator.ssh(bare, "sh", "-c", "'echo mine > /usr/local/bin/volrep'")
    before = seen(bed, bare)
    refused = install(bed, bare, exit_code=1)
    assert "/usr/local/bin/volrep" in refused.stderr
    assert seen(bed, bare) == before
    assert bed.operator.ssh(bare, "cat", "/usr/local/bin/volrep").stdout == "mine\n"
