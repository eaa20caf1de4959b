"""Starting worker processes, and the file that keeps what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LOG_MAX_BYTES = 8 << 20  # looked at when a worker starts; the part before goes to LOG.1
WORKER_MODULE = "volrep.rvg.main"


def worker_argv(socket_path: Path) -> list[str]:
    return [sys.executable, "-m", WORKER_MODULE, "--socket", str(socket_path)]


def spawn_worker(argv: list[str], log_path: Path) -> subprocess.Popen[bytes]:
    """Start it in a session of its own, so that nothing that ends the engine ends it too. Raises OSError.

    The init system's NOTIFY_SOCKET is the engine's alone and is taken out of its environment.
    """
    rotate(log_path)
    env = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    with log_path.open("ab") as log:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                cwd="/", start_new_session=True)


def rotate(log_path: Path) -> None:
    """Make room: the old log becomes LOG.1, the one before it is gone. Raises OSError."""
    log_path.parent.mkdir(mode=0o700, exist_ok=True)
    if log_path.exists() and log_path.stat().st_size > LOG_MAX_BYTES:
        log_path.replace(log_path.with_name(log_path.name + ".1"))


def last_words(log_path: Path, limit_bytes: int = 2000) -> str:
    """The last line that a worker left, for a message; empty when there is none."""
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - limit_bytes))
            lines = log.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][:300] if lines else ""
