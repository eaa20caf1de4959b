"""Engines london and tokyo on this machine, worked with through the command line."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.system.engines import PROGRAM, EngineProcess
from volrep.rds.fleet import Fleet
from volrep.rds.inventory import Inventory

DG, RVG = "hrdg", "hr_rvg"
VOLUMES = {"dv01": "16m", "dv02": "8m", "srl": "64m"}


class Pair:
    """Engines london and tokyo with volumes of equal sizes, in an inventory of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = os.environ | {"VOLREP_CONFIG_DIR": str(folder / "config"), "VOLREP_STATE": str(folder / "none")}
        self.engines = {name: EngineProcess(name, folder / name, folder / "log") for name in ("london", "tokyo")}

    def start(self) -> None:
        for name, engine in self.engines.items():
            engine.state_dir.mkdir()
            engine.start("--listen", "127.0.0.1", "--port", "0")
            self.volrep("host", "add", name, f"local={engine.state_dir}")
            for volume, size in VOLUMES.items():
                self.volrep("-g", DG, "-H", name, "volume", "create", volume, size)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(PROGRAM), *argv], env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60, check=False)

    def volrep(self, *argv: str, exit_code: int = 0) -> str:
        done = self.run(*argv)
        assert done.returncode == exit_code, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def show(self, *argv: str) -> Any:
        return json.loads(self.run("--json", *argv).stdout)

    def fleet(self) -> Fleet:
        return Fleet(Inventory(self.folder / "config", self.folder / "none"), "test")

    def configuration(self) -> Any:
        """What stays the same when nothing was changed: RVGs, links without their ids, use of volumes."""
        with self.fleet() as fleet:
            return [(view.name, [(r.config.name, r.config.rvg_id, r.config.role,
                                  [(link.name, link.attributes) for link in r.config.links]) for r in view.rvgs],
                     [(v.config.name, v.use) for v in view.volumes]) for view in fleet.observe().hosts]
