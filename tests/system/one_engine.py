"""One engine with a client, for the tests of the engine."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from pathlib import Path

from tests.system.engines import EngineProcess
from tests.system.waiting import wait_for
from volrep.engine.api import (
    RvgCreate,
    RvgInfo,
    VolumeCreate,
    VolumeRef,
)
from volrep.engine.client import EngineClient, connect_local
from volrep.model.config import LinkConfig, Role
from volrep.model.units import MIB

DEADLINE_S = 20


def engine_in(folder: Path) -> Generator[Engine]:
    """What a fixture yields: an engine, and nothing of it afterwards."""
    made = Engine(folder)
    yield made
    for attached in made.client.call("attach.list").attached:
        made.client.call("attach.remove", VolumeRef(dg=attached.dg, name=attached.volume))
    made.client.close()
    made.process.stop()


class Engine:
    """An engine of its own in a short directory (unix socket paths), and a client."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "s"
        self.process = EngineProcess("london", self.state, folder / "engine.log")
        self.start()

    def start(self) -> None:
        self.process.start("--port", "0", "--listen", "127.0.0.1")
        self.client: EngineClient = connect_local(self.state, "tester")

    def restart_after_kill(self) -> None:
        self.process.kill()
        self.client.close()
        self.start()

    def volume(self, name: str, size_bytes: int = 32 * MIB) -> Path:
        info = self.client.call("volume.create", VolumeCreate(dg="dg", name=name, size_bytes=size_bytes))
        return Path(info.config.path)

    def rvg_request(self, role: Role = Role.PRIMARY) -> RvgCreate:
        return RvgCreate(rds_id=str(uuid.uuid4()), rvg_id=str(uuid.uuid4()), dg="dg", name="rvg", role=role,
                         volumes=["dv"], srl="srl")

    def make_rvg(self, role: Role = Role.PRIMARY) -> RvgCreate:
        self.volume("dv")
        self.volume("srl")
        request = self.rvg_request(role)
        self.client.call("rvg.create", request)
        return request

    def rvg(self) -> RvgInfo:
        (info,) = self.client.call("rvg.list").rvgs
        assert isinstance(info, RvgInfo)
        return info

    def rvg_up(self, *, not_pid: int = 0) -> RvgInfo:
        def up() -> bool:
            info = self.rvg()
            return info.status is not None and info.worker_pid != not_pid

        wait_for(up, DEADLINE_S, "the worker to be up")
        return self.rvg()

    def link(self, link_id: str = "l1") -> LinkConfig:
        pem = self.client.call("engine.status").certificate
        return LinkConfig(link_id=link_id, name=f"rlk_{link_id}", remote_host=link_id, remote_address="127.0.0.1",
                          remote_port=9, peer_certificate=pem, key="5ec7e7" * 10)

    def event_types(self) -> list[str]:
        return [event.type for event in self.client.call("events.list").events]
