"""The command line against a real engine of this machine, run as an operator runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.system.engines import PROGRAM, EngineProcess
from tests.system.waiting import wait_for

START_S = 0.25  # what a verb that asks a local engine may cost
YARDSTICK = "import asyncio, argparse, json, ssl, subprocess"
START_YARDSTICKS = 5.0  # or so many times what this Python takes to load that, on a machine that is slow
START_TRIES = 8  # the best of these: other work on the machine is not what is measured
DEADLINE_S = 20


class Operator:
    """Runs `volrep` with an inventory and a local engine of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "VOLREP_CONFIG_DIR": str(folder / "config"), "VOLREP_STATE": str(folder / "london")}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(PROGRAM), *words], env=self.env, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=60)

    def good(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"volrep {' '.join(words)}: exit {done.returncode}\n{done.stderr}"
        return done.stdout

    def show(self, *words: str) -> Any:
        return json.loads(self.good("--json", *words))

    def refused(self, *words: str) -> tuple[int, str]:
        """(exit code, id); nothing on stdout, and a hint."""
        done = self.run(*words)
        assert done.stdout == ""
        assert "\nhint: " in done.stderr
        assert "Traceback" not in done.stderr
        (line,) = (line for line in done.stderr.splitlines() if line.startswith("VR-"))
        return done.returncode, line.partition(":")[0]


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


@pytest.fixture
def engine(operator: Operator) -> Generator[EngineProcess]:
    made = EngineProcess("london", operator.folder / "london", operator.folder / "log", env=operator.env)
    made.start("--port", "0")
    yield made
    made.stop()


@pytest.fixture
def primary(operator: Operator, engine: EngineProcess) -> Operator:
    """An RVG of one volume."""
    operator.good("-g", "hrdg", "volume", "create", "dv", "8m")
    operator.good("-g", "hrdg", "volume", "create", "srl", "80m")
    operator.good("-g", "hrdg", "createpri", "rvg", "dv", "srl")
    return operator


def test_without_an_engine_every_verb_says_so_and_ends_with_4(operator: Operator) -> None:
    for words in (["volume", "list"], ["exports"], ["events"], ["engine", "status"], ["engine", "connect"],
                  ["printrvg"], ["-g", "d", "volume", "create", "v", "1m"]):
        assert operator.refused(*words) == (4, "VR-1700"), words


@pytest.mark.usefixtures("engine")
def test_volumes_are_created_listed_and_destroyed(operator: Operator) -> None:
    operator.good("-g", "hrdg", "volume", "create", "dv", "8m")
    own = operator.folder / "disk.img"
    own.write_bytes(bytes(1 << 20))
    operator.good("-g", "hrdg", "volume", "add", "mine", str(own))
    rows = {row["name"]: row for row in operator.show("volume", "list")["volumes"]}
    assert {name: (row["host"], row["dg"], row["size_bytes"], row["use"]) for name, row in rows.items()} == {
        "dv": ("london", "hrdg", 8 << 20, "free"), "mine": ("london", "hrdg", 1 << 20, "free")}
    operator.good("-s", "volume", "destroy", "dv")
    operator.good("-s", "volume", "destroy", "mine")
    assert operator.show("volume", "list") == {"volumes": []}
    assert not Path(rows["dv"]["path"]).exists()
    assert own.exists()


@pytest.mark.usefixtures("engine")
def test_the_same_command_again_finds_its_work_done(operator: Operator) -> None:
    for _ in range(2):
        operator.good("-g", "hrdg", "volume", "create", "dv", "8m")
    assert operator.refused("-g", "hrdg", "volume", "create", "dv", "9m") == (3, "VR-1733")


@pytest.mark.usefixtures("engine")
def test_a_dry_run_changes_nothing(operator: Operator) -> None:
    plan = operator.show("--dry-run", "-g", "hrdg", "volume", "create", "dv", "8m")
    assert [step["do"]["method"] for step in plan["steps"]] == ["volume.create"]
    assert operator.show("volume", "list") == {"volumes": []}
    assert operator.show("history")["history"] == []


def test_what_is_wrong_has_an_id_and_an_exit_code_and_changes_nothing(primary: Operator) -> None:
    before = primary.show("history"), primary.show("volume", "list"), primary.show("exports")
    for words, expected in (
            (["volum", "list"], (2, "VR-1000")),
            (["volume", "create", "v"], (2, "VR-1001")),
            (["volume", "create", "v", "8q"], (2, "VR-1010")),
            (["volume", "create", "a/b", "8m"], (2, "VR-1011")),
            (["-H", "paris", "volume", "create", "v", "8m"], (2, "VR-1100")),
            (["-H", "paris", "exports"], (2, "VR-1100")),
            (["volume", "destroy", "dv"], (3, "VR-1312")),
            (["-s", "volume", "destroy", "srl"], (3, "VR-1312")),
            (["export", "srl"], (2, "VR-1323")),
            (["export", "dv", "listen=nowhere"], (2, "VR-1600")),
            (["export", "dv", "listen=tcp:0.0.0.0:10809"], (3, "VR-1601")),
            (["export", "dv", "listne=unix:/x"], (2, "VR-1015")),
            (["events", "--limit", "many"], (2, "VR-1018")),
            (["console"], (2, "VR-1842")),
            (["engine", "run", "--name", "london"], (3, "VR-1701")),
    ):
        assert primary.refused(*words) == expected, words
    assert (primary.show("history"), primary.show("volume", "list"), primary.show("exports")) == before


def test_an_export_is_shown_with_its_uri_until_it_is_withdrawn(primary: Operator) -> None:
    uri = primary.good("export", "dv").strip()
    (row,) = primary.show("exports")["exports"]
    assert (row["host"], row["volume"], row["uri"], row["connections"]) == ("london", "dv", uri, 0)
    primary.good("unexport", "dv")
    assert primary.show("exports") == {"exports": []}


def test_the_log_and_the_history_can_be_read(primary: Operator) -> None:
    dump = primary.show("log", "dump", "rvg")
    assert (dump["host"], dump["header"]["rvg"]) == ("london", "rvg")
    assert [record["type"] for record in dump["records"]] == ["ROLE"]  # the reign that createpri began
    assert [row["method"] for row in primary.show("history")["history"]] == [
        "volume.create", "volume.create", "rvg.create"]


def test_events_are_followed_as_they_happen(primary: Operator) -> None:
    follower = subprocess.Popen([str(PROGRAM), "--json", "events", "--follow"], env=primary.env,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert follower.stdout is not None
        os.set_blocking(follower.stdout.fileno(), False)
        said = bytearray()

        def types() -> list[str]:
            assert follower.stdout is not None
            said.extend(follower.stdout.read() or b"")
            return [json.loads(line)["type"] for line in said[:said.rfind(b"\n") + 1].splitlines()]

        wait_for(lambda: "rvg_started" in types(), DEADLINE_S, "the events so far")
        primary.good("-s", "delpri", "rvg")
        primary.good("-g", "hrdg", "createpri", "rvg", "dv", "srl")
        wait_for(lambda: types().count("rvg_started") == 2, DEADLINE_S, "the second start of the RVG")
        follower.send_signal(signal.SIGINT)
        assert follower.wait(DEADLINE_S) == 0
    finally:
        follower.kill()
        follower.communicate()


def test_an_engine_is_stopped_by_name(operator: Operator, engine: EngineProcess) -> None:
    assert operator.refused("engine", "stop") == (3, "VR-1030")
    assert operator.show("-H", "london", "engine", "status")["engines"][0]["pid"] == engine.pid
    operator.good("-s", "engine", "stop")
    wait_for(lambda: operator.run("engine", "status").returncode == 4, DEADLINE_S, "the engine to end")


@pytest.mark.usefixtures("engine")
def test_a_reader_who_leaves_does_not_make_an_error(operator: Operator) -> None:
    with subprocess.Popen([str(PROGRAM), "help"], env=operator.env, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.usefixtures("engine")
def test_a_verb_starts_quickly(operator: Operator) -> None:
    """CPU seconds, so that a busy machine does not decide; wall time is close to it on an idle one."""

    def cost_s(run: Callable[[], object]) -> float:
        before, began_s = os.times(), time.perf_counter()
        run()
        after = os.times()
        cpu_s = after.children_user - before.children_user + after.children_system - before.children_system
        return min(cpu_s, time.perf_counter() - began_s)

    yardstick = [sys.executable, "-c", YARDSTICK]
    in_turn = [(cost_s(lambda: operator.good("volume", "list")),
                cost_s(lambda: subprocess.run(yardstick, check=True, timeout=60))) for _ in range(START_TRIES)]
    verb_s, yardstick_s = (min(costs_s) for costs_s in zip(*in_turn, strict=True))
    assert verb_s <= max(START_S, START_YARDSTICKS * yardstick_s)
