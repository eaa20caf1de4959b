"""A lost or damaged configuration: noticed at the start, workers go on, `engine rebuild` puts it together again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from tests.system.engines import PROGRAM, EngineProcess
from tests.system.nbd_client import NbdClient
from tests.system.waiting import wait_for
from volrep.engine.client import connect_local

DG, RVG = "hrdg", "hr_rvg"
VOLUMES = {"dv01": "16m", "dv02": "8m", "srl": "64m"}
DEADLINE_S = 30
BLOCK = 4096


class Pair:
    """london replicates to tokyo; `dv01` is exported on london."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = os.environ | {"VOLREP_CONFIG_DIR": str(folder / "config"), "VOLREP_STATE": str(folder / "none")}
        self.engines = {name: EngineProcess(name, folder / name, folder / f"{name}.log")
                        for name in ("london", "tokyo")}

    def start(self, *, directory: bool = False) -> None:
        for name, engine in self.engines.items():
            engine.state_dir.mkdir()
            engine.start("--listen", "127.0.0.1", "--port", "0")
            self.volrep("host", "add", name, f"local={engine.state_dir}")
            where = [f"directory={self.folder / f'{name}.disks'}"] if directory else []
            if directory:
                (self.folder / f"{name}.disks").mkdir()
            for volume, size in VOLUMES.items():
                self.volrep("-g", DG, "-H", name, "volume", "create", volume, size, *where)
        self.volrep("-g", DG, "-H", "london", "volume", "create", "spare", "1m")
        self.volrep("-g", DG, "setup", RVG, "dv01,dv02", "srl", "london", "tokyo", "encryption=off", "-w")
        self.volrep("-g", DG, "-H", "london", "export", "dv01")

    def volrep(self, *argv: str, exit_code: int = 0) -> str:
        done = subprocess.run([str(PROGRAM), *argv], env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)
        assert done.returncode == exit_code, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def show(self, *argv: str) -> Any:
        done = subprocess.run([str(PROGRAM), "--json", *argv], env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    def state(self, host: str) -> Path:
        return self.engines[host].state_dir

    def worker_pid(self, host: str) -> int:
        with connect_local(self.state(host)) as client:
            (info,) = client.call("rvg.list").rvgs
            return int(info.worker_pid)

    def configuration(self) -> Any:
        """All objects of both hosts, without what a rebuilding makes anew or cannot know."""
        found = {}
        for host in self.engines:
            with connect_local(self.state(host)) as client:
                found[host] = (
                    [(r.config.changed(links=[]), [(k.link_id, k.name, k.attributes, k.remote_port)
                                                                 for k in r.config.links])
                     for r in client.call("rvg.list").rvgs],
                    sorted((v.config.name, v.config.path, v.config.size_bytes, v.config.created_by_us, v.use, v.export)
                           for v in client.call("volume.list").volumes))
        return found

    def write(self, byte: int) -> None:
        wait_for(lambda: self.show("printrvg", RVG)["rds"][0]["primary"]["kstate"] == "ENABLED", DEADLINE_S, "the RVG")
        (uri,) = [e["uri"] for e in self.show("exports")["exports"]]
        client = NbdClient(uri)
        client.write(0, bytes([byte]) * BLOCK)
        client.close()

    def arrives(self, byte: int) -> None:
        """What is written on london reaches tokyo, without a copy of the whole."""
        self.write(byte)
        there = Path(self.configuration()["tokyo"][1][0][1])
        wait_for(lambda: there.open("rb").read(BLOCK) == bytes([byte]) * BLOCK, DEADLINE_S, "the write to arrive")
        status = self.show("repstatus", RVG)
        (row,) = status["secondaries"]
        assert (row["connected"], row["sync"], status["config_errors"]) == (True, None, [])

    def stop(self) -> None:
        for engine in self.engines.values():
            engine.stop()


@pytest.fixture
def make_pair() -> Generator[Callable[..., Pair]]:
    made: list[Pair] = []
    with tempfile.TemporaryDirectory(prefix="vr") as folder:  # sockets need a short path

        def make(**how: bool) -> Pair:
            made.append(Pair(Path(folder)))
            made[-1].start(**how)
            return made[-1]

        try:
            yield make
        finally:
            for pair in made:
                pair.stop()


def flip(path: Path) -> None:
    """One bit of a volume's path wherever it is configured, which no structure of SQLite notices."""
    before = b'"name":"dv01","path":"/'
    data = path.read_bytes()
    assert before in data
    path.write_bytes(data.replace(before, before[:-1] + b"."))


def damage(state: Path, how: str) -> None:
    database, log = state / "config.db", state / "config.db-wal"
    if how == "flipped":
        checkpoint(database)
        flip(database)
    elif how == "zero length":
        log.unlink(missing_ok=True)
        database.write_bytes(b"")
    elif how == "truncated":
        checkpoint(database)
        os.truncate(database, database.stat().st_size // 2)
    elif how == "missing":
        log.unlink(missing_ok=True)
        database.unlink()
    else:
        assert log.stat().st_size > 0, "there is a log to lose"
        log.unlink()


def checkpoint(database: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


LONG = os.environ.get("VOLREP_LONG") == "1"  # what the unit tests of the store show for each kind of damage, too


@pytest.mark.parametrize("how", ["flipped", "log lost"] + ["zero length", "truncated", "missing"] * LONG)
def test_damage_is_noticed_and_the_copy_put_back_while_the_worker_goes_on(make_pair: Callable[..., Pair],
                                                                          how: str) -> None:
    pair = make_pair()
    before, worker = pair.configuration(), pair.worker_pid("london")
    pair.engines["london"].kill()
    damage(pair.state("london"), how)
    kept = (pair.state("london") / "config.copy").read_bytes()
    pair.engines["london"].start("--listen", "127.0.0.1")
    london, tokyo = pair.show("engine", "status")["engines"]
    assert (london["state"], tokyo["state"]) == ("damaged", "serving")
    assert "VR-1704" in pair.volrep("-H", "london", "-g", DG, "volume", "create", "x", "1m", exit_code=1)
    assert "VR-1704" in pair.volrep("repstatus", RVG)
    os.kill(worker, 0)  # it lives
    plan = pair.volrep("--dry-run", "engine", "rebuild")
    assert "the copy of change" in plan
    assert (pair.state("london") / "config.copy").read_bytes() == kept
    text = pair.volrep("-s", "engine", "rebuild")
    assert "lost: history and events" in text
    assert (pair.configuration(), pair.worker_pid("london")) == (before, worker)
    pair.arrives(0x5A)
    assert list(pair.state("london").glob("config.db.damaged-*")) or how == "missing"
    assert "nothing to do" in pair.volrep("-s", "-H", "london", "engine", "rebuild")
    pair.engines["london"].kill()
    pair.engines["london"].start("--listen", "127.0.0.1")
    assert pair.configuration() == before


@pytest.mark.parametrize(("host", "alive"), [("london", False)] + [("london", True), ("tokyo", False)] * LONG)
def test_without_a_copy_it_is_built_from_workers_srl_headers_and_the_other_hosts(make_pair: Callable[..., Pair],
                                                                                 host: str, alive: bool) -> None:
    pair = make_pair()
    before = pair.configuration()
    worker = pair.worker_pid(host)
    pair.engines[host].kill()
    if not alive:
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{worker}").exists() or "Z" in
                 Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2], DEADLINE_S, "the worker to end")
    for path in pair.state(host).glob("config.*"):
        path.unlink()
    pair.engines[host].start("--listen", "127.0.0.1")
    assert "VR-1704" in pair.volrep("-H", host, "-g", DG, "volume", "create", "x", "1m", exit_code=1)
    text = pair.volrep("-s", "engine", "rebuild")
    assert "lost: history, events" in text
    assert ("living worker" if alive else "the header of") in text
    assert pair.configuration() == before
    if alive:
        assert pair.worker_pid(host) == worker
    pair.arrives(0x5B)


def test_a_host_set_up_afresh_on_old_disks_finds_its_rvg(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair(directory=True)
    before = pair.configuration()
    pair.engines["london"].stop()
    shutil.rmtree(pair.state("london"))
    pair.state("london").mkdir()
    pair.engines["london"].start("--listen", "127.0.0.1", "--port", "0")
    disks = pair.folder / "london.disks"
    plan = pair.volrep("--dry-run", "-H", "london", "engine", "rebuild", f"search={disks}")
    assert f"the header of {disks / 'srl'}" in plan
    pair.volrep("-s", "-H", "london", "engine", "rebuild", f"search={disks}")
    rvgs, _ = pair.configuration()["london"]
    assert [config for config, _ in rvgs] == [config for config, _ in before["london"][0]]
    assert [[link[:3] for link in links] for _, links in rvgs] == [
        [link[:3] for link in links] for _, links in before["london"][0]]
    pair.arrives(0x5C)


@pytest.mark.parametrize("lost", ["key.pem"] + ["cert.pem", "damaged"] * LONG)
def test_a_lost_identity_is_told_and_made_known_again(make_pair: Callable[..., Pair], lost: str) -> None:
    pair = make_pair()
    pair.volrep("set", RVG, "encryption=tls")
    pair.engines["london"].stop()
    if lost == "damaged":
        (pair.state("london") / "key.pem").write_bytes(b"\0" * 200)
    else:
        (pair.state("london") / lost).unlink()
    pair.engines["london"].start("--listen", "127.0.0.1")
    assert "made anew" in pair.show("-H", "london", "engine", "status")["engines"][0]["problem"]
    errors = [error["message"] for error in pair.show("repstatus", RVG)["config_errors"]]
    wanted = "tokyo knows london by another certificate: `volrep -H london engine rebuild`"
    assert [error for error in errors if wanted in error], errors
    pair.volrep("-s", "-H", "london", "engine", "rebuild")
    wait_for(lambda: pair.show("repstatus", RVG)["secondaries"][0]["connected"], DEADLINE_S, "the link to connect")
    pair.arrives(0x5D)
