"""The store: a change is there with its history, or neither is."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from volrep.engine.api import LinkAdd, VolumeRef
from volrep.engine.schema import FORMAT_VERSION
from volrep.engine.store import HISTORY_MAX, Change, RvgObject, Store
from volrep.model.config import LinkConfig, Role, VolumeConfig, VolumeKind
from volrep.model.errors import VolrepError
from volrep.ports.clock import SystemClock

DESTROY = Change("volume.destroy", VolumeRef(dg="dg", name="v"), "tester")


def volume(name: str = "v") -> VolumeConfig:
    return VolumeConfig(dg="dg", name=name, path=f"/{name}", size_bytes=512, kind=VolumeKind.FILE, volume_id="1",
                        created_by_us=True)


def link(link_id: str = "l1") -> LinkConfig:
    return LinkConfig(link_id=link_id, name=f"rlk_{link_id}", remote_host=link_id, remote_address="::1",
                      remote_port=4145, peer_certificate="PEM", key="5ec7e7")


def change_volumes(store: Store, count: int, *, fail: bool = False) -> None:
    with store.change(DESTROY):
        for number in range(count):
            store.put_volume(volume(f"v{number}"))
        if fail:
            raise RuntimeError


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "config.db", SystemClock())


def test_a_change_comes_with_its_line_of_history(store: Store) -> None:
    with store.change(DESTROY):
        store.put_volume(volume())
    (line,) = store.history("dg", "v")
    assert (line.method, line.request, line.client) == ("volume.destroy", {"dg": "dg", "name": "v"}, "tester")
    assert store.history("other") == store.history("dg", "other") == []


def test_a_change_that_fails_leaves_neither_itself_nor_history(store: Store) -> None:
    with pytest.raises(RuntimeError):
        change_volumes(store, 3, fail=True)
    assert (store.volumes(), store.history()) == ([], [])


def test_keys_of_links_are_kept_but_never_in_the_history(store: Store) -> None:
    request = LinkAdd(dg="dg", rvg="r", link=link())
    with store.change(Change("link.add", request)):
        store.set_links("dg", "r", [request.link])
    (line,) = store.history("dg", "r")
    assert "5ec7e7" not in line.json()
    assert store.links("dg", "r") == [request.link]
    assert request.link.key == "5ec7e7", "the request itself is not touched"


def test_links_keep_the_order_in_which_they_were_given(store: Store) -> None:
    links = [link("z"), link("a"), link("m")]
    store.set_links("dg", "r", links)
    assert store.links("dg", "r") == links


def test_a_hello_line_finds_its_rvg_only_with_the_right_rds(store: Store) -> None:
    rvg = RvgObject(dg="dg", name="r", rds_id="rds", rvg_id="i", role=Role.SECONDARY, volumes=["v"], srl="s")
    store.put_rvg(rvg)
    store.set_links("dg", "r", [link()])
    assert store.find_link("rds", "l1") == rvg
    assert store.find_link("other", "l1") is store.find_link("rds", "l2") is None


def test_an_rvg_goes_with_its_links_and_exports(store: Store) -> None:
    rvg = RvgObject(dg="dg", name="r", rds_id="rds", rvg_id="i", role=Role.PRIMARY, volumes=["v"], srl="s")
    store.put_rvg(rvg)
    store.set_links("dg", "r", [link()])
    store.set_exports("dg", "v", ["unix:/b", "unix:/a"])
    assert [export.listen for _, export in store.exports("dg", "v")] == ["unix:/b", "unix:/a"]
    store.remove_rvg(rvg)
    assert (store.rvgs(), store.links("dg", "r"), store.exports()) == ([], [], [])


def test_history_is_bounded(store: Store) -> None:
    with store.change(DESTROY) as first:
        store._db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'history'", (first + HISTORY_MAX - 1,))
    with store.change(DESTROY):
        pass
    assert [line.id for line in store.history()] == [first + HISTORY_MAX]


def test_a_newer_format_is_refused_and_left_alone(store: Store) -> None:
    store._db.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    store.close()
    with pytest.raises(VolrepError, match=f"VR-1705.*version {FORMAT_VERSION + 1}"):
        Store(store.path, SystemClock())


@pytest.mark.parametrize("damage", [b"this is no database at all, " * 40, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "config.db"
    path.write_bytes(damage)
    with pytest.raises(VolrepError, match="VR-1704"):
        Store(path, SystemClock())
    assert path.read_bytes() == damage


def test_a_page_gone_bad_is_found_at_the_start(store: Store) -> None:
    change_volumes(store, 200)
    store.close()
    data = bytearray(store.path.read_bytes())
    data[3 * 4096:4 * 4096] = os.urandom(4096)
    store.path.write_bytes(data)
    with pytest.raises(VolrepError, match="VR-1704"):
        Store(store.path, SystemClock())


def test_a_full_disk_is_told_and_changes_nothing(store: Store) -> None:
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(VolrepError, match=r"VR-1706.*full"):
        change_volumes(store, 500)
    assert (store.volumes(), store.history()) == ([], [])


_CHANGES_FOREVER = """
import sys
from pathlib import Path
from tests.unit.engine.test_store import DESTROY, volume
from volrep.engine.store import Store
from volrep.ports.clock import SystemClock
store = Store(Path(sys.argv[1]), SystemClock())
number = 0
while True:
    with store.change(DESTROY):
        store.put_volume(volume(f"a{number}"))
        store.put_volume(volume(f"b{number}"))
    number += 1
    print(number, flush=True)
"""


@pytest.mark.parametrize("changes", [1, 7, 20])
def test_a_kill_leaves_whole_changes_and_everything_that_was_said_done(tmp_path: Path, changes: int) -> None:
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", _CHANGES_FOREVER, str(tmp_path / "config.db")], cwd=root,
                          stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(changes):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
    store = Store(tmp_path / "config.db", SystemClock())
    done = len(store.history())
    assert done >= changes
    assert {v.name for v in store.volumes()} == {f"{kind}{number}" for kind in "ab" for number in range(done)}
    assert sqlite3.connect(store.path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
