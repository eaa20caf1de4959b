"""The inventory file: what may stand in it, and that it says the same after being written and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.rds.test_plan_rds import refusal
from volrep.rds.inventory import Inventory, make_host, parse_ssh
from volrep.rds.places import config_dir, state_dir


def inventory(folder: Path) -> Inventory:
    return Inventory(folder, Path("/state"))


def test_without_hosts_the_local_engine_is_the_one_host(tmp_path: Path) -> None:
    (host,) = inventory(tmp_path).hosts()
    assert (host.local, host.implicit) == ("/state", True)


def test_hosts_are_kept(tmp_path: Path) -> None:
    london = make_host("london", "root@[fd00::1]:2222", "", "10.0.0.1")
    tokyo = make_host("tokyo", "", "/srv/t o\"k", "")
    first = inventory(tmp_path / "new" / "folder")
    assert [first.add(tokyo), first.add(london), first.add(london)] == [True, True, False]
    assert inventory(tmp_path / "new" / "folder").hosts() == [london, tokyo]
    assert first.path.stat().st_mode & 0o777 == 0o600
    first.remove("london")
    assert inventory(tmp_path / "new" / "folder").hosts() == [tokyo]
    assert refusal(lambda: first.remove("london")) == "VR-1100"


def test_a_host_is_not_changed_in_passing(tmp_path: Path) -> None:
    one = inventory(tmp_path)
    one.add(make_host("london", "a", "", ""))
    assert refusal(lambda: one.add(make_host("london", "b", "", ""))) == "VR-1101"


@pytest.mark.parametrize("text", ["hosts = 1", "[hosts.a", "[hosts.a]\nport = 3", "[hosts.'a b']\nssh = 'x'",
                                  "[hosts.a]\nssh = 'x y'", "[hosts.a]\nssh = 'x'\nlocal = '/y'"])
def test_a_damaged_file_is_refused_whole(tmp_path: Path, text: str) -> None:
    (tmp_path / "hosts.toml").write_text(text)
    assert refusal(lambda: inventory(tmp_path)) == "VR-1102"


@pytest.mark.parametrize(("text", "parts"), [
    ("tokyo", ("", "tokyo", 0)), ("ops@tokyo:22", ("ops", "tokyo", 22)), ("[::1]:2200", ("", "::1", 2200)),
    ("u@[fe80::1%eth0]", ("u", "fe80::1%eth0", 0))])
def test_ssh_addresses_are_taken_apart(text: str, parts: tuple[str, str, int]) -> None:
    address = parse_ssh(text)
    assert (address.user, address.host, address.port) == parts


@pytest.mark.parametrize("text", ["", "a b", "a@b@c", "host:99999", "host:", "-oProxyCommand=x", "::1"])
def test_what_is_no_ssh_address_is_refused(text: str) -> None:
    assert refusal(lambda: parse_ssh(text)) == "VR-1104"


@pytest.mark.parametrize(("ssh", "local", "address", "id_"), [
    ("a", "/b", "", "VR-1105"), ("", "relative", "", "VR-1109"), ("a", "", "b c", "VR-1107")])
def test_a_host_is_checked_before_it_is_kept(ssh: str, local: str, address: str, id_: str) -> None:
    assert refusal(lambda: make_host("london", ssh, local, address)) == id_


def test_directories_follow_the_environment() -> None:
    assert config_dir({"VOLREP_CONFIG_DIR": "/c", "HOME": "/h"}, root=True) == Path("/c")
    assert config_dir({"HOME": "/h"}, root=True) == Path("/etc/volrep")
    assert config_dir({"HOME": "/h"}, root=False) == Path("/h/.config/volrep")
    assert state_dir({"VOLREP_STATE": "/s"}, root=True) == Path("/s")
    assert state_dir({"HOME": "/h", "XDG_STATE_HOME": "/x"}, root=False) == Path("/x/volrep")
