"""Two engines in the situations that verbs need, and the ways into and out of them."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.system.life import DEADLINE_S, HOSTS, RVG, Command, Life, Verb, clean, on
from tests.system.nbd_client import NbdClient
from tests.system.rotting import BLOCK, block_of, rot_record
from tests.system.waiting import wait_for
from tests.torture.verb_cases import ADDED_BYTES, CREATEPRI, EXPORT, RESUME, SETUP, START, UNEXPORT, VOLUMES, Action
from volrep.engine.api import EngineState, Scope, VolumeAdd
from volrep.model.errors import VolrepError
from volrep.model.status import LinkState, RoleFlag, RvgStatus

MIB = 1 << 20
LATER_BYTES = 13 * MIB  # of log behind a record: more than any batch holds, so the record was durable before them

SETTINGS: dict[str, tuple[Action, ...]] = {
    "volumes": (),
    "primary": (CREATEPRI,),
    "pair": (SETUP, "settle"),
}


class VerbStage:
    """Close it: engines, workers, devices and the folder go."""

    def __init__(self, folder: Path, setting: str) -> None:
        folder.mkdir()
        self.life = Life(folder)
        self.folder = folder
        self.rotted = 0
        for host in HOSTS:
            with (folder / f"more.{host}").open("wb") as file:
                file.truncate(ADDED_BYTES)
        self.life.start()
        try:
            for host in HOSTS:
                self.act([("host", "add", host, f"local={folder / host}")])
                self.act(on(host, "volume", "create", name, size).argv for name, size in VOLUMES)
                self.act([on(host, "volume", "add", "dv02", str(folder / f"added.{host}")).argv])
            self.act(SETTINGS[setting])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.life.down.clear()
        self.life.stop()
        clean(self.folder)

    def act(self, actions: Iterable[Action]) -> None:
        """Raises AssertionError when one of them does not end well."""
        for action in actions:
            if isinstance(action, str):
                getattr(self, action)()
                continue
            done = self.life.run(Verb(action))
            assert done.code == 0, f"undisturbed: {' '.join(action)}: {done.code}\n{done.text}"

    # ---- what is to be killed

    def pids(self, hosts: Iterable[str], command: Command) -> dict[str, int]:
        """Processes by the names that points have for them."""
        found = {}
        for host in hosts:
            if host == "command":
                found["command"] = command.pid
                continue
            found[f"{host} engine"] = self.life.engines[host].pid
            found |= {f"{host} worker": pid for pid in self.life.workers(host)}
        return found

    def warm(self, hosts: Iterable[str]) -> None:
        """Whatever an engine does in a second thread, it does in one that is there already: this asks for nothing."""
        for host in hosts:
            if host == "command":
                continue
            with contextlib.suppress(VolrepError), self.life.client(host) as client:
                client.call("volume.add", VolumeAdd(dg="hrdg", name="nowhere", path=str(self.folder / "nowhere")))

    def touched(self) -> list[Path]:
        """Files that a worker makes durable while it starts."""
        return sorted({*self.folder.glob("*/volumes/*/*"), *self.folder.glob("added.*"), *self.folder.glob("more.*")})

    # ---- what is seen

    def picture(self) -> Any:
        """Both hosts as they are, and as an operator is told."""
        told = self.life.show("printrvg")
        return {"life": self.life.picture(),
                "errors": sorted(error["message"] for error in told["config_errors"]) if not self.life.down else []}

    def status(self, host: str) -> RvgStatus | None:
        with self.life.client(host) as client:
            found = client.call("rvg.list", Scope(dg="hrdg", name=RVG)).rvgs
        return found[0].status if found else None

    def settle(self) -> None:
        wait_for(lambda: not self.life.unsettled(), DEADLINE_S, "everything to settle")

    # ---- hosts come and go

    def _goes(self, host: str) -> None:
        workers = self.life.workers(host)
        self.life.engines[host].kill()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.life.workers(host), DEADLINE_S, f"{host}'s worker to be gone")
        self.life.down.add(host)

    def _returns(self, host: str) -> None:
        self.life.down.discard(host)
        self.life.start_engine(host)

    def london_goes(self) -> None:
        self._goes("london")

    def london_returns(self) -> None:
        """It has written nothing that Tokyo lacks, so it follows by itself."""
        self._returns("london")

    def london_returns_acting(self) -> None:
        self._returns("london")
        self._until_flag("london", RoleFlag.ACTING_SECONDARY)

    def tokyo_goes(self) -> None:
        self._goes("tokyo")

    def tokyo_returns(self) -> None:
        self._returns("tokyo")

    def london_engine_goes(self) -> None:
        """Its worker goes on, and no other host reaches it."""
        self.life.engines["london"].kill()
        self.life.down.add("london")

    def london_engine_returns(self) -> None:
        self._returns("london")

    def both_in_conflict(self) -> None:
        for host in HOSTS:
            self._until_flag(host, RoleFlag.PRIMARY_PRIMARY)

    def _until_flag(self, host: str, flag: RoleFlag) -> None:
        wait_for(lambda: (status := self.status(host)) is not None and flag in status.role_flags, DEADLINE_S,
                 f"{host} to be {flag.value}")

    def london_starts_anew(self) -> None:
        """It asks its peers before it serves."""
        (pid,) = self.life.workers("london")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: (status := self.status("london")) is not None and bool(status.asking), DEADLINE_S,
                 "london to ask its peers")

    # ---- writes and links

    def write_at_london(self) -> None:
        self.act([EXPORT])
        self.write_on()
        self.act([UNEXPORT])

    def write_on(self) -> None:
        """Over an export of London that is there, whether its engine is or not."""
        client = NbdClient(self._uri())
        client.write(0, os.urandom(4096))
        client.close()

    def _links(self, state: LinkState) -> bool:
        return any(link.state is state for host in HOSTS if (status := self.status(host)) is not None
                   and status.role.value == "primary" for link in status.links)

    def resume_if_paused(self) -> None:
        if self._links(LinkState.PAUSE):
            self.act([RESUME])

    def start_if_stale(self) -> None:
        if self._links(LinkState.STALE):
            self.act([START])

    # ---- damage

    def _volume(self, name: str) -> Path:
        with self.life.client("london") as client:
            (found,) = client.call("volume.list", Scope(dg="hrdg", name=name)).volumes
        return Path(found.config.path)

    def break_volume(self) -> None:
        """The RVG is in FAIL, although what it lacked is there again."""
        path = self._volume("dv01")
        away = path.with_name("away")
        path.rename(away)
        (pid,) = self.life.workers("london")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: (status := self.status("london")) is not None and status.state == "FAIL", DEADLINE_S,
                 "the RVG to be in FAIL")
        away.rename(path)

    def rot_tokyo_log(self) -> None:
        self._rot_log("tokyo")

    def rot_london_log(self) -> None:
        self._rot_log("london")

    def _rot_log(self, host: str) -> None:
        """A record that is not on the volumes for good is damaged, with others behind it: the RVG is in FAIL.

        Again when a checkpoint came in between, as one does every 5 s.
        """
        for _ in range(10):
            self.rotted += 1  # no two rounds write the same
            self.act([EXPORT])
            client = NbdClient(self._uri())
            for block in range(32):
                client.write(block * BLOCK, block_of(self.rotted << 32 | block))
            for written in range(LATER_BYTES // MIB):
                client.write((1 + written % 3) * MIB, bytes([written + 1]) * MIB)
            client.close()
            self.act([UNEXPORT])
            wait_for(self._same_end, DEADLINE_S, "Tokyo to have it all")
            (srl,) = self.folder.glob(f"{host}/volumes/*/srl")
            self._goes(host)
            rotten = rot_record(srl, self.rotted << 32 | 16)
            self._returns(host)
            if rotten:
                wait_for(lambda: (status := self.status(host)) is not None and status.state == "FAIL", DEADLINE_S,
                         "the RVG to be in FAIL")
                return
            self.settle()
        raise AssertionError("a checkpoint came in between, every time")

    def _same_end(self) -> bool:
        ends = [status.srl.durable_lsn for host in HOSTS if (status := self.status(host)) is not None]
        return ends[0] == ends[-1]

    def _uri(self) -> str:
        return f"nbd+unix:///dv01?socket={self.folder / 'london' / 'run' / 'nbd' / 'hrdg.dv01.sock'}"

    def lose_volume(self) -> None:
        self._volume("dv01").unlink()

    def lose_store(self) -> None:
        """A row is gone: the engine serves nothing but its rebuilding."""
        self.life.engines["london"].kill()
        with contextlib.closing(sqlite3.connect(self.folder / "london" / "config.db")) as store, store:
            store.execute("DELETE FROM rvgs")
        self.life.start_engine("london")
        with self.life.client("london") as client:
            assert client.call("engine.status").state is EngineState.DAMAGED

    # ---- devices

    def make_file_system(self) -> None:
        self.act([on("london", "attach", "dv01").argv])
        with self.life.client("london") as client:
            (attached,) = client.call("attach.list").attached
        subprocess.run(["mkfs.ext4", "-q", "-F", attached.device], check=True, capture_output=True, timeout=60)
        self.act([on("london", "-s", "detach", "dv01").argv])
