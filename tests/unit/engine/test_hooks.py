"""Hooks: which programs are run, with what, for how long, and what becomes of those that fail."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.system.waiting import wait_for
from volrep.engine import hooks as module
from volrep.engine.hooks import Hooks, environment, find
from volrep.model.hooks import HookEvent
from volrep.ports.clock import SystemClock

PRE, POST = HookEvent.PRE_DEMOTE, HookEvent.POST_PROMOTE
TOLD = {"dg": "hrdg", "rvg": "hr_rvg", "role": "secondary", "peer": "tokyo", "reason": "migrate", "volumes": "a b"}


@pytest.fixture
def hooks(tmp_path: Path) -> Hooks:
    directory = tmp_path / "hooks"
    directory.mkdir(mode=0o755)
    return Hooks(directory, tmp_path / "hooks.log", SystemClock(), environment(Path("/state"), directory, "london"), 20)


def program(hooks: Hooks, event: HookEvent, name: str, text: str, mode: int = 0o755) -> Path:
    folder = hooks.directory / f"{event.value}.d"
    folder.mkdir(mode=0o755, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


def test_no_directory_is_no_hook(hooks: Hooks) -> None:
    assert find(hooks.directory, PRE) == []
    assert find(hooks.directory / "nowhere", PRE) == []


async def test_programs_are_run_in_order_with_arguments_and_a_clean_environment(
        hooks: Hooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_ENGINE", "1")
    program(hooks, PRE, "20-second", f"echo second >> {tmp_path}/ran")
    program(hooks, PRE, "10-first", f'echo "$@" >> {tmp_path}/ran; env >> {tmp_path}/env; echo said')
    program(hooks, PRE, "15-old.bak", "exit 1")
    report = await hooks.run(PRE, TOLD)
    assert [(r.name, r.problem, r.said) for r in report.results] == [("10-first", "", "said"), ("20-second", "", "")]
    assert (tmp_path / "ran").read_text() == "pre-demote hrdg hr_rvg secondary tokyo\nsecond\n"
    told = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert {key: told[key] for key in ("VOLREP_EVENT", "VOLREP_REASON", "VOLREP_VOLUMES", "VOLREP_HOST", "VOLREP_STATE",
                                       "VOLREP_CONFIG_DIR")} == {
        "VOLREP_EVENT": "pre-demote", "VOLREP_REASON": "migrate", "VOLREP_VOLUMES": "a b", "VOLREP_HOST": "london",
        "VOLREP_STATE": "/state", "VOLREP_CONFIG_DIR": str(hooks.directory)}
    assert "SECRET_OF_THE_ENGINE" not in told
    assert "--- pre-demote 10-first hrdg hr_rvg secondary tokyo migrate a b\nsaid\n" in hooks.log_path.read_text()


@pytest.mark.parametrize(("event", "ran"), [(PRE, ["1-bad"]), (POST, ["1-bad", "2-good"])])
async def test_a_failure_stops_what_comes_before_a_change_only(hooks: Hooks, event: HookEvent, ran: list[str]) -> None:
    program(hooks, event, "1-bad", "echo no room; exit 3")
    program(hooks, event, "2-good", "exit 0")
    report = await hooks.run(event, TOLD)
    assert [result.name for result in report.results] == ran
    assert report.problems == ["1-bad: it ended with status 3"]
    assert report.results[0].said == "no room"


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o644])
async def test_a_program_that_others_may_write_or_nobody_may_run_counts_as_failed(hooks: Hooks, tmp_path: Path,
                                                                                 mode: int) -> None:
    program(hooks, PRE, "bad", f"touch {tmp_path}/ran", mode)
    assert len((await hooks.run(PRE, TOLD)).problems) == 1
    assert not (tmp_path / "ran").exists()


async def test_links_and_directories_that_others_may_write_are_refused(hooks: Hooks, tmp_path: Path) -> None:
    path = program(hooks, PRE, "good", f"touch {tmp_path}/ran")
    (path.parent / "link").symlink_to(path)
    assert [bool(found.problem) for found in find(hooks.directory, PRE)] == [False, True]
    (path.parent / "link").unlink()
    for folder in (path.parent, hooks.directory):
        folder.chmod(0o777)
        assert len((await hooks.run(PRE, TOLD)).problems) == 1
        folder.chmod(0o755)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
async def test_a_program_of_somebody_else_is_refused(hooks: Hooks) -> None:
    os.chown(program(hooks, PRE, "theirs", "exit 0"), 12345, -1)
    assert (await hooks.run(PRE, TOLD)).problems == [
        "theirs: not run: it belongs to user 12345, neither root nor the engine's"]


async def test_a_program_that_takes_too_long_is_ended_with_its_children(hooks: Hooks, tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    program(hooks, PRE, "slow", f"trap '' TERM; sleep 600 & echo $! > {tmp_path}/child; wait; wait")
    short = Hooks(hooks.directory, hooks.log_path, hooks.clock, hooks.environment, 1.0)
    began_s = time.monotonic()
    assert (await short.run(PRE, TOLD)).problems == ["slow: it took longer than 1 s and was ended"]
    assert time.monotonic() - began_s < 10
    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    wait_for(lambda: not child.exists() or child.read_text().split()[2] == "Z", 10, "the child to end")


async def test_what_a_program_leaves_running_does_not_hold_it_up(hooks: Hooks) -> None:
    program(hooks, POST, "starts-a-daemon", "setsid sleep 30 & echo started")
    began_s = time.monotonic()
    (result,) = (await hooks.run(POST, TOLD)).results
    assert (result.problem, result.said) == ("", "started")
    assert time.monotonic() - began_s < 20


async def test_a_program_that_cannot_be_started_is_told(hooks: Hooks) -> None:
    program(hooks, PRE, "bad", "").write_text("no program at all\n")
    (problem,) = (await hooks.run(PRE, TOLD)).problems
    assert problem.startswith("bad: it cannot be started: ")


async def test_output_is_bounded_and_the_log_begins_anew(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_MAX_BYTES", 2000)
    program(hooks, POST, "talks", "seq 1 1000")
    for _ in range(3):
        (result,) = (await hooks.run(POST, TOLD)).results
        assert len(result.said) <= module.SAID_MAX_BYTES
        assert result.said.endswith("\n1000")
    assert hooks.log_path.with_suffix(".log.1").exists()
    assert hooks.log_path.stat().st_size < 6000
