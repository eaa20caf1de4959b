"""The way to an engine's control socket, and nothing more: `volrep engine connect` starts with every conversation."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from volrep.engine.paths import StateDir
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages

CONNECT_TIMEOUT_S = 10.0


def connect_socket(state_dir: Path) -> socket.socket:
    """Connected to the engine of a state directory. Raises VR-1700, VR-1707."""
    path = StateDir(Path(os.path.abspath(state_dir))).control_socket
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(CONNECT_TIMEOUT_S)
        sock.connect(str(path))
        sock.settimeout(None)
    except OSError as error:
        sock.close()
        reason = {FileNotFoundError: "there is no control socket", PermissionError: "it belongs to another user",
                  ConnectionRefusedError: "nobody listens"}.get(type(error), str(error))
        raise VolrepError(messages.ENGINE_NOT_RUNNING, state_dir=state_dir, reason=reason) from error
    return sock
