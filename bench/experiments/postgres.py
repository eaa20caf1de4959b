"""PostgreSQL on ext4 on a volume: replicated by volrep, or an nbdkit export.

Both become block devices the same way (volrep's own `attach`: QEMU's FUSE export and a loop device), so what differs is
the server behind them. Needs root for the device and the mount.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.contenders.base import Contender, free_port
from bench.contenders.nbdkit import Nbdkit
from bench.contenders.volrep import Pair, VolrepMode
from bench.cost import begin, cost_of
from bench.errors import BenchError
from bench.experiments.base import Experiment
from bench.rounds import Plan
from bench.sample import Row, Sample
from volrep.engine.attach import Source, attach, detach

CLIENTS = 8
MIB_PER_SCALE = 16  # of tables and indexes
SPARE_MIB = 1024  # WAL, system tables, the file system
TOOL_DEADLINE_S = 600.0
DEBIAN_TOOLS = "/usr/lib/postgresql"


class Pgbench(Experiment):
    rows = (Row("pgbench", f"PostgreSQL, pgbench (TPC-B), {CLIENTS} clients, ext4", "tps", "nbdkit"),)

    def rounds(self, folder: Path, plan: Plan) -> Iterator[Sample]:
        if os.geteuid() != 0:
            raise BenchError("pgbench: needs root, for block devices and mounts")
        size_bytes = (self.extent.pgbench_scale * MIB_PER_SCALE + SPARE_MIB) << 20
        contenders: Sequence[Contender] = (
            Nbdkit("nbdkit", fua=False),
            VolrepMode("volrep-async", Pair(), synchronous="off", encryption="off"))
        seconds = max(self.extent.pgbench_seconds, plan.seconds)
        with ExitStack() as stack:
            databases = []
            for contender in contenders:
                here = folder / contender.name
                here.mkdir()
                stack.callback(contender.stop)
                contender.start(here, size_bytes)
                contender.settle_s()
                database = Database(here, contender.uri)
                stack.callback(database.stop)
                database.start(self.extent.pgbench_scale)
                databases.append(database)
            for number in range(1, plan.rounds + 1):
                for contender, database in zip(contenders, databases, strict=True):
                    database.checkpoint()
                    pids = contender.pids()
                    cost = begin(pids)
                    tps = database.transactions_per_s(seconds)
                    settle_s = contender.settle_s()
                    after = cost_of(pids)
                    yield Sample("pgbench", contender.name, number, tps, round(tps * seconds),
                                 cpu_s=after.cpu_s - cost.cpu_s, rss_bytes=after.rss_bytes, settle_s=settle_s)


@dataclass(slots=True)
class _Mounted:
    device_folder: Path
    device: str
    mount: Path


class Database:
    """One server on a file system on the export of `uri`."""

    def __init__(self, folder: Path, uri: str) -> None:
        self._folder = folder
        self._uri = uri
        self._port = free_port()
        self._mounted: _Mounted | None = None
        self._data = folder / "mnt" / "data"
        self._running = False

    def start(self, scale: int) -> None:
        found = re.fullmatch(r"nbd\+unix:///([^?]*)\?socket=(.*)", self._uri)
        assert found is not None, self._uri
        device_folder, mount = self._folder / "attached", self._folder / "mnt"
        device = attach(device_folder, Source(found[1], found[2], "", 0))
        self._mounted = _Mounted(device_folder, device.path, mount)
        _run("mkfs.ext4", "-q", "-F", device.path)
        mount.mkdir()
        _run("mount", device.path, str(mount))
        for path in (self._folder.parent, self._folder, mount):
            path.chmod(0o755)
        user = pwd.getpwnam("postgres")
        self._data.mkdir()
        for path in (self._data, mount):
            os.chown(path, user.pw_uid, user.pw_gid)
        self._as_postgres("initdb", "-D", str(self._data), "--auth=trust", "--no-sync")
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = ''\nport = {self._port}\nunix_socket_directories = '{mount}'\n"
                           "shared_buffers = 128MB\nmax_wal_size = 512MB\n")
        self._as_postgres("pg_ctl", "-D", str(self._data), "-w", "-l", str(mount / "log"), "start")
        self._running = True
        self._as_postgres("pgbench", *self._where(), "-i", "-q", "-s", str(scale))

    def _where(self) -> list[str]:
        assert self._mounted is not None
        return ["-h", str(self._mounted.mount), "-p", str(self._port), "postgres"]

    def checkpoint(self) -> None:
        self._as_postgres("psql", *self._where(), "-q", "-c", "CHECKPOINT")

    def transactions_per_s(self, seconds: float) -> float:
        said = self._as_postgres("pgbench", *self._where(), "-c", str(CLIENTS), "-j", "2", "-n",
                                 "-T", str(max(1, round(seconds))))
        found = re.search(r"tps = ([0-9.]+)", said)
        if found is None:
            raise BenchError(f"pgbench said no tps:\n{said}")
        return float(found[1])

    def stop(self) -> None:
        if self._running:
            self._as_postgres("pg_ctl", "-D", str(self._data), "-m", "fast", "-w", "stop")
            self._running = False
        if self._mounted is not None:
            detach(self._mounted.device_folder, self._mounted.device, str(self._mounted.mount))
            self._mounted = None

    def _as_postgres(self, program: str, *arguments: str) -> str:
        user = pwd.getpwnam("postgres")
        return _run(_tool(program), *arguments, user=user.pw_uid, group=user.pw_gid)


def _tool(program: str) -> str:
    """Debian keeps the servers' own programs off the PATH."""
    beside = sorted(Path(DEBIAN_TOOLS).glob(f"*/bin/{program}"))
    found = shutil.which(program) or (str(beside[-1]) if beside else None)
    if found is None:
        raise BenchError(f"pgbench: there is no {program}; install PostgreSQL")
    return found


def _run(*argv: str, user: int | None = None, group: int | None = None) -> str:
    extra: list[int] | None = [] if group is not None else None
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=TOOL_DEADLINE_S,
                          check=False, user=user, group=group, extra_groups=extra, cwd="/")
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr[-1500:]}")
    return done.stdout + done.stderr
