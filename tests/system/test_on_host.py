"""The installation as it runs on a host: with systemd, without it, and taken back when it fails. A real engine runs."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from volrep.rds import install, on_host, wheelhouse
from volrep.rds.on_host import Places

UNIT = "[Service]\nExecStart=/opt/volrep/bin/volrep engine run --state {state} --name {name}\n"

# What an installation asks of systemd, kept in files of its directory; it starts what the unit names
SYSTEMCTL = """#!/bin/sh
here=$(dirname "$0"); echo "$*" >> "$here/calls"
shift
stop() { [ -f "$here/pid" ] && kill "$(cat "$here/pid")" 2>/dev/null && while kill -0 "$(cat "$here/pid")" 2>/dev/null
  do sleep 0.05; done; rm -f "$here/pid" "$here/log"; }
case $1 in
  restart) stop; [ -f "$here/refuse" ] && { echo 'Job for volrep.service failed' >&2; exit 1; }
    command=$(sed -n 's/^ExecStart=//p' "$here/volrep.service")
    setsid $command --port 0 --listen 127.0.0.1 </dev/null >"$here/log" 2>&1 & echo $! > "$here/pid"
    for i in $(seq 200); do grep -q '^ready' "$here/log" 2>/dev/null && exit 0; sleep 0.1; done; exit 1 ;;
  stop) stop; exit 0 ;;
  show) cat "$here/pid" 2>/dev/null || echo 0 ;;
esac
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """This volrep as a host gets it: (archive, release)."""
    folder = tmp_path_factory.mktemp("release")
    release = wheelhouse.build(install.platform_of("here", on_host.probe(on_host.places())), folder)
    path = folder / "volrep.tar.gz"
    path.write_bytes(release.archive)
    return path, release.name


@pytest.fixture
def root() -> Iterator[Path]:
    """Short, for the paths of sockets; engines that a test left are ended."""
    with tempfile.TemporaryDirectory(prefix="vh") as made:
        root = Path(made)
        yield root
        pid = on_host._running(root / "state")
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            assert on_host._until(lambda: on_host._running(root / "state") is None, 20)


def systemd_host(root: Path) -> Places:
    tool = root / "systemctl"
    tool.write_text(SYSTEMCTL)
    tool.chmod(0o755)
    return Places(root / "opt", root / "bin/volrep", root / "state", root / "volrep.service", str(tool))


def unit_text(where: Places) -> str:
    return install.unit_text({"base": str(where.base), "state": str(where.state)}, "oslo")


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")} - {"calls", "log", "systemctl", "refuse"}


def test_where_systemd_runs_its_unit_starts_the_engine(root: Path, archive: tuple[Path, str]) -> None:
    where = systemd_host(root)
    said = on_host.install(where, *archive, "oslo", unit_text(where))
    assert said["ok"], said
    assert said["engine"]["how"] == "started"
    assert f"ExecStart={where.base}/bin/volrep engine run --state {where.state} --name oslo\n" in \
        (root / "volrep.service").read_text()
    calls = (root / "calls").read_text()
    assert [line.split()[1] for line in calls.splitlines()] == ["daemon-reload", "enable", "restart"]
    again = on_host.install(where, *archive, "oslo", unit_text(where))
    assert (again["changed"], again["engine"]["pid"]) == (False, said["engine"]["pid"])
    assert (root / "calls").read_text() == calls
    on_host._systemctl(where, "stop", "volrep.service")


def test_an_engine_that_systemd_cannot_start_leaves_nothing(root: Path, archive: tuple[Path, str]) -> None:
    where = systemd_host(root)
    (root / "refuse").touch()
    (root / "bin").mkdir()
    before = tree(root)
    said = on_host.install(where, *archive, "oslo", unit_text(where))
    assert (said["ok"], said["step"], said["left"]) == (False, "starting the engine", [])
    assert tree(root) == before


def test_a_failed_upgrade_brings_the_old_engine_back(root: Path, archive: tuple[Path, str]) -> None:
    where = systemd_host(root)
    path, release = archive
    older = "0.0.9-0123456789ab"
    assert on_host.install(where, path, older, "oslo", unit_text(where))["ok"]
    tool = root / "systemctl"
    # fails once: for the new release
    tool.write_text(SYSTEMCTL.replace('[ -f "$here/refuse" ] &&', '[ -f "$here/refuse" ] && rm "$here/refuse" &&'))
    (root / "refuse").touch()
    said = on_host.install(where, path, release, "oslo", unit_text(where))
    assert (said["ok"], said["left"]) == (False, [])
    assert os.readlink(where.base / "current") == f"releases/{older}"
    assert not (where.base / "releases" / release).exists()
    assert on_host._ask(where.state)["name"] == "oslo"
    on_host._systemctl(where, "stop", "volrep.service")


def test_a_host_with_another_name_is_refused_and_its_engine_stays(root: Path, archive: tuple[Path, str]) -> None:
    where = systemd_host(root)
    assert on_host.install(where, *archive, "oslo", unit_text(where))["ok"]
    said = on_host.install(where, *archive, "bergen", unit_text(where))
    assert (said["ok"], said["left"]) == (False, [])
    assert "is named oslo" in said["reason"]
    assert on_host._ask(where.state)["name"] == "oslo"
    on_host._systemctl(where, "stop", "volrep.service")


def test_only_the_release_before_is_kept(root: Path, archive: tuple[Path, str]) -> None:
    where = systemd_host(root)
    for release in ("1-a", "2-b", "3-c"):
        said = on_host.install(where, archive[0], release, "oslo", unit_text(where))
        assert said["ok"], said
    assert {path.name for path in (where.base / "releases").iterdir()} == {"2-b", "3-c"}
    on_host._systemctl(where, "stop", "volrep.service")


def test_the_carried_unit_is_the_packaged_one() -> None:
    packaged = Path(__file__).parents[2] / "packaging" / "volrep.service"
    assert install.UNIT.read_text() == packaged.read_text()
