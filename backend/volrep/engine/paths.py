"""Where an engine keeps what: the layout of its state directory.

    config.db            what is configured, its history, events (SQLite)
    control.sock         control API
    lock                 held by the running engine
    cert.pem, key.pem    this engine's identity towards other engines
    run/w-DG.RVG.sock    worker sockets        run/nbd/DG.VOLUME.sock   NBD exports
    run/attach/DG.VOLUME helpers of attached volumes
    log/DG.RVG.log       what workers say       log/hooks.log           what hooks say
    volumes/DG/NAME      file volumes

Names may contain dots: a dot within a name is written twice, so no two pairs of names share a path (a name
starts with a letter or digit and has no two dots in a row, see volrep.model.names).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages

SOCKET_PATH_MAX_BYTES = 107  # sun_path has 108 with the closing NUL


def check_socket_path(path: Path) -> Path:
    """The path itself. Raises VR-1707 when no unix socket can have it."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_MAX_BYTES:
        raise VolrepError(messages.SOCKET_PATH_TOO_LONG, path=path, length=length, limit=SOCKET_PATH_MAX_BYTES)
    return path


def pair(dg: str, name: str) -> str:
    """One file name for an object of a disk group."""
    return f"{dg.replace('.', '..')}.{name.replace('.', '..')}"


@dataclass(frozen=True, slots=True)
class StateDir:
    """Every path of one engine."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "config.db"

    @property
    def control_socket(self) -> Path:
        return self.root / "control.sock"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def certificate(self) -> Path:
        return self.root / "cert.pem"

    @property
    def private_key(self) -> Path:
        return self.root / "key.pem"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def nbd(self) -> Path:
        return self.run / "nbd"

    def worker_socket(self, dg: str, rvg: str) -> Path:
        return self.run / f"w-{pair(dg, rvg)}.sock"

    def nbd_socket(self, dg: str, volume: str) -> Path:
        return self.nbd / f"{pair(dg, volume)}.sock"

    def attach_dir(self, dg: str, volume: str) -> Path:
        return self.run / "attach" / pair(dg, volume)

    def worker_log(self, dg: str, rvg: str) -> Path:
        return self.root / "log" / f"{pair(dg, rvg)}.log"

    @property
    def hook_log(self) -> Path:
        return self.root / "log" / "hooks.log"  # no worker's: their names have a dot in the middle

    def volumes(self, dg: str) -> Path:
        return self.root / "volumes" / dg

    def create(self) -> None:
        """Make the directory and its parts, for its owner only. Raises VR-1707, VR-1708."""
        check_socket_path(self.control_socket)
        try:
            for path in (self.root, self.run, self.nbd, self.root / "log", self.root / "volumes"):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
        except OSError as error:
            raise VolrepError(messages.STATE_DIR_UNUSABLE, state_dir=self.root,
                              reason=error.strerror or error) from error
