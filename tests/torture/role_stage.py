"""Hosts whose Primary role moves, with a PostgreSQL that moves along by the hooks of packaging/hooks.

Two sessions commit as fast as they are answered, and keep when each commit was acknowledged. So it can be said after
every change of the role whether one of them is missing, and whether what is missing is the end of the order.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.rounds import same_bytes
from tests.system.database import Database, install_hooks, make_database
from tests.system.hosts import Host, TestBed
from tests.system.rds import Rds
from tests.system.waiting import wait_for
from tests.torture.ground import MIB, Undo
from tests.torture.host_stage import DEADLINE_S, GONE_S, is_alive
from tests.torture.ledger import Violation
from tests.torture.load_database import CLIENTS, Client, Postgres
from volrep.engine.attach import clear_away, cut_off

VOLUME = "pg"
SIZE_MIB = 256
SRL_BYTES = 64 * MIB
BLOCK_BYTES = 4096


def differing_bytes(a: Path, b: Path, step_bytes: int = 1 << 18) -> int:
    """Bytes in blocks of 4 KiB whose content differs between two files of equal length."""
    found = 0
    with a.open("rb") as one, b.open("rb") as other:
        while mine := one.read(step_bytes):
            theirs = other.read(step_bytes)
            if mine != theirs:
                found += sum(BLOCK_BYTES for at in range(0, len(mine), BLOCK_BYTES)
                             if mine[at:at + BLOCK_BYTES] != theirs[at:at + BLOCK_BYTES])
    return found


class Acked(list[int]):
    """The last acknowledged number of each client, and when each number was acknowledged."""

    def __init__(self) -> None:
        super().__init__([0] * CLIENTS)
        self.times_ns: list[dict[int, int]] = [{} for _ in range(CLIENTS)]

    def __setitem__(self, client: Any, number: Any) -> None:
        self.times_ns[client][number] = time.time_ns()
        super().__setitem__(client, number)

    def before(self, client: int, when_ns: int) -> int:
        """The last number acknowledged before a moment."""
        return max((n for n, t in self.times_ns[client].items() if t < when_ns), default=0)

    def found(self, top: list[int]) -> None:
        """Go on from what is there now."""
        for client, number in enumerate(top):
            list.__setitem__(self, client, number)
            self.times_ns[client] = {}


class RoleStage:
    """A data set over `names`, the first one Primary, its database running and loaded. Close it."""

    def __init__(self, where: Path, rng: random.Random, *, names: tuple[str, ...], synchronous: bool) -> None:
        self.rng, self.names = rng, names
        self.place = Path(tempfile.mkdtemp(prefix="vrr", dir=where))
        self.place.chmod(0o755)
        self.undo = Undo()
        self.undo.add(lambda: shutil.rmtree(self.place))
        self.clients: list[Client] = []
        self.acked = Acked()
        self.committed = 0
        self.last_logs = ""
        self.measured: dict[str, list[float]] = {}
        try:
            self.bed = TestBed()
            self.undo.add(self.bed.close)
            for name in names:
                self.bed.add_host(name)
            self.bed.enter_in_inventory()
            self.databases = {name: install_hooks(host.hooks, self.place / name, dg="hrdg", rvg="hr_rvg", volume=VOLUME,
                                                  enter=host.node.enter) for name, host in self.bed.hosts.items()}
            self.rds = Rds(self.bed, names, volumes=(VOLUME,))
            mode = "override" if synchronous else "off"
            self.rds.create(f"{SIZE_MIB}m", f"{SRL_BYTES // MIB}m", (f"synchronous={mode}",))
            self.paths = {v["host"]: Path(v["path"]) for v in self.rds.show("volume", "list")["volumes"]
                          if v["name"] == VOLUME}
            self.undo.add(self._let_go)
            self._first_database()
            self.rds.start()
            self.rds.until_up_to_date()
            self.events_seen = {name: 0 for name in names}
            self.new_events()
        except BaseException:
            with suppress(Exception):
                self.undo.close()
            raise

    def _first_database(self) -> None:
        first = self.primary.name
        self.rds.volrep("-H", first, "attach", VOLUME)
        (device,) = (e["device"] for e in self.rds.show("exports")["exports"])
        make_database(self.databases[first], device)
        self.rds.volrep("-H", first, "detach", VOLUME)
        self.rds.volrep("-s", "migrate", self.rds.name, first)  # it is Primary: only its hooks are left to be run
        self.server.prepare()

    # ---- who is what

    @property
    def primary(self) -> Host:
        return self.rds.primary

    @property
    def database(self) -> Database:
        return self.databases[self.primary.name]

    @property
    def server(self) -> Postgres:
        """For questions: the hooks start and stop it."""
        found = self.database
        return Postgres(found.data, found.data / "pg_wal", found.sockets, found.enter)

    def crowned(self, name: str) -> None:
        """The test's own idea of who is Primary."""
        self.rds.primary = self.bed.hosts[name]
        self.rds.secondaries = [self.bed.hosts[other] for other in self.names if other != name]

    def new_events(self) -> list[dict[str, Any]]:
        """What happened since this was asked last."""
        found = [e for e in self.rds.show("events", "--limit", "1000")["events"]
                 if e["id"] > self.events_seen[e["host"]]]
        for event in found:
            self.events_seen[event["host"]] = max(self.events_seen[event["host"]], event["id"])
        return found

    # ---- load

    def load(self) -> None:
        server = self.server
        before = list(self.acked)
        self.clients = [Client(server, number, self.acked, self.rng) for number in range(CLIENTS)]
        try:
            wait_for(lambda: all(a > b for a, b in zip(self.acked, before, strict=True)), DEADLINE_S,
                     "both clients to commit")
        except AssertionError:
            raise Violation(f"nobody commits: {[c.failed for c in self.clients]}") from None

    def stop_load(self) -> None:
        for client in self.clients:
            client.stop()
        self.clients = []

    def check(self, safe_ns: int | None = None) -> None:
        """Everything acknowledged is there; with `safe_ns` everything acknowledged before, and no gap anywhere."""
        server = self.server
        if safe_ns is None:
            top = server.check(self.acked)
        else:
            top = server.check()
            for client, newest in enumerate(top):
                if newest < (safe := self.acked.before(client, safe_ns)):
                    raise Violation(f"client {client}: {safe} was acknowledged before the moment that takeover called "
                                    f"safe, {newest} is the last there")
        self.committed = sum(top)
        self.acked.found(top)

    # ---- the role

    def migrate(self, name: str) -> None:
        began_s = time.monotonic()
        self.rds.volrep("-s", "migrate", self.rds.name, name)
        self.crowned(name)
        self._until_it_writes()
        self.measure("migrate_s", time.monotonic() - began_s)

    def takeover(self, name: str) -> int:
        """The moment that it calls safe: everything completed before by the Primary's clock is there."""
        said = self.rds.show("--dry-run", "takeover", self.rds.name, name)
        (site,) = (s for s in said["sites"] if s["host"] == name)
        began_s = time.monotonic()
        self.rds.volrep("-s", "takeover", self.rds.name, name)
        self.measure("takeover_command_s", time.monotonic() - began_s)
        self.crowned(name)
        self._until_it_writes()
        self.measure("takeover_to_first_write_s", time.monotonic() - began_s)
        return int(datetime.fromisoformat(site["safe_until"]).timestamp() * 1e9) if site["safe_until"] else 0

    def _until_it_writes(self) -> None:
        def writes() -> bool:
            try:
                self.database.sql("create temporary table if not exists w (n int); insert into w values (1)")
            except AssertionError:
                return False
            return True

        wait_for(writes, DEADLINE_S, f"PostgreSQL on {self.primary.name} to take a write")

    def fail_back(self, name: str) -> None:
        """The old Primary is there again: it serves nobody, gets what differs, and the role goes home."""
        def acting() -> Any:
            found = self.rds.show("printrvg", self.rds.name)["rds"][0]["hosts"]
            return [h for h in found if h["host"] == name and h["role"] == "acting Secondary"]

        def follows() -> bool:
            """It was killed with nothing that the new Primary lacks."""
            return any(row["host"] == name and row["connected"] and row["data_status"].startswith("consistent")
                       for row in self.rds.status()["secondaries"])

        wait_for(lambda: acting() or follows(), DEADLINE_S, f"{name} to be acting Secondary, or to follow")
        if acting():
            self.measure("differing_bytes", differing_bytes(self.paths[name], self.paths[self.primary.name]))
            began_s = time.monotonic()
            self.rds.volrep("-s", "-w", "fbsync", self.rds.name, name)
            self.measure("fbsync_s", time.monotonic() - began_s)

    def _database_logs(self) -> str:
        """What PostgreSQL and the hooks said last, for the report of a broken round."""
        paths = [database.sockets / "log" for database in self.databases.values()]
        paths += [host.state_dir / "log" / "hooks.log" for host in self.bed.hosts.values()]
        return "".join(f"\n--- {path}\n{path.read_text(errors='replace')[-6000:]}" for path in paths if path.exists())

    def measure(self, what: str, value: float) -> None:
        self.measured.setdefault(what, []).append(value)

    # ---- faults

    def kill_host(self, host: Host) -> None:
        """SIGKILL to every process of the host at once; its devices are gone as after a power cut."""
        while left := [pid for pid in host.node.pids() if is_alive(pid)]:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_for(lambda pids=left: not any(is_alive(pid) for pid in pids),  # type: ignore[misc]  # bound here
                     GONE_S, f"the processes of {host.name} to be gone")
        host.engine.stop()
        host.stop_sshd()
        self._drop_devices(host)

    def _drop_devices(self, host: Host) -> None:
        """What the kernel of a machine that is off does not have."""
        for folder in (host.state_dir / "run" / "attach").glob("*"):
            cut_off(folder)
            clear_away(folder, "")

    def return_host(self, host: Host) -> None:
        host.start_sshd()
        host.engine.start()

    # ---- the end

    def converge(self) -> None:
        """Nothing is written any more; all hosts become equal byte by byte. Raises Violation."""
        self.database.sql("checkpoint")
        subprocess.run(["sync", "-f", str(self.database.mount)], check=True)
        try:
            self.rds.until_up_to_date()
            for host in self.rds.secondaries:
                mine, theirs = self.paths[self.primary.name], self.paths[host.name]
                wait_for(lambda a=mine, b=theirs: same_bytes(a, b), DEADLINE_S,  # type: ignore[misc]  # bound here
                         f"the volume on {host.name} to equal the Primary's")
        except AssertionError as error:
            raise Violation(f"the hosts do not converge: {error}") from error

    def _let_go(self) -> None:
        self.stop_load()
        for host in self.bed.hosts.values():
            for pid in host.node.pids():
                with suppress(OSError, ValueError):
                    if b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, signal.SIGKILL)
            self._drop_devices(host)

    def close(self) -> None:
        self.undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is not None:
            self.last_logs = self.bed.logs() + self._database_logs()
        self.close()
