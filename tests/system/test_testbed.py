"""The test hosts themselves: if these fail, nothing that other system tests show means anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.system.hosts import TestBed
from tests.system.waiting import wait_for


@pytest.fixture
def two(bed: TestBed) -> TestBed:
    for name in ("london", "tokyo"):
        bed.add_host(name, engine=False)
    return bed


def test_ssh_lands_in_the_network_and_environment_of_its_host(two: TestBed) -> None:
    for host in two.hosts.values():
        seen = two.operator.ssh(host, "ip -4 -br address show eth0; echo $VOLREP_STATE; command -v volrep").stdout
        assert f"{host.address}/24" in seen
        assert seen.split()[-2:] == [str(host.state_dir), str(host.folder / "bin" / "volrep")]


def test_a_bare_host_has_python_and_no_volrep(bed: TestBed) -> None:
    bare = bed.add_host("bare", bare=True)
    assert bed.operator.ssh(bare, "python3 -c 'print(6 * 7)'").stdout == "42\n"
    assert bed.operator.ssh(bare, "command -v volrep", check=False).returncode != 0


def test_what_is_installed_on_a_bare_host_is_seen_nowhere_else(bed: TestBed) -> None:
    bare = bed.add_host("bare", bare=True)
    for path in ("/opt/vr-probe", "/usr/local/bin/vr-probe", "/etc/systemd/system/vr-probe", "/var/lib/vr-probe"):
        bed.operator.ssh(bare, f"mkdir -p {Path(path).parent} && echo here > {path}")
        assert bed.operator.ssh(bare, f"cat {path}").stdout == "here\n"
        assert not Path(path).exists()


def test_a_host_can_be_without_python(bed: TestBed) -> None:
    bare = bed.add_host("bare", bare=True, python=False)
    assert bed.operator.ssh(bare, "command -v sh").stdout.endswith("/sh\n")
    assert bed.operator.ssh(bare, "command -v python3 python3.11 python", check=False).returncode != 0


def test_a_host_key_that_changed_or_is_unknown_is_refused(two: TestBed) -> None:
    london, tokyo = two.hosts.values()
    london.change_host_key()
    refused = two.operator.ssh(london, "true", check=False)
    assert (refused.returncode, "verification failed" in refused.stderr) == (255, True), refused.stderr
    two.operator.accept_key(london)
    two.operator.ssh(london, "true")
    two.operator.forget_key(tokyo)
    assert two.operator.ssh(tokyo, "true", check=False).returncode == 255


def _reaches(bed: TestBed, a: str, b: str) -> bool:
    probe = f"import socket; socket.create_connection(('{bed.hosts[b].address}', 22), 0.5)"
    return bed.hosts[a].run(["python3", "-c", probe], check=False).returncode == 0


def test_a_cut_link_parts_two_hosts_and_nobody_else(bed: TestBed) -> None:
    for name in ("london", "tokyo", "paris"):
        bed.add_host(name, engine=False)
    bed.cut_link("london", "tokyo")
    assert not _reaches(bed, "london", "tokyo")
    assert not _reaches(bed, "tokyo", "london")
    assert _reaches(bed, "london", "paris")
    bed.operator.ssh(bed.hosts["tokyo"], "true")
    bed.restore_link("london", "tokyo")
    assert _reaches(bed, "london", "tokyo")


def test_hosts_reach_nothing_beyond_the_test_network(two: TestBed) -> None:
    routes = two.hosts["london"].run(["ip", "route"]).stdout
    assert routes.startswith("10.77.0.0/24 dev eth0")
    assert len(routes.splitlines()) == 1


def test_a_closed_test_bed_leaves_nothing_behind(two: TestBed) -> None:
    london = two.hosts["london"]
    sleeper = london.popen(["sleep", "1000"], london.folder / "sleeper.log")
    wait_for(lambda: sleeper.pid in london.node.pids(), 5, "the program to enter the host's network")
    two.close()
    assert sleeper.wait(5) == -9
    assert not two.folder.exists()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"vr{os.getpid()}-" not in listed
    assert not any(two.folder.name in line for line in Path("/proc/self/mounts").read_text().splitlines())
