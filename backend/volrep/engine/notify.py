"""Telling an init system that the engine is ready or stopping: sd_notify(3) in a few lines."""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger("volrep.engine")


def notify(state: str) -> None:
    """Send `state` ("READY=1", "STOPPING=1") to $NOTIFY_SOCKET; does nothing where no init system asked.

    A refusal is logged and no more: an engine that works must not end because nobody listens.
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect("\0" + path[1:] if path.startswith("@") else path)
            sock.sendall(state.encode())
    except OSError as error:
        log.warning("cannot notify %s: %s", path, error)
