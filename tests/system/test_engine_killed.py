"""What an engine or a worker that was killed left behind is noticed, finished or taken away."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.system.one_engine import DEADLINE_S, Engine, engine_in
from tests.system.waiting import wait_for
from tests.torture.kill_points import Point, Tracee, killing
from volrep.engine.api import (
    AttachAdd,
    AttachInfo,
    ExportAdd,
    ExportRemove,
    RestoreRequest,
    RvgAslog,
    RvgDelete,
    VolumeRef,
    VolumeReplace,
)
from volrep.engine.store import Store
from volrep.model.errors import VolrepError
from volrep.ports.clock import SystemClock


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    yield from engine_in(tmp_path_factory.mktemp("e"))


def test_an_rvg_that_vanished_from_the_database_is_damage_and_its_worker_goes_on(engine: Engine) -> None:
    engine.make_rvg()
    worker = engine.rvg().worker_pid
    engine.process.kill()
    engine.client.close()
    with sqlite3.connect(engine.state / "config.db") as store:
        store.execute("DELETE FROM rvgs")
    store.close()
    engine.start()
    status = engine.client.call("engine.status")
    assert (status.state, "VR-1704" in status.problem) == ("damaged", True)
    for method in ("rvg.list", "volume.list", "events.list"):
        with pytest.raises(VolrepError, match="VR-1704"):
            engine.client.call(method)
    os.kill(worker, 0)
    engine.client.call("engine.restore", RestoreRequest(from_copy=True))
    wait_for(lambda: engine.client.call("engine.status").state == "serving", DEADLINE_S, "the engine to serve")
    assert engine.rvg_up().worker_pid == worker


def test_no_socket_of_an_export_is_left_by_a_worker_that_was_killed(engine: Engine) -> None:
    engine.make_rvg()
    engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    sock = engine.state / "run" / "nbd" / "dg.dv.sock"
    assert sock.exists()
    os.kill(engine.rvg().worker_pid, signal.SIGKILL)
    engine.client.call("export.remove", ExportRemove(dg="dg", name="dv", force=True))
    assert not sock.exists()


@pytest.mark.parametrize("again", ["attach", "detach"])
def test_a_device_mounted_when_its_engine_was_killed_is_found_by_the_same_call(engine: Engine, again: str,
                                                                               tmp_path: Path) -> None:
    engine.make_rvg()
    engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    made = engine.client.call("attach.add", AttachAdd(dg="dg", volume="dv"))
    subprocess.run(["mkfs.ext4", "-q", "-F", made.device], check=True, capture_output=True)
    engine.client.call("attach.remove", VolumeRef(dg="dg", name="dv"))
    request = AttachAdd(dg="dg", volume="dv", mount=str(tmp_path))
    made = engine.client.call("attach.add", request)
    engine.process.kill()
    engine.client.close()
    store = Store(engine.state / "config.db", SystemClock())
    with store.change(None):
        store.remove_attachment("dg", "dv")  # as if it had been killed a moment earlier
    store.close()
    engine.start()
    assert engine.client.call("attach.list").attached == []
    if again == "attach":
        assert engine.client.call("attach.add", request) == made
        assert engine.client.call("attach.list").attached == [made]
    engine.client.call("attach.remove", VolumeRef(dg="dg", name="dv"))
    assert not os.path.ismount(tmp_path)
    assert not (engine.state / "run" / "attach" / "dg.dv").exists()


def test_no_socket_of_a_worker_is_left_by_one_that_was_killed_while_its_rvg_went(engine: Engine) -> None:
    engine.make_rvg()
    sock = engine.state / "run" / "w-dg.rvg.sock"
    assert sock.exists()
    os.kill(engine.rvg().worker_pid, signal.SIGKILL)
    engine.client.call("rvg.delete", RvgDelete(dg="dg", name="rvg", force=True))
    assert not sock.exists()


def test_a_new_srl_is_not_made_of_one_whose_worker_was_killed_while_it_stopped(engine: Engine, tmp_path: Path) -> None:
    engine.make_rvg()
    worker = engine.rvg_up().worker_pid
    request = RvgAslog(dg="dg", name="rvg", srl="srl")
    with (killing(worker, Point(Tracee("worker", 0), "fdatasync", 1), [], tmp_path / "strace") as hit,
          pytest.raises(VolrepError, match="VR-1774")):
        engine.client.call("rvg.aslog", request)
    assert hit
    engine.rvg_up(not_pid=worker)
    engine.client.call("rvg.aslog", request)
    status = engine.rvg_up().status
    assert status is not None
    assert [reign.generation for reign in status.history] == [1]  # nothing was given up


def test_a_fresh_file_for_a_volume_is_made_again_when_the_call_was_broken_off_and_never_over_data(
        engine: Engine) -> None:
    request = VolumeReplace(dg="dg", name="dv")
    engine.make_rvg()
    path = engine.state / "volumes" / "dg" / "dv"
    path.unlink()
    identities = set()
    for _ in range(2):  # the second time the file is there, as after a kill, or an answer that was lost
        identities.add(engine.client.call("volume.replace", request).config.volume_id)
        engine.rvg_up()
    assert len(identities) == 2
    path.write_bytes(b"data".ljust(path.stat().st_size, b"."))
    with pytest.raises(VolrepError, match="VR-1772"):
        engine.client.call("volume.replace", request)
    assert path.read_bytes().startswith(b"data")


def test_a_file_that_has_taken_a_volumes_place_already_may_be_named_again(engine: Engine, tmp_path: Path) -> None:
    engine.make_rvg()
    path = tmp_path / "other"
    path.write_bytes(bytes(32 << 20))
    request = VolumeReplace(dg="dg", name="dv", path=str(path))
    first = engine.client.call("volume.replace", request)
    worker = engine.rvg_up().worker_pid
    assert engine.client.call("volume.replace", request) == first
    assert engine.rvg().worker_pid == worker


def test_the_folder_of_a_device_goes_when_its_engine_was_killed_while_it_took_the_device_away(engine: Engine) -> None:
    engine.make_rvg()
    engine.process.kill()
    engine.client.close()
    folder = engine.state / "run" / "attach" / "dg.dv"
    folder.mkdir(parents=True)
    (folder / "image").touch()
    store = Store(engine.state / "config.db", SystemClock())
    with store.change(None):
        store.put_attachment(AttachInfo(dg="dg", volume="dv", device="/dev/loop9999", way="loop", mount="",
                                        survives_restart=True))
    store.close()
    engine.start()
    assert engine.client.call("attach.list").attached == []
    assert not folder.exists()
