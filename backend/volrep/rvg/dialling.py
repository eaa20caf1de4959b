"""Connections of links, made in helper threads: the Primary dials, the Secondary accepts what the engine hands over."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from volrep.link import connect
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig, RvgConfig
from volrep.ports.streams import Stream
from volrep.ports.threads import Background

Done = Callable[[Stream | None, Exception | None], None]


class Dialler(Protocol):
    def dial(self, link: LinkConfig, done: Done) -> None:
        """Connect and prove identity; `done` is called in the loop with a stream or the reason there is none."""
        ...

    def accept(self, link: LinkConfig, sock: socket.socket, done: Done) -> None:
        """The other end of `dial`, for a connection whose hello line the engine has read."""
        ...


class TcpDialler:
    """`Dialler` over TCP. At most one attempt per link is under way (the link waits for `done`)."""

    def __init__(self, config: RvgConfig, background: Background) -> None:
        self._config = config
        self._background = background

    def dial(self, link: LinkConfig, done: Done) -> None:
        line = connect.hello_line(self._config.rds_id, link.link_id, self._config.host)
        security = security_of(self._config, link)
        self._background.run(
            lambda: connect.dial(link.remote_address, link.remote_port, line, security), done)

    def accept(self, link: LinkConfig, sock: socket.socket, done: Done) -> None:
        line = connect.hello_line(self._config.rds_id, link.link_id, link.remote_host)
        security = security_of(self._config, link)
        self._background.run(lambda: connect.accept(sock, line, security), done)


def security_of(config: RvgConfig, link: LinkConfig) -> connect.Security:
    return connect.Security(
        encryption=effective(link.attributes)["encryption"], certificate_path=Path(config.certificate_path),
        private_key_path=Path(config.private_key_path), peer_certificate=link.peer_certificate,
        key=bytes.fromhex(link.key))
