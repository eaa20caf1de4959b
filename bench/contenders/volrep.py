"""volrep: two engines on this machine and one Secondary, set up through the command line like any other pair."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contenders.base import BenchError, Contender
from bench.cost import descendants
from tests.system.engines import PROGRAM, EngineProcess

SRL_BYTES = 2 << 30  # 12 s of 4 KiB writes at 40,000/s: 5 s of load do not fill it while the Secondary catches up
SETTLE_DEADLINE_S = 120.0
DG, RVG, VOLUME, SRL = "benchdg", "bench_rvg", "bench_dv", "bench_srl"
PRIMARY, SECONDARY = "london", "tokyo"


class VolrepPair(Contender):
    """One Primary, one Secondary, TCP over loopback."""

    def __init__(self, name: str, *, synchronous: str, encryption: str) -> None:
        super().__init__()
        self.name = name
        self._attributes = (f"synchronous={synchronous}", f"encryption={encryption}")
        contract = ("and in the memory of the Secondary" if synchronous == "override"
                    else "the Secondary follows in order")
        self.durability = f"durable on this host, {contract}; link {'TLS 1.3' if encryption == 'tls' else 'plain'}"
        self._engines: list[EngineProcess] = []

    def _start(self) -> str:
        for name in (PRIMARY, SECONDARY):
            engine = EngineProcess(name, self.folder / name, self.folder / "log")
            engine.state_dir.mkdir()
            self._engines.append(engine)
            engine.start("--listen", "127.0.0.1", "--port", "0")
            self._volrep("host", "add", name, f"local={engine.state_dir}", "address=127.0.0.1")
            self._volrep("-g", DG, "-H", name, "volume", "create", VOLUME, str(self.size_bytes))
            self._volrep("-g", DG, "-H", name, "volume", "create", SRL, str(SRL_BYTES))
        self._volrep("-g", DG, "-H", PRIMARY, "createpri", RVG, VOLUME, SRL)
        self._volrep("-g", DG, "addsec", RVG, PRIMARY, SECONDARY, *self._attributes)
        self._volrep("-g", DG, "-a", "startrep", RVG, SECONDARY)
        self._volrep("-g", DG, "-H", PRIMARY, "export", VOLUME)
        self.settle_s()
        (uri,) = (e["uri"] for e in self._show("exports")["exports"] if e["host"] == PRIMARY)
        return str(uri)

    def settle_s(self) -> float:
        """Until `repstatus` says that the Secondary lacks nothing; known to a poll, about 0.3 s."""
        start_s = time.monotonic()
        while time.monotonic() < start_s + SETTLE_DEADLINE_S:
            (secondary,) = self._show("-g", DG, "repstatus", RVG)["secondaries"]
            if secondary["connected"] and secondary["sync"] is None and secondary["behind"]["writes"] == 0 \
                    and "consistent" in secondary["data_status"] and "inconsistent" not in secondary["data_status"]:
                return time.monotonic() - start_s
        raise BenchError(f"{self.name}: the Secondary is not up to date after {SETTLE_DEADLINE_S:g} s: {secondary}\n"
                         f"{self.log_tail()}")

    def copies(self) -> Sequence[Path]:
        volumes = self._show("-g", DG, "volume", "list")["volumes"]
        return [Path(v["path"]) for host in (PRIMARY, SECONDARY) for v in volumes
                if v["host"] == host and v["name"] == VOLUME]

    def pids(self) -> list[int]:
        return [pid for engine in self._engines for pid in (engine.pid, *descendants(engine.pid))]

    def stop(self) -> None:
        """SIGTERM: the engine takes its workers along."""
        for engine in self._engines:
            engine.stop()
        self._engines.clear()
        super().stop()

    def _volrep(self, *argv: str) -> str:
        env = os.environ | {"VOLREP_CONFIG_DIR": str(self.folder / "config")}
        done = subprocess.run([str(PROGRAM), *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=120, check=False, env=env)
        if done.returncode != 0:
            raise BenchError(f"volrep {' '.join(argv)}: exit {done.returncode}\n{done.stderr}\n{self.log_tail()}")
        return done.stdout

    def _show(self, *argv: str) -> Any:
        return json.loads(self._volrep("--json", *argv))
