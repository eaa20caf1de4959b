"""The RDS verbs on two real engines of this machine: the whole life of a data set, and failures halfway."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.system.two_engines import DG, RVG, Pair
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.shape import Shape
from volrep.rds import plan_rds
from volrep.rds.drive import drive
from volrep.rds.fleet import Fleet
from volrep.rds.step import Plan


@pytest.fixture
def pair() -> Generator[Pair]:
    with tempfile.TemporaryDirectory(prefix="vr") as folder:  # sockets need a short path
        made = Pair(Path(folder))
        try:
            made.start()
            yield made
        finally:
            for engine in made.engines.values():
                engine.stop()


class FailsAt:
    """The engines, except that the call of that number is refused."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self._fleet, self._left = fleet, number

    def call(self, host: str, method: str, request: Shape) -> Any:
        self._left -= 1
        if self._left == 0:
            raise VolrepError(engine_messages.TOO_MANY_CLIENTS, limit=0)
        return self._fleet.call(host, method, request)


def setup_plan(fleet: Fleet) -> Plan:
    from tests.unit.rds.hosts import fresh

    wanted = plan_rds.wanted_rvg(DG, RVG, "dv01,dv02", "srl")
    return plan_rds.plan_setup(fleet.observe(), wanted, "london", "tokyo", {}, fresh(1))


def delsec_plan(fleet: Fleet) -> Plan:
    from tests.unit.rds.hosts import numbered

    world = fleet.observe()
    return plan_rds.plan_delsec(world, world.rds(DG, RVG), "tokyo", numbered(2), force=False)


def test_the_life_of_a_data_set(pair: Pair) -> None:
    before = pair.configuration()
    pair.volrep("-g", DG, "--dry-run", "setup", RVG, "dv01,dv02", "srl", "london", "tokyo")
    assert pair.configuration() == before
    pair.volrep("-g", DG, "-H", "london", "createpri", RVG, "dv01,dv02", "srl")
    pair.volrep("addsec", RVG, "london", "tokyo", "synchronous=override")
    assert "VR-1016" in pair.volrep("startrep", RVG, exit_code=2)
    assert "tokyo: consistent" in pair.volrep("-a", "startrep", "-w", RVG)
    (row,) = pair.show("repstatus", RVG)["secondaries"]
    assert (row["data_status"], row["replication_status"], row["configured_mode"]) == (
        "consistent, up-to-date", "replicating (connected)", "synchronous-override")
    pair.volrep("set", RVG, "synchronous=off")
    pair.volrep("pauserep", RVG)
    assert pair.show("repstatus", RVG)["secondaries"][0]["replication_status"] == "paused by user"
    pair.volrep("resumerep", RVG)
    assert "VR-1030" in pair.volrep("stoprep", RVG, exit_code=3)
    assert "VR-1320" in pair.volrep("-s", "delsec", RVG, exit_code=3)
    pair.volrep("-s", "stoprep", RVG)
    assert pair.show("repstatus", RVG)["secondaries"][0]["data_status"] == "consistent, stale"
    assert "VR-1321" in pair.volrep("-s", "delpri", RVG, exit_code=3)
    pair.volrep("-s", "delsec", RVG)
    pair.volrep("-s", "delpri", RVG)
    assert pair.configuration() == before


@pytest.mark.parametrize("failing", [2, 3, 4, 5])
def test_a_setup_that_fails_halfway_changes_nothing_on_any_host(pair: Pair, failing: int) -> None:
    before = pair.configuration()
    with pair.fleet() as fleet, pytest.raises(VolrepError, match="VR-1713"):
        drive(setup_plan(fleet), FailsAt(fleet, failing), lambda _text: None)
    assert pair.configuration() == before
    pair.volrep("-g", DG, "setup", RVG, "dv01,dv02", "srl", "london", "tokyo", "-w")


@pytest.mark.parametrize("failing", [2, 3])
def test_a_delsec_that_fails_halfway_leaves_a_pair_that_replicates(pair: Pair, failing: int) -> None:
    pair.volrep("-g", DG, "setup", RVG, "dv01,dv02", "srl", "london", "tokyo", "-w")
    pair.volrep("-s", "stoprep", RVG)
    before = pair.configuration()
    with pair.fleet() as fleet, pytest.raises(VolrepError, match="VR-1713"):
        drive(delsec_plan(fleet), FailsAt(fleet, failing), lambda _text: None)
    assert pair.configuration() == before
    pair.volrep("-a", "-w", "startrep", RVG)


def test_a_host_that_dies_halfway_is_told_as_done_in_part_and_the_same_command_goes_on(pair: Pair) -> None:
    class Dies(FailsAt):
        def call(self, host: str, method: str, request: Shape) -> Any:
            if (host, method) == ("london", "link.add"):
                os.kill(pair.engines["tokyo"].pid, signal.SIGKILL)
            return super().call(host, method, request)

    with pair.fleet() as fleet, pytest.raises(VolrepError) as caught:
        drive(setup_plan(fleet), Dies(fleet, 4), lambda _text: None)
    assert (caught.value.id, int(caught.value.exit)) == ("VR-1330", 5)
    assert "not undone: tokyo: add link" in caught.value.text
    pair.engines["tokyo"].kill()
    pair.engines["tokyo"].start()
    said = pair.volrep("-g", DG, "setup", RVG, "dv01,dv02", "srl", "london", "tokyo", "-w")
    assert "tokyo: remove the left-over end" in said
    assert "tokyo: consistent" in said


def test_refusals_name_values_and_change_nothing(pair: Pair) -> None:
    pair.volrep("-s", "-g", DG, "-H", "tokyo", "volume", "destroy", "dv02")
    pair.volrep("-g", DG, "-H", "tokyo", "volume", "create", "dv02", "9m")
    before = pair.configuration()
    setup = ("-g", DG, "setup", RVG, "dv01,dv02", "srl")
    text = pair.volrep(*setup, "london", "tokyo", exit_code=3)
    assert all(part in text for part in ("VR-1311", "dv02", str(9 << 20), str(8 << 20), "hint: "))
    assert "VR-1310" in pair.volrep("-g", DG, "setup", RVG, "dv01,nix", "srl", "london", "tokyo", exit_code=3)
    assert "VR-1500" in pair.volrep("-g", DG, "setup", RVG, "dv01,srl", "dv02", "london", "tokyo", exit_code=3)
    assert "VR-1100" in pair.volrep(*setup, "london", "rome", exit_code=2)
    assert "VR-1314" in pair.volrep(*setup, "london", "london", exit_code=2)
    assert "VR-1021" in pair.volrep(*setup, "london", "tokyo", "compression=lz4", exit_code=2)
    assert "VR-1300" in pair.volrep("repstatus", "nope", exit_code=2)
    pair.engines["tokyo"].stop()
    assert "VR-1700" in pair.volrep(*setup, "london", "tokyo", exit_code=4)
    pair.engines["tokyo"].start()
    assert pair.configuration() == before
