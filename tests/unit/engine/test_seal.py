"""A damaged configuration is noticed, whatever was damaged; what is served is what was configured."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.unit.engine.test_store import DESTROY, link, volume
from volrep.engine.paths import StateDir
from volrep.engine.seal import COPY_NAME, BadCopy, load_copy
from volrep.engine.sound import check_markers, lost
from volrep.engine.store import RvgObject, Store
from volrep.model.config import Role
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.ports.clock import SystemClock

FLIPS = int(os.environ.get("VOLREP_FLIPS", "80"))
RVG = RvgObject(dg="dg", name="r", rds_id="rds", rvg_id="made-1", role=Role.PRIMARY, volumes=["v0"], srl="v1")


def fill(store: Store) -> None:
    with store.change(DESTROY):
        for number in range(12):
            store.put_volume(volume(f"v{number}"))
        store.put_rvg(RVG)
        store.set_links("dg", "r", [link("a"), link("b")])
        store.set_exports("dg", "v0", ["unix:/x"])
    with store.change(DESTROY):
        store.put_setting("name", "london")


def configured(store: Store) -> object:
    return (store.volumes(), store.rvgs(), store.links("dg", "r"), store.exports(), store.setting("name"))


@pytest.fixture
def paths(tmp_path: Path) -> StateDir:
    """A state directory whose engine was killed: the database has its log beside it."""
    made = StateDir(tmp_path / "state")
    made.create()
    (made.root / "made").mkdir()
    (made.root / "made" / "made-1").touch()
    live = StateDir(tmp_path / "live")
    live.create()
    store = Store(live.store, SystemClock())
    fill(store)
    for path in live.root.glob("config.*"):
        shutil.copyfile(path, made.root / path.name)
    store.close()
    return made


def checkpointed(paths: StateDir) -> None:
    connection = sqlite3.connect(paths.store)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def opened(paths: StateDir) -> Store:
    store = Store(paths.store, SystemClock(), lost(paths))
    try:
        check_markers(paths, store)
    except VolrepError:
        store.close()
        raise
    return store


def served_or_refused(paths: StateDir, expected: object) -> bool:
    """Whether it is served, exactly as it was; otherwise it is refused with an id."""
    try:
        store = opened(paths)
    except VolrepError as error:
        if error.message not in (messages.STORE_DAMAGED, messages.STORE_NEWER):
            raise
        return False
    try:
        assert configured(store) == expected
    finally:
        store.close()
    return True


@pytest.mark.parametrize("where", ["config.db", "config.db-wal"])
def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(paths: StateDir, where: str) -> None:
    expected = configured(store := opened(shutil_copy(paths, "first")))
    store.close()
    if where == "config.db":
        checkpointed(paths)
    size, chance = (paths.root / where).stat().st_size, random.Random(4)
    refused = 0
    for number in range(FLIPS):
        copy = shutil_copy(paths, f"n{number}")
        data = bytearray((copy.root / where).read_bytes())
        data[chance.randrange(size)] ^= 1 << chance.randrange(8)
        (copy.root / where).write_bytes(data)
        refused += not served_or_refused(copy, expected)
        shutil.rmtree(copy.root)
    assert 0 < refused <= FLIPS, "flips in free space change nothing, others are found"


def shutil_copy(paths: StateDir, name: str) -> StateDir:
    return StateDir(Path(shutil.copytree(paths.root, paths.root.parent / name)))


def cut(paths: StateDir) -> None:
    checkpointed(paths)
    os.truncate(paths.store, paths.store.stat().st_size // 2)


def emptied(paths: StateDir) -> None:
    (paths.root / "config.db-wal").unlink()
    paths.store.write_bytes(b"")


def removed(paths: StateDir) -> None:
    for path in paths.root.glob("config.db*"):
        path.unlink()


def log_lost(paths: StateDir) -> None:
    (paths.root / "config.db-wal").unlink()


def older(paths: StateDir) -> None:
    """An older database, whole in itself, in the place of the present one."""
    checkpointed(paths)
    shutil.copyfile(paths.store, paths.root / "older")
    store = Store(paths.store, SystemClock())
    with store.change(DESTROY):
        store.put_volume(volume("late"))
    store.close()
    (paths.root / "older").replace(paths.store)


@pytest.mark.parametrize("damage", [cut, emptied, removed, log_lost, older])
def test_less_than_was_there_is_refused(paths: StateDir, damage: object) -> None:
    damage(paths)  # type: ignore[operator]  # one of the functions above
    before = sorted((path.name, path.read_bytes()) for path in paths.root.glob("config.*") if "-shm" not in path.name)
    with pytest.raises(VolrepError, match="VR-1704") as caught:
        opened(paths)
    assert "engine rebuild" in caught.value.hint
    after = sorted((path.name, path.read_bytes()) for path in paths.root.glob("config.*") if "-shm" not in path.name)
    assert [row for row in after if "-wal" not in row[0]] == [row for row in before if "-wal" not in row[0]]


@pytest.mark.parametrize("left", ["copy", "marker", "volume"])
def test_any_trace_of_a_configuration_keeps_an_engine_from_beginning_empty(paths: StateDir, left: str) -> None:
    removed(paths)
    if left != "marker":
        (paths.root / "made" / "made-1").unlink()
    if left != "copy":
        (paths.root / COPY_NAME).unlink()
    if left == "volume":
        paths.volumes("dg").mkdir()
        (paths.volumes("dg") / "v").touch()
    with pytest.raises(VolrepError, match=r"VR-1704.*missing"):
        opened(paths)


def test_an_rvg_that_was_made_here_and_is_not_in_an_intact_database_is_damage(paths: StateDir) -> None:
    store = opened(paths)
    with store.change(None):
        store.remove_rvg(RVG)
    store.close()
    with pytest.raises(VolrepError, match=r"VR-1704.*made-1"):
        opened(paths)


def test_the_copy_is_whole_after_every_change_and_written_anew_when_lost_or_damaged(paths: StateDir) -> None:
    expected = configured(store := opened(paths))
    store.close()
    for damage in (b"", b"VRCOPY 1 0\n{}", (paths.root / COPY_NAME).read_bytes()[:-1]):
        (paths.root / COPY_NAME).write_bytes(damage)
        with pytest.raises(BadCopy):
            load_copy(paths.root / COPY_NAME)
        opened(paths).close()
        copy = load_copy(paths.root / COPY_NAME)
        assert copy is not None
        fresh = Store.begin(paths.root / "other.db", SystemClock(), copy.changes)
        with fresh.change(None):
            fresh.load(copy.tables)
        assert configured(fresh) == expected
        fresh.close()
        (paths.root / "other.db").unlink()
        shutil.copyfile(paths.root / COPY_NAME, paths.root / "kept")
        (paths.root / COPY_NAME).unlink()
        opened(paths).close()
        assert load_copy(paths.root / COPY_NAME) is not None


def test_a_copy_that_cannot_be_written_does_not_fail_the_change(paths: StateDir) -> None:
    store = opened(paths)
    (paths.root / COPY_NAME).unlink()
    (paths.root / COPY_NAME).mkdir()
    with store.change(DESTROY):
        store.put_volume(volume("late"))
    assert COPY_NAME in store.copy_problem
    assert store.volume("dg", "late") is not None
    (paths.root / COPY_NAME).rmdir()
    with store.change(DESTROY):
        store.put_volume(volume("later"))
    assert store.copy_problem == ""
    store.close()


def test_a_database_of_the_first_format_is_sealed_as_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path / "config.db", SystemClock())
    fill(store)
    expected = configured(store)
    store._db.execute("DROP TABLE seal")
    store._db.execute("PRAGMA user_version = 1")
    store.close()
    (tmp_path / COPY_NAME).unlink()
    store = Store(tmp_path / "config.db", SystemClock())
    assert configured(store) == expected
    store.close()
