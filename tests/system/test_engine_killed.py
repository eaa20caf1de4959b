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
from volrep.engine.api import AttachAdd, ExportAdd, ExportRemove, RestoreRequest, RvgDelete, VolumeRef
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
