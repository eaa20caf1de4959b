"""Hooks on a real engine: the example of packaging/hooks starts and stops a PostgreSQL on an attached volume."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.system.database import install_hooks, make_database
from tests.system.one_engine import Engine
from tests.system.waiting import wait_for
from volrep.engine import attach
from volrep.engine.api import AttachAdd, ExportAdd, Scope, VolumeRef
from volrep.engine.blockdev import mount_points
from volrep.engine.client import connect_local
from volrep.model.errors import VolrepError
from volrep.model.hooks import HookEvent, HookReport, HookRun
from volrep.model.units import MIB

PRE, POST = HookEvent.PRE_DEMOTE, HookEvent.POST_PROMOTE


class HookedEngine(Engine):
    """Its hooks are below `folder`."""

    def start(self) -> None:
        self.process.start("--port", "0", "--listen", "127.0.0.1", "--hooks", str(self.state.parent / "hooks"))
        self.client = connect_local(self.state, "tester")

    def hook(self, event: HookEvent, reason: str = "migrate") -> HookReport:
        report = self.client.call("hook.run", HookRun(dg="dg", rvg="rvg", event=event, reason=reason))
        assert isinstance(report, HookReport)
        return report


@pytest.fixture
def engine() -> Generator[HookedEngine]:
    folder = Path(tempfile.mkdtemp(prefix="vr"))  # PostgreSQL's user must get through, and sockets need short paths
    folder.chmod(0o755)
    (folder / "hooks").mkdir(mode=0o755)
    made = HookedEngine(folder)
    try:
        yield made
    finally:
        try:
            for attached in made.client.call("attach.list").attached:
                made.client.call("attach.remove", VolumeRef(dg=attached.dg, name=attached.volume))
        finally:
            made.client.close()
            made.process.stop()
            shutil.rmtree(folder)


def test_postgresql_moves_with_the_hooks_of_the_package(engine: HookedEngine) -> None:
    engine.volume("dv", 256 * MIB)
    engine.volume("srl", 64 * MIB)
    engine.client.call("rvg.create", engine.rvg_request())
    folder = engine.state.parent
    database = install_hooks(folder / "hooks", folder / "pg", dg="dg", rvg="rvg", volume="dv")
    found = {(hook.event, hook.name): hook.problem for hook in engine.client.call("hook.list").hooks}
    assert found == {(event, "10-postgresql"): "" for event in HookEvent if event is not HookEvent.PRE_PROMOTE}
    engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    device = engine.client.call("attach.add", AttachAdd(dg="dg", volume="dv")).device
    make_database(database, device)
    engine.client.call("attach.remove", VolumeRef(dg="dg", name="dv"))

    for event in (POST, POST):  # said again it finds its work done
        assert engine.hook(event).problems == []
    assert database.sql("create table t (n int); insert into t values (7); select n from t") == "7"
    for _ in range(2):
        assert engine.hook(PRE).problems == []
    assert not database.answers()
    assert engine.client.call("attach.list").attached == []
    assert engine.client.call("export.list").exports == []
    assert engine.hook(POST).problems == []
    assert database.sql("select n from t") == "7"
    assert engine.hook(HookEvent.POST_DEMOTE, "superseded").problems == []
    assert not database.answers()
    assert "hook" in engine.event_types()
    took = engine.client.call("rvg.list", Scope(dg="dg")).rvgs[0].took
    assert took["hook post-promote"].seconds > 0
    assert took["hook pre-demote"].seconds > 0


def test_what_a_hook_says_and_how_it_failed_is_told_and_kept(engine: HookedEngine) -> None:
    engine.make_rvg()
    folder = engine.state.parent / "hooks" / "pre-demote.d"
    folder.mkdir()
    (folder / "10-no").write_text("#!/bin/sh\necho the database is busy\nexit 7\n")
    (folder / "10-no").chmod(0o755)
    with pytest.raises(VolrepError) as caught:
        engine.hook(PRE)
    assert caught.value.id == "VR-1790"
    assert all(part in caught.value.text for part in ("10-no", "status 7", "the database is busy"))
    assert "the database is busy" in (engine.state / "log" / "hooks.log").read_text()
    assert "hook_failed" in engine.event_types()
    (folder / "10-no").chmod(0o777)
    with pytest.raises(VolrepError, match="others than its owner may write it"):
        engine.hook(PRE)


def test_a_device_that_is_cut_off_fails_instead_of_waiting_and_is_cleared_away(engine: HookedEngine) -> None:
    engine.make_rvg()
    engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    device = engine.client.call("attach.add", AttachAdd(dg="dg", volume="dv")).device
    subprocess.run(["mkfs.ext4", "-q", device], check=True)
    point = engine.state.parent / "mnt"
    point.mkdir()
    subprocess.run(["mount", device, str(point)], check=True)
    folder = engine.state / "run" / "attach" / "dg.dv"
    holder = (point / "held").open("w")  # closed below, when the mount is gone
    subprocess.run(["sync", "-f", str(point)], check=True)
    try:
        attach.cut_off(folder)
        os.write(holder.fileno(), b"x" * 100_000)
        with pytest.raises(OSError, match=r"Input/output error|Read-only"):
            os.fsync(holder.fileno())
        assert attach.clear_away(folder, device) == [device]
        assert mount_points(device) == []
        assert not folder.exists()
    finally:
        with contextlib.suppress(OSError):  # what it still holds is lost, as it should be
            holder.close()
    wait_for(lambda: attach.clear_away(folder, device) == [], 10, "the device to go with its last user")


def test_the_engine_ends_while_a_hook_runs(engine: HookedEngine) -> None:
    engine.make_rvg()
    folder = engine.state.parent / "hooks" / "post-promote.d"
    folder.mkdir()
    (folder / "slow").write_text("#!/bin/sh\necho running >> $VOLREP_CONFIG_DIR/ran\nexec sleep 600\n")
    (folder / "slow").chmod(0o755)
    other = connect_local(engine.state, "another")

    def ask() -> None:
        try:
            other.call("hook.run", HookRun(dg="dg", rvg="rvg", event=POST, reason="x"))
        except VolrepError:
            return

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for((folder.parent / "ran").exists, 10, "the hook to run")
    engine.process.stop()
    thread.join(10)
    other.close()
    assert not thread.is_alive()
    engine.start()
