"""A Replicated Data Set for system tests: made, loaded, waited for and compared through the command line alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.rounds import same_bytes
from tests.system.hosts import Host, TestBed
from tests.system.waiting import wait_for

SYNC_DEADLINE_S = 120


class Rds:
    """One RDS across the hosts of a test bed; the first host is the Primary. Call `create`, then `start`."""

    def __init__(self, bed: TestBed, hosts: Sequence[str], *, dg: str = "hrdg", name: str = "hr_rvg",
                 volumes: Sequence[str] = ("hr_dv01", "hr_dv02"), srl: str = "hr_srl") -> None:
        self.bed = bed
        self.dg = dg
        self.name = name
        self.volumes = tuple(volumes)
        self.srl = srl
        self.primary = bed.hosts[hosts[0]]
        self.secondaries = [bed.hosts[name] for name in hosts[1:]]

    def volrep(self, *argv: str, exit_code: int | None = 0) -> str:
        return self.bed.operator.volrep("-g", self.dg, *argv, exit_code=exit_code).stdout

    def show(self, *argv: str) -> Any:
        return json.loads(self.volrep("--json", *argv))

    def create(self, size: str = "64m", srl_size: str = "128m", attributes: Sequence[str] = ()) -> None:
        """Volumes on every host, Primary, Secondaries; nothing is replicated yet."""
        for host in (self.primary, *self.secondaries):
            for volume in self.volumes:
                self.volrep("-H", host.name, "volume", "create", volume, size)
            self.volrep("-H", host.name, "volume", "create", self.srl, srl_size)
        self.volrep("-H", self.primary.name, "createpri", self.name, ",".join(self.volumes), self.srl)
        for host in self.secondaries:
            self.volrep("addsec", self.name, self.primary.name, host.name, *attributes)

    def start(self, how: str = "-a") -> None:
        for host in self.secondaries:
            self.volrep(how, "startrep", self.name, host.name)

    def export(self) -> list[str]:
        """URIs of all data volumes, in order."""
        for volume in self.volumes:
            self.volrep("-H", self.primary.name, "export", volume)
        found = {e["volume"]: e["uri"] for e in self.show("exports")["exports"]
                 if e["host"] == self.primary.name}
        return [found[volume] for volume in self.volumes]

    def status(self) -> Any:
        return self.show("repstatus", self.name)

    def up_to_date(self) -> Any:
        """The status if every Secondary is connected, consistent and lacks nothing; None otherwise."""
        status = self.status()
        rows = status["secondaries"]
        good = [row for row in rows if row["connected"] and row["sync"] is None and row["behind"]["writes"] == 0
                and row["data_status"].startswith("consistent")]
        return status if rows and len(good) == len(rows) == len(self.secondaries) else None

    def until_up_to_date(self, deadline_s: float = SYNC_DEADLINE_S) -> None:
        try:
            wait_for(self.up_to_date, deadline_s, f"every Secondary of {self.name} to be up to date")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.status(), indent=1)}") from None

    def path(self, host: Host, volume: str) -> Path:
        """The file of a volume: hosts of a test bed share the file system."""
        (path,) = (v["path"] for v in self.show("volume", "list")["volumes"]
                   if (v["host"], v["name"]) == (host.name, volume))
        return Path(path)

    def assert_equal(self, deadline_s: float = 10) -> None:
        """Every volume is byte-equal on all hosts (what was acknowledged may still be on its way into the file)."""
        for volume in self.volumes:
            first = self.path(self.primary, volume)
            for host in self.secondaries:
                other = self.path(host, volume)
                wait_for(lambda a=first, b=other: same_bytes(a, b), deadline_s,  # type: ignore[misc]  # bound here
                         f"{volume} on {host.name} to equal the Primary's")
