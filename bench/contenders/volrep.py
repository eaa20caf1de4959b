"""volrep: two engines on this machine and one Secondary, set up through the command line like any other pair."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.contenders.base import Contender
from bench.cost import descendants
from bench.errors import BenchError
from tests.system.engines import PROGRAM, EngineProcess

SRL_BYTES = 1 << 30  # 5 s of 4 KiB writes at 40,000/s are 832 MiB: the load does not fill it while the copy follows
VERB_DEADLINE_S = 120.0
SETTLE_DEADLINE_S = 120.0
DG, RVG, VOLUME, SRL = "bench", "rvg", "volume", "srl"
PRIMARY, SECONDARY = "london", "tokyo"


class Site:
    """One engine or two below a folder, and the command line that rules them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engines: list[EngineProcess] = []

    def add_host(self, name: str, address: str = "127.0.0.1") -> None:
        engine = EngineProcess(name, self.folder / name, self.folder / "log")
        engine.state_dir.mkdir()
        self._engines.append(engine)
        engine.start("--listen", "127.0.0.1", "--port", "0")
        self.volrep("host", "add", name, f"local={engine.state_dir}", f"address={address}")

    def volrep(self, *argv: str) -> str:
        env = os.environ | {"VOLREP_CONFIG_DIR": str(self.folder / "config")}
        done = subprocess.run([str(PROGRAM), *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=VERB_DEADLINE_S, check=False, env=env)
        if done.returncode != 0:
            raise BenchError(f"volrep {' '.join(argv)}: exit {done.returncode}\n{done.stderr}\n{self.log_tail()}")
        return done.stdout

    def show(self, *argv: str) -> Any:
        return json.loads(self.volrep("--json", *argv))

    def create(self, host: str, volume: str, size_bytes: int) -> None:
        self.volrep("-g", DG, "-H", host, "volume", "create", volume, str(size_bytes))

    def export(self, volume: str) -> str:
        """The URI of the Primary's volume."""
        self.volrep("-g", DG, "-H", PRIMARY, "export", volume)
        (uri,) = (e["uri"] for e in self.show("exports")["exports"]
                  if e["host"] == PRIMARY and e["volume"] == volume)
        return str(uri)

    def paths(self, volume: str) -> list[Path]:
        """The file of the volume on each host, the Primary's first."""
        volumes = self.show("-g", DG, "volume", "list")["volumes"]
        hosts = (PRIMARY, SECONDARY)
        return [Path(v["path"]) for host in hosts for v in volumes if v["host"] == host and v["name"] == volume]

    def pids(self, host: str = "") -> list[int]:
        """Engines and workers, of all hosts or one."""
        return [pid for engine in self._engines if host in ("", engine.name)
                for pid in (engine.pid, *descendants(engine.pid))]

    def log_tail(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def stop(self) -> None:
        """SIGTERM: an engine takes its workers along."""
        for engine in self._engines:
            engine.stop()
        self._engines.clear()


class Pair:
    """One Primary, one Secondary, TCP over loopback; the attributes of the link change from turn to turn."""

    def __init__(self) -> None:
        self.site: Site | None = None
        self.uri = ""
        self.filled = False
        self._attributes: dict[str, str] = {}

    def start(self, folder: Path, size_bytes: int, attributes: dict[str, str], srl_bytes: int = 0) -> None:
        """`srl_bytes` 0: SRL_BYTES."""
        self.site = site = Site(folder)
        for name in (PRIMARY, SECONDARY):
            site.add_host(name)
            site.create(name, VOLUME, size_bytes)
            site.create(name, SRL, srl_bytes or SRL_BYTES)
        site.volrep("-g", DG, "-H", PRIMARY, "createpri", RVG, VOLUME, SRL)
        site.volrep("-g", DG, "addsec", RVG, PRIMARY, SECONDARY, *_words(attributes))
        self._attributes = attributes
        site.volrep("-g", DG, "-a", "startrep", RVG, SECONDARY)
        self.uri = site.export(VOLUME)

    def switch(self, attributes: dict[str, str]) -> None:
        """These attributes are in force on return."""
        assert self.site is not None
        if attributes != self._attributes:
            self.site.volrep("-g", DG, "set", RVG, SECONDARY, *_words(attributes))
            self._attributes = attributes
        wanted = "synchronous" if attributes["synchronous"] == "override" else "asynchronous"
        self.await_(lambda link: _up_to_date(link) and link["current_mode"] == wanted, f"to be {wanted}")

    def settle_s(self) -> float:
        """Until `repstatus` says that the Secondary lacks nothing; known to a poll, about 0.3 s."""
        return self.await_(_up_to_date, "to be up to date")

    def await_(self, right: Callable[[dict[str, Any]], bool], what: str) -> float:
        """Seconds until `repstatus` shows the link so. Raises BenchError."""
        assert self.site is not None
        start_s = time.monotonic()
        while time.monotonic() < start_s + SETTLE_DEADLINE_S:
            (link,) = self.site.show("-g", DG, "repstatus", RVG)["secondaries"]
            if right(link):
                return time.monotonic() - start_s
        raise BenchError(f"waited {SETTLE_DEADLINE_S:g} s for the Secondary {what}: {link}\n{self.site.log_tail()}")

    def stop(self) -> None:
        if self.site is not None:
            self.site.stop()
            self.site = None


class VolrepMode(Contender):
    """A shared pair in one of its modes."""

    def __init__(self, name: str, pair: Pair, *, synchronous: str, encryption: str, sync_ack: str = "network") -> None:
        copy = "the copy follows in order"
        if synchronous == "override":
            copy = "durable there" if sync_ack == "data" else "in the copy's memory"
        super().__init__(name, f"durable here; {copy}")
        self._pair = pair
        self._attributes = {"synchronous": synchronous, "encryption": encryption, "sync_ack": sync_ack}

    def _start(self) -> str:
        if self._pair.site is None:
            self._pair.start(self.folder, self.size_bytes, self._attributes)
        else:
            self.folder = self._pair.site.folder
        return self._pair.uri

    def fill(self) -> None:
        if not self._pair.filled:
            super().fill()
            self._pair.filled = True

    def enter(self) -> None:
        self._pair.switch(self._attributes)

    def settle_s(self) -> float:
        return self._pair.settle_s()

    def copies(self) -> Sequence[Path]:
        assert self._pair.site is not None
        return self._pair.site.paths(VOLUME)

    def pids(self) -> list[int]:
        assert self._pair.site is not None
        return self._pair.site.pids()

    def stop(self) -> None:
        self._pair.stop()


class VolrepAlone(Contender):
    """A Primary without a Secondary: the log, and nothing else."""

    readable = True

    def __init__(self, name: str) -> None:
        super().__init__(name, "durable; no copy")
        self._site: Site | None = None

    def _start(self) -> str:
        self._site = site = Site(self.folder)
        site.add_host(PRIMARY)
        site.create(PRIMARY, VOLUME, self.size_bytes)
        site.create(PRIMARY, SRL, SRL_BYTES)
        site.volrep("-g", DG, "-H", PRIMARY, "createpri", RVG, VOLUME, SRL)
        return site.export(VOLUME)

    def pids(self) -> list[int]:
        assert self._site is not None
        return self._site.pids()

    def stop(self) -> None:
        if self._site is not None:
            self._site.stop()
            self._site = None


def _words(attributes: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in attributes.items()]


def _up_to_date(link: dict[str, Any]) -> bool:
    return (link["connected"] and link["sync"] is None and link["behind"]["writes"] == 0
            and "consistent" in link["data_status"] and "inconsistent" not in link["data_status"])
