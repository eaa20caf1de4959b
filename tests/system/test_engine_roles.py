"""The role of an RVG through real engines: the SRL leads, the configuration follows, whoever is killed in between."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Generator

import pytest

from tests.system.one_engine import Engine, engine_in
from volrep.engine.api import ExportAdd, RvgDemote, RvgDivergenceOf, RvgMakesec, RvgPromote, RvgRef, RvgSet
from volrep.engine.store import Store
from volrep.model.config import Role, Startup
from volrep.model.errors import VolrepError
from volrep.model.status import RoleFlag
from volrep.model.worker import PromoteHow
from volrep.ports.clock import SystemClock


@pytest.fixture
def engine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Engine]:
    yield from engine_in(tmp_path_factory.mktemp("e"))


def demote(engine: Engine) -> int:
    return int(engine.client.call("rvg.demote", RvgDemote(dg="dg", rvg="rvg")).end_lsn)


def exports_closed(engine: Engine) -> list[str]:
    return [export.closed for export in engine.client.call("export.list").exports]


def promote(engine: Engine, end_lsn: int, reign: str = "a" * 16) -> None:
    engine.client.call("rvg.promote", RvgPromote(dg="dg", rvg="rvg", how=PromoteHow.MIGRATE, new_reign=reign,
                                                 expect_lsn=end_lsn))


def test_the_configuration_follows_the_role(engine: Engine) -> None:
    engine.make_rvg()
    assert engine.rvg().config.role is Role.PRIMARY
    assert engine.client.call("export.add", ExportAdd(dg="dg", volume="dv")).closed == ""
    assert exports_closed(engine) == [""]
    end_lsn = demote(engine)
    assert demote(engine) == end_lsn
    assert exports_closed(engine) == ["london is a Secondary"]
    assert engine.rvg().config.role is Role.SECONDARY
    with pytest.raises(VolrepError, match="VR-1752"):
        engine.client.call("export.add", ExportAdd(dg="dg", volume="dv"))
    for _ in range(2):
        promote(engine, end_lsn)
    info = engine.rvg()
    assert info.config.role is Role.PRIMARY
    assert info.status is not None
    assert [r.generation for r in info.status.history] == [1, 2]
    assert exports_closed(engine) == [""]
    methods = [entry.method for entry in engine.client.call("history.list").entries]
    assert methods.count("rvg.demote") == 2


def test_how_long_a_change_of_role_took_is_measured_and_kept(engine: Engine) -> None:
    engine.make_rvg()
    assert engine.rvg().took == {}
    promote(engine, demote(engine))
    took = engine.rvg().took
    assert took.keys() == {"rvg.demote", "rvg.promote"}
    assert all(0 < step.seconds < 60 for step in took.values())
    engine.client.call("rvg.promote", RvgPromote(dg="dg", rvg="rvg", how=PromoteHow.MIGRATE, new_reign="a" * 16))
    engine.restart_after_kill()
    assert engine.rvg_up().took == took  # said again it found its work done, which says nothing about the next time


def test_makesec_needs_another_reign_or_force(engine: Engine) -> None:
    engine.make_rvg()
    with pytest.raises(VolrepError, match="VR-1415"):
        engine.client.call("rvg.makesec", RvgMakesec(dg="dg", rvg="rvg"))
    for _ in range(2):
        info = engine.client.call("rvg.makesec", RvgMakesec(dg="dg", rvg="rvg", force=True))
        assert info.config.role is Role.SECONDARY
        assert info.status.role_flags == [RoleFlag.ACTING_SECONDARY]
    assert engine.client.call("rvg.divergence", RvgDivergenceOf(dg="dg", rvg="rvg")).regions == []


def test_the_startup_policy_is_kept(engine: Engine) -> None:
    request = engine.make_rvg()
    for _ in range(2):
        info = engine.client.call("rvg.set", RvgSet(dg="dg", rvg="rvg", attributes={"startup": "ask-peers"}))
        assert info.config.startup is Startup.ASK_PEERS
    for wrong in ({"startup": "maybe"}, {"start": "serve"}):
        with pytest.raises(VolrepError, match=r"VR-102\d"):
            engine.client.call("rvg.set", RvgSet(dg="dg", rvg="rvg", attributes=wrong))
    engine.restart_after_kill()
    assert engine.rvg_up().config.startup is Startup.ASK_PEERS
    engine.client.call("rvg.create", request)  # said again
    engine.client.call("rvg.serve", RvgRef(dg="dg", name="rvg"))


def test_an_engine_killed_before_it_noted_the_role_learns_it_from_the_worker(engine: Engine) -> None:
    """As after a kill between the worker's change and the engine's: the store says what was before."""
    engine.make_rvg()
    end_lsn = demote(engine)
    engine.process.kill()
    engine.client.close()
    store = Store(engine.state / "config.db", SystemClock())
    (rvg,) = store.rvgs()
    assert rvg.role is Role.SECONDARY
    with store.change(None):
        store.put_rvg(rvg.changed(role=Role.PRIMARY))
    store.close()
    engine.start()
    info = engine.rvg_up()
    assert info.status is not None
    assert (info.status.role, info.config.role) == (Role.SECONDARY, Role.SECONDARY)
    promote(engine, end_lsn)
    assert engine.rvg().config.role is Role.PRIMARY


@pytest.mark.parametrize("delay_s", [0.0, 0.005, 0.02])
def test_an_engine_killed_amid_a_change_of_role_ends_up_where_the_worker_is(engine: Engine, delay_s: float) -> None:
    engine.make_rvg()
    killer = threading.Timer(delay_s, engine.process.kill)
    killer.start()
    with contextlib.suppress(VolrepError, OSError):  # it was killed before it could answer
        demote(engine)
    killer.join()
    engine.client.close()
    engine.start()
    info = engine.rvg_up()
    assert info.status is not None
    assert info.status.role is info.config.role
    end_lsn = demote(engine)
    promote(engine, end_lsn)
    assert engine.rvg().config.role is Role.PRIMARY


def test_a_worker_killed_amid_a_change_of_role_has_one_of_the_two(engine: Engine) -> None:
    engine.make_rvg()
    reigns = 1
    for number in range(6):
        info = engine.rvg_up()
        killer = threading.Timer(number * 0.003, os.kill, (info.worker_pid, signal.SIGKILL))
        killer.start()
        with contextlib.suppress(VolrepError):  # said again below
            promote(engine, demote(engine), f"{number:016x}")
        killer.join()
        info = engine.rvg_up(not_pid=info.worker_pid)
        assert info.status is not None
        assert info.config.role is info.status.role
        promote(engine, demote(engine), f"{number:015x}f")
        status = engine.rvg().status
        assert status is not None
        assert len(status.history) > reigns
        reigns = len(status.history)
