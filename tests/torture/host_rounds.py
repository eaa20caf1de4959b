"""Rounds on whole hosts: kills of any process under databases, and under fio on attached devices."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

from tests.system.waiting import wait_for
from tests.torture.ground import FILE_SYSTEMS
from tests.torture.host_stage import HostStage, pause
from tests.torture.ledger import Violation
from tests.torture.load_database import CLIENTS, Client, Postgres, Sqlite

FIO_S = 120


class DatabaseStage(HostStage):
    """PostgreSQL with data and WAL on two volumes of one RVG; SQLite beside it."""

    def __init__(self, where: Path, rng: random.Random) -> None:
        super().__init__(where, rng, volumes=("data", "wal"), size_mib=320, fs=rng.choice(FILE_SYSTEMS))
        try:
            sockets = self.place / "s"
            sockets.mkdir()
            enter = self.primary.node.enter
            self.server = Postgres(self.mounts["data"] / "pg", self.mounts["wal"] / "pg_wal", sockets, enter)
            self.undo.add(self._end_applications)
            for point in self.mounts.values():
                point.chmod(0o755)
            self.server.init()
            self.server.start()
            self.server.prepare()
            self.sqlite = Sqlite(self.mounts["data"] / "sqlite.db", enter)
            self.acked = [0] * CLIENTS
        except BaseException:
            self.close()
            raise

    def _end_applications(self) -> None:
        self.server.kill()
        if hasattr(self, "sqlite"):
            self.sqlite.kill()

    def check_primary(self) -> None:
        """Every acknowledged commit is there, and nothing contradicts itself."""
        self.acked = self.server.check(self.acked)
        Sqlite.check(self.sqlite.path, self.sqlite.acked)
        self.writes = sum(self.acked) + self.sqlite.acked

    def check_secondary(self) -> None:
        """The Secondary's volumes are one moment of both databases."""
        with self.secondary_copy() as points:
            sockets = self.place / "s2"
            sockets.mkdir(exist_ok=True)
            server = Postgres(points["data"] / "pg", points["wal"] / "pg_wal", sockets)
            link = server.data / "pg_wal"  # initdb made it with the Primary's path
            link.unlink()
            link.symlink_to(server.wal)
            server.start()
            try:
                server.check()
                server.check_structure()
            finally:
                server.kill()
            Sqlite.check(points["data"] / "sqlite.db")


def database_round(stage: DatabaseStage) -> str:
    """Something dies, or the network does, while both databases commit."""
    rng = stage.rng
    what = rng.choice(("Primary's worker", "Primary's engine", "Secondary's worker", "Secondary's engine",
                       "Secondary's host", "link", "PostgreSQL", "Primary's host", "Primary's host"))
    clients = [Client(stage.server, number, stage.acked, rng) for number in range(CLIENTS)]
    stage.sqlite.start()
    before = list(stage.acked)
    wait_for(lambda: all(a > b for a, b in zip(stage.acked, before, strict=True)), 60, "both clients to commit")
    for _ in range(1 if what.endswith("host") or what == "PostgreSQL" else rng.randint(1, 3)):
        pause(rng, 0.05, 1.0)
        _do(stage, what)
    dies = what in ("PostgreSQL", "Primary's host")
    if not dies:
        pause(rng, 0.05, 0.5)
    failed = [client.stop() for client in clients]
    stage.sqlite.kill()
    if not dies and any(failed):
        raise Violation(f"{what} was killed, and PostgreSQL's client saw {failed}")
    if what == "Primary's host":
        stage.server.reap()
        stage.return_host(stage.primary)
    if dies:
        stage.server.start()
    stage.check_primary()
    if rng.random() < 0.3:
        stage.check_secondary()
    return f"{what}: every acknowledged commit is there"


def _do(stage: DatabaseStage | FioStage, what: str) -> None:
    host = stage.secondary if what.startswith("Secondary") else stage.primary
    if what == "PostgreSQL":
        assert isinstance(stage, DatabaseStage)
        stage.server.kill()
        stage.kills += 1
    elif what == "link":
        stage.bed.cut_link("london", "tokyo")
        pause(stage.rng, 0.1, 3.0)
        stage.bed.restore_link("london", "tokyo")
    elif what.endswith("worker"):
        stage.kill_worker(host)
    elif what.endswith("engine"):
        stage.kill_engine(host)
    else:
        stage.kill_host(host)
        if host is stage.secondary:
            stage.return_host(host)


class FioStage(HostStage):
    """Two attached devices, no file system: fio writes and verifies every block of them."""

    SIZE_MIB = 16

    def __init__(self, where: Path, rng: random.Random) -> None:
        super().__init__(where, rng, volumes=("dv01", "dv02"), size_mib=self.SIZE_MIB)
        self.seed = 0


def fio_round(stage: FioStage) -> str:
    """Workers, engines, or the whole Secondary die while fio writes: it sees no error, and finds every block again."""
    rng = stage.rng
    stage.seed += 1
    jobs = [subprocess.Popen(
        ["fio", f"--name={name}", f"--filename={device}", "--direct=1", "--ioengine=libaio", "--iodepth=16",
         "--rw=randwrite", "--bsrange=4k-64k", f"--size={stage.SIZE_MIB}m", f"--randseed={stage.seed}",
         "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--verify_state_save=0", "--rate_iops=300",
         "--eta=never"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=stage.place) for name, device in stage.devices.items()]
    done: list[str] = []
    try:
        while any(job.poll() is None for job in jobs) and len(done) < 4:
            pause(rng, 0.05, 0.8)
            what = rng.choice(("Primary's worker", "Primary's worker", "Primary's engine", "Secondary's worker",
                               "Secondary's engine", "Secondary's host", "link"))
            _do(stage, what)
            done.append(what)
        said = [job.communicate(timeout=FIO_S)[0] for job in jobs]
    finally:
        for job in jobs:
            job.kill()
            job.wait()
    if any(job.returncode for job in jobs):
        raise Violation(f"after {done} fio found: {' '.join(said)[-1500:]}")
    stage.writes += sum(stage.SIZE_MIB << 8 for _ in jobs)  # blocks of 4 KiB
    stage.converge()
    return "fio saw no error and found every block; both sides equal"
