"""Databases that count what they acknowledged: PostgreSQL with its WAL on a volume of its own, and SQLite.

Every transaction of client c carries its number n and how far the other client had been acknowledged when it began.
So a copy shows by itself whether it is a moment of the order: numbers without gaps, and nothing that depends on what
is not there. Accounts are moved between in pairs: their sum is 0 in every moment.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from tests.system.waiting import wait_for
from tests.torture.ledger import Violation

USER = "postgres"
AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--")
CLIENTS = 2
ACCOUNTS = 500
READY_S = 60.0  # includes recovery from a crash
SETTINGS = {"listen_addresses": "", "shared_buffers": "16MB", "max_wal_size": "32MB", "min_wal_size": "8MB",
            "checkpoint_timeout": "30s", "autovacuum_naptime": "5s", "log_checkpoints": "off", "max_connections": "20"}


def programs() -> Path:
    """Where initdb, postgres and pg_amcheck are: Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    assert on_path is not None, "PostgreSQL is not installed; packaging/setup-system.sh test installs it"
    return Path(on_path).parent


class Postgres:
    """One server. `enter`: command prefix, as for the network of a test host."""

    def __init__(self, data: Path, wal: Path, sockets: Path, enter: Sequence[str] = ()) -> None:
        self.data, self.wal, self.sockets = data, wal, sockets
        self._enter, self._bin = tuple(enter), programs()
        self._process: subprocess.Popen[bytes] | None = None
        self.log = sockets / "postgres.log"

    def init(self) -> None:
        for folder in (self.data, self.wal):
            folder.mkdir(mode=0o700)
            shutil.chown(folder, USER, USER)
        self._run("initdb", "-D", str(self.data), f"--waldir={self.wal}", "--data-checksums", "--wal-segsize=1",
                  "--auth=trust", "--encoding=UTF8", "--locale=C")
        with (self.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())

    def _run(self, program: str, *argv: str) -> str:
        done = subprocess.run([*self._enter, *AS_USER, str(self._bin / program), *argv], capture_output=True, text=True,
                              timeout=120, check=False, stdin=subprocess.DEVNULL, cwd="/")
        if done.returncode:
            raise Violation(f"{program} {argv[-1]}: {done.stdout[-500:]} {done.stderr[-500:]} {self.log_tail()}")
        return done.stdout

    def start(self) -> None:
        shutil.chown(self.sockets, USER, USER)
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # they were killed; the number is somebody else's now
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._enter, *AS_USER, str(self._bin / "postgres"), "-D", str(self.data), "-k", str(self.sockets)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        wait_for(self._is_ready, READY_S, f"PostgreSQL on {self.data}")

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise Violation(f"PostgreSQL does not recover: {self.log_tail()}")
        asked = subprocess.run([str(self._bin / "pg_isready"), "-q", "-h", str(self.sockets)], check=False)
        return asked.returncode == 0

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-1500:] if self.log.exists() else ""

    def sql(self, text: str) -> list[list[str]]:
        out = self._run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.sockets), "-U", USER,
                        "-c", text)
        return [line.split("|") for line in out.splitlines() if line]

    def prepare(self) -> None:
        self.sql("create extension amcheck; create table commits (c int, n bigint, low bigint, filler text, "
                 f"primary key (c, n)); create table accounts as select i as id, 0 as v, repeat('x', 200) as filler "
                 f"from generate_series(1, {ACCOUNTS}) i; alter table accounts add primary key (id)")

    def client_argv(self) -> list[str]:
        return [*self._enter, *AS_USER, str(self._bin / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1",
                "-h", str(self.sockets), "-U", USER]

    def check(self, acked: Sequence[int] | None = None) -> list[int]:
        """Up to which number each client's transactions are there. Raises Violation."""
        rows = {int(c): (int(top), int(count), int(low)) for c, top, count, low in
                self.sql("select c, max(n), count(*), max(low) from commits group by c")}
        top = [rows.get(c, (0, 0, 0))[0] for c in range(CLIENTS)]
        for c, (newest, count, low) in rows.items():
            if newest != count:
                raise Violation(f"client {c}: {count} transactions up to number {newest}")
            if low > top[1 - c]:
                raise Violation(f"client {c} has a transaction that began after {low} of the other; "
                                f"of that one only {top[1 - c]} are there")
            if acked is not None and newest < acked[c]:
                raise Violation(f"client {c}: transaction {acked[c]} was acknowledged, {newest} is the last there")
        if (total := self.sql("select sum(v) from accounts")[0][0]) != "0":
            raise Violation(f"the accounts sum up to {total}")
        return top

    def check_structure(self) -> None:
        """Heap and indexes agree with each other. Raises Violation."""
        self._run("pg_amcheck", "--heapallindexed", "-h", str(self.sockets), "-U", USER, "-d", USER)

    def kill(self) -> None:
        """SIGKILL all its processes: children make sessions of their own."""
        if self._process is None or self._process.poll() is not None:
            return
        pids = [self._process.pid, *_children(self._process.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):  # a child that ended just now
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), READY_S, "PostgreSQL to be gone")

    def reap(self) -> None:
        """Somebody else has killed it."""
        if self._process is not None:
            self._process.wait(READY_S)


def _children(pid: int) -> list[int]:
    return [int(word) for task in Path(f"/proc/{pid}/task").iterdir()
            for word in (task / "children").read_text().split()]


class Client(threading.Thread):
    """One session that commits as fast as it is answered. `acked`: shared, the last number of each client."""

    def __init__(self, server: Postgres, number: int, acked: list[int], rng: random.Random) -> None:
        super().__init__(daemon=True)
        self._number, self._acked, self._rng = number, acked, random.Random(rng.random())
        self._stopping = threading.Event()
        self._process = subprocess.Popen(server.client_argv(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True, bufsize=1, cwd="/")
        self.failed = ""
        self.start()

    def run(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        n = self._acked[self._number]
        try:
            while not self._stopping.is_set():
                n += 1
                a, b = sorted(self._rng.sample(range(1, ACCOUNTS + 1), 2))
                self._process.stdin.write(
                    f"begin; update accounts set v = v + {n % 7} where id = {a}; "
                    f"update accounts set v = v - {n % 7} where id = {b}; insert into commits values "
                    f"({self._number}, {n}, {self._acked[1 - self._number]}, repeat('y', {self._rng.randrange(400)})); "
                    f"commit;\n\\echo {n}\n")
                line = self._process.stdout.readline()
                if line.strip() != str(n):
                    break
                self._acked[self._number] = n
        except OSError:  # it is gone: the same as no answer
            pass
        finally:
            self._end()

    def _end(self) -> None:
        try:
            _, said = self._process.communicate(timeout=READY_S)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            self._process.kill()
            said = str(error)
        self.failed = "" if self._stopping.is_set() and self._process.wait() == 0 else said.strip() or "it ended"

    def stop(self) -> str:
        """Finish the transaction under way; what ended it before, if something did."""
        self._stopping.set()
        self.join()
        return self.failed


class Sqlite:
    """A process that inserts 1, 2, 3 ... durably, and says each number once it is committed.

    `extra`: with `full` SQLite does not sync the directory from which it removed the journal, so that a commit may be
    rolled back after a power loss; a torture of ours found that, and it is documented.
    """

    SCRIPT = ("import sqlite3, sys\n"
              "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
              "db.execute('pragma synchronous = extra')\n"
              "db.execute('create table if not exists t (n integer primary key, filler text)')\n"
              "n = db.execute('select coalesce(max(n), 0) from t').fetchone()[0]\n"
              "while True:\n"
              "    n += 1\n"
              "    db.execute('insert into t values (?, ?)', (n, 'z' * (n * 37 % 3000)))\n"
              "    print(n, flush=True)\n")

    def __init__(self, path: Path, enter: Sequence[str] = ()) -> None:
        self.path, self._enter = path, tuple(enter)
        self.acked = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen([*self._enter, sys.executable, "-c", self.SCRIPT, str(self.path)],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, cwd="/")
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                self.acked = int(line)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def check(path: Path, acked: int = 0) -> None:
        """Sound, without gaps, and with everything acknowledged. Raises Violation."""
        with closing(sqlite3.connect(path)) as db:
            said = db.execute("pragma integrity_check").fetchall()
            tables = db.execute("select count(*) from sqlite_master where name = 't'").fetchone()[0]
            newest, count = db.execute("select coalesce(max(n), 0), count(*) from t").fetchone() if tables else (0, 0)
        if said != [("ok",)] or newest != count or newest < acked:
            raise Violation(f"SQLite: {said[:3]}, {count} rows up to {newest}, {acked} acknowledged")
