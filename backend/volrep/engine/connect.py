"""`volrep engine connect`: joins stdin and stdout to the control socket. This is what SSH runs on the other host."""

from __future__ import annotations

import os
import select
import socket
import sys
from pathlib import Path

from volrep.engine.dial import connect_socket
from volrep.model.errors import Exit, VolrepError

_CHUNK_BYTES = 64 << 10


def main(state_dir: Path) -> int:
    """0 when the conversation is over; VR-1700's text on stderr and its exit code when no engine runs."""
    try:
        sock = connect_socket(state_dir)
    except VolrepError as error:
        sys.stderr.write(f"{error.id}: {error.text}\nhint: {error.hint}\n")
        return int(error.exit)
    with sock:
        join(sock, sys.stdin.fileno(), sys.stdout.fileno())
    return int(Exit.DONE)


def join(sock: socket.socket, in_fd: int, out_fd: int) -> None:
    """Bytes both ways until the engine closes. The end of input closes that half only: an answer may still come.

    Blocking writes carry the back pressure: whoever does not read stops the other side, and nothing piles up here.
    """
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    poll.register(in_fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            try:
                data = os.read(fd, _CHUNK_BYTES)
                if fd == in_fd and data:
                    sock.sendall(data)
                elif fd == in_fd:
                    poll.unregister(in_fd)
                    sock.shutdown(socket.SHUT_WR)
                elif data:
                    _write_all(out_fd, data)
                else:
                    return
            except (BrokenPipeError, ConnectionError):  # one side is gone, so the conversation is over
                return


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]
