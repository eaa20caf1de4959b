"""A PostgreSQL whose data directory lies on a replicated volume, run by the hooks of packaging/hooks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.torture.load_database import AS_USER, SETTINGS, USER, programs

ROOT = Path(__file__).resolve().parents[2]
HOOKS = ROOT / "packaging" / "hooks" / "postgresql"
EVENTS = ("pre-demote", "post-demote", "post-promote")


@dataclass(frozen=True)
class Database:
    """`mount`: where the volume is mounted; `sockets`: PostgreSQL's. `enter`: prefix of commands on its host."""

    mount: Path
    sockets: Path
    enter: Sequence[str] = ()

    @property
    def data(self) -> Path:
        return self.mount / "data"

    def sql(self, text: str) -> str:
        """What psql prints, rows without decoration. Raises AssertionError with what it said."""
        done = subprocess.run([*self.enter, *AS_USER, str(programs() / "psql"), "-X", "-q", "-A", "-t", "-v",
                               "ON_ERROR_STOP=1", "-h", str(self.sockets), "-U", USER, "-d", "postgres", "-c", text],
                              capture_output=True, text=True, timeout=60, check=False, cwd="/")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def answers(self) -> bool:
        return subprocess.run([str(programs() / "pg_isready"), "-q", "-h", str(self.sockets)],
                              check=False).returncode == 0


def install_hooks(hooks: Path, place: Path, *, dg: str, rvg: str, volume: str, enter: Sequence[str] = ()) -> Database:
    """What the administration guide says to do on a host, without systemd. `place` must be free."""
    place.mkdir(mode=0o755)
    sockets = place / "s"
    sockets.mkdir()
    shutil.chown(sockets, USER, USER)
    for event in EVENTS:
        folder = hooks / f"{event}.d"
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copy(HOOKS / "10-postgresql", folder / "10-postgresql")
        (folder / "10-postgresql").chmod(0o755)
    config = hooks / "postgresql" / f"{dg}.{rvg}"
    config.parent.mkdir(mode=0o755, exist_ok=True)
    run = f"{' '.join(AS_USER)} {programs()}/pg_ctl -D \"$MOUNT/data\""
    config.write_text(
        f"VOLUME={volume}\nMOUNT={place}/m\nUNIT=none\n"
        # Not `pg_ctl status`: the file came with the volume, and its number may be any process here, or one that nobody
        # has waited for yet
        f"start_database() {{ pgrep -f -- '-k {sockets}' >/dev/null || {{ rm -f \"$MOUNT/data/postmaster.pid\"; "
        f"{run} -s -w -t 60 -l {sockets}/log -o '-k {sockets}' start; }}; }}\n"
        f"stop_database() {{ [ ! -d \"$MOUNT/data\" ] || {run} status >/dev/null || return 0; "
        f"[ ! -d \"$MOUNT/data\" ] || {run} -s -w -t 60 -m fast stop; }}\n"
        f"kill_database() {{ pkill -KILL -f -- '-k {sockets}' || :; }}\n")
    config.chmod(0o644)
    return Database(place / "m", sockets, enter)


def make_database(database: Database, device: str) -> None:
    """A file system and an empty cluster on it; nothing is mounted afterwards."""
    subprocess.run(["mkfs.ext4", "-q", device], check=True)
    database.mount.mkdir(exist_ok=True)
    subprocess.run(["mount", device, str(database.mount)], check=True)
    try:
        database.mount.chmod(0o755)
        database.data.mkdir(mode=0o700)
        shutil.chown(database.data, USER, USER)
        subprocess.run([*AS_USER, str(programs() / "initdb"), "-D", str(database.data), "--data-checksums",
                        "--wal-segsize=1", "--auth=trust", "--encoding=UTF8", "--locale=C"], check=True,
                       capture_output=True, cwd="/")
        with (database.data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
    finally:
        subprocess.run(["umount", str(database.mount)], check=True)
