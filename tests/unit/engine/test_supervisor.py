"""Supervision of a real small process: started, adopted, restarted, refused, stopped."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from volrep.engine.supervisor import Phase, Supervisor
from volrep.model.config import LinkConfig, Role, RvgConfig, RvgVolume
from volrep.model.errors import VolrepError
from volrep.model.messages.log import VOLUME_BUSY
from volrep.model.status import Event
from volrep.model.worker import LinkRef
from volrep.ports.clock import SystemClock

STAND_IN = Path(__file__).with_name("stand_in_worker.py")
DEADLINE_S = 15


class Bench:
    """A supervisor with its stand-in, and what to tell it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        volume = RvgVolume(index=0, name="v", path="/v", size_bytes=512, volume_id="1")
        self.config = RvgConfig(rds_id="r", rvg_id="i", dg="dg", name="rvg", host="london", role=Role.PRIMARY,
                                srl=volume, volumes=[volume], certificate_path="", private_key_path="")
        self.tell()

    def tell(self, **what: Any) -> None:
        fresh = self.folder / "script.new"
        fresh.write_text(json.dumps(what))
        fresh.replace(self.folder / "script")

    def requests(self) -> list[str]:
        return (self.folder / "script.log").read_text().split()

    def supervisor(self) -> Supervisor:
        path = self.folder / "w.sock"
        argv = [sys.executable, str(STAND_IN), str(path), str(self.folder / "script")]
        return Supervisor(lambda: self.config, path, argv, log_path=self.folder / "log" / "w.log",
                          on_event=self.events.append, clock=SystemClock())

    def types(self) -> list[str]:
        return [event.type for event in self.events]


async def until(predicate: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not predicate():
            await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest_asyncio.fixture
async def running(bench: Bench) -> AsyncGenerator[Supervisor]:
    supervisor = bench.supervisor()
    supervisor.start()
    yield supervisor
    bench.tell()
    await supervisor.stop()


async def test_a_worker_is_started_and_configured(bench: Bench, running: Supervisor) -> None:
    await running.first_outcome()
    status, problem = await running.status()
    assert status is not None
    assert (status.name, problem, bench.types()) == ("rvg", "", ["worker_start"])
    assert running.pid != os.getpid()


async def test_a_killed_worker_is_restarted_and_told(bench: Bench, running: Supervisor) -> None:
    await running.first_outcome()
    first = running.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: running.phase is Phase.UP and running.pid != first)
    assert bench.types() == ["worker_start", "worker_died", "worker_start"]
    assert running.restarts == 1


async def test_restarts_come_at_a_growing_distance(bench: Bench, running: Supervisor) -> None:
    await running.first_outcome()
    bench.tell(die=True)
    os.kill(running.pid, signal.SIGKILL)
    await until(lambda: bench.types().count("worker_died") >= 4)
    times = [event.time_ns for event in bench.events if event.type == "worker_died"]
    gaps = [(b - a) / 1e9 for a, b in itertools.pairwise(times)]
    assert gaps[0] >= 0.1
    assert gaps[1] >= 0.2
    assert gaps[2] >= 0.4


async def test_a_living_worker_is_adopted_by_the_next_engine(bench: Bench) -> None:
    first = bench.supervisor()
    first.start()
    await first.first_outcome()
    await first._end_task()  # what SIGKILL of an engine leaves: nobody says anything to the worker
    assert first._channel is not None
    first._channel.close()
    second = bench.supervisor()
    second.start()
    await second.first_outcome()
    assert (second.pid, second.restarts) == (first.pid, 0)
    assert "adopted" in bench.events[-1].message
    await second.stop()
    await first._reap()


async def test_while_it_recovers_the_status_says_so_at_once(bench: Bench, running: Supervisor) -> None:
    bench.tell(gate=str(bench.folder / "gate"))
    await until(lambda: running.phase is Phase.CONFIGURING)
    assert await running.status() == (None, "recovering")
    (bench.folder / "gate").touch()
    await running.first_outcome()


async def test_a_change_during_recovery_reaches_the_worker_afterwards(bench: Bench, running: Supervisor) -> None:
    bench.tell(gate=str(bench.folder / "gate"))
    await until(lambda: running.phase is Phase.CONFIGURING)
    link = LinkConfig(link_id="l", name="n", remote_host="h", remote_address="a", remote_port=1, peer_certificate="",
                      key="")
    bench.config = bench.config.changed(links=[link])
    await running.reconfigure()
    (bench.folder / "gate").touch()
    await running.first_outcome()
    async with asyncio.timeout(DEADLINE_S):
        while (found := (await running.status())[0]) is None or found.incarnation != 1:
            await asyncio.sleep(0.01)


async def test_a_refusal_is_raised_shown_and_tried_again(bench: Bench, running: Supervisor) -> None:
    bench.tell(refuse="nonsense")
    with pytest.raises(VolrepError, match="VR-1600"):
        await running.first_outcome()
    assert (await running.status())[1].startswith("VR-1600")
    bench.tell()
    await until(lambda: running.phase is Phase.UP)
    assert bench.types().count("worker_refused") == 1


async def test_an_rvg_that_comes_up_in_fail_has_not_started(bench: Bench, running: Supervisor) -> None:
    bench.tell(fail="VR-1501 no header")
    with pytest.raises(VolrepError, match=r"VR-1723.*VR-1501 no header"):
        await running.first_outcome()
    assert (await running.status())[0] is not None, "and its state can be seen"


async def test_volumes_still_held_by_a_dying_predecessor_are_tried_again(bench: Bench, running: Supervisor) -> None:
    bench.tell(fail=f"{VOLUME_BUSY.id} volume v is busy")
    await until(lambda: "worker_refused" in bench.types())
    bench.tell()
    await until(lambda: running.phase is Phase.UP and running.restarts > 0)


async def test_a_connection_is_handed_over_with_its_descriptor(running: Supervisor) -> None:
    await running.first_outcome()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert running.hand_link(LinkRef(link_id="l"), theirs.fileno()) == ""
        ours.setblocking(False)
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ours, 100), DEADLINE_S)
    assert data == b"from the worker"


async def test_stopping_shuts_down_and_leaves_no_zombie(bench: Bench) -> None:
    supervisor = bench.supervisor()
    supervisor.start()
    await supervisor.first_outcome()
    pid = supervisor.pid
    await supervisor.stop()
    assert bench.requests()[-1] == "shutdown"
    assert not Path(f"/proc/{pid}").exists()
    assert bench.types() == ["worker_start"]


async def test_a_program_that_does_not_start_is_told_with_its_last_words(bench: Bench) -> None:
    supervisor = bench.supervisor()
    supervisor._argv = [sys.executable, "-c", "raise SystemExit('no such disk')"]
    supervisor.start()
    with pytest.raises(VolrepError, match=r"VR-1720.*no such disk"):
        await supervisor.first_outcome()
    await supervisor.stop()
