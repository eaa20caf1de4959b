"""What a host says to a Primary whose log it does not take: a Secondary in FAIL, and another Primary.

Only after both have proved who they are, as for every connection of a link. Without it the Primary would see a host
that does not answer, and its operator would look for the fault in the network.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

from volrep.link.frames import BadFrame, Damaged, Frame, FrameType, json_body, json_frame
from volrep.link.negotiate import Hello, Refuse, parse_said
from volrep.link.session import Session
from volrep.model.config import LinkConfig
from volrep.ports.reactor import Loop
from volrep.ports.streams import Stream
from volrep.rvg.dialling import Dialler
from volrep.rvg.limits import SETUP_THREADS

logger = logging.getLogger("volrep.rvg")

_HELLO = int(FrameType.HELLO)


class Refuser:
    """Answers every HELLO with REFUSE. `answer` may act on what is said; it comes from a host that was proved."""

    def __init__(self, dialler: Dialler, loop: Loop, answer: Callable[[LinkConfig, Hello], Refuse]) -> None:
        self._dialler = dialler
        self._loop = loop
        self._answer = answer
        self._accepting = 0

    def accept(self, link: LinkConfig, sock: socket.socket) -> None:
        if self._accepting >= SETUP_THREADS:
            sock.close()  # bounded: proving takes a thread; the Primary tries again
            return
        self._accepting += 1

        def done(stream: Stream | None, error: Exception | None) -> None:
            self._accepting -= 1
            if stream is not None:
                _Refusal(stream, self._loop, lambda hello: self._answer(link, hello))
            else:
                logger.warning("connection from %s for link %s: %s", link.remote_host, link.name, error)

        self._dialler.accept(link, sock, done)


class _Refusal(Session):
    """One connection; the session ends it when the Primary says nothing."""

    def __init__(self, stream: Stream, loop: Loop, answer: Callable[[Hello], Refuse]) -> None:
        self._answer = answer
        super().__init__(stream, loop, -1, _no_log)

    def handle(self, received: Frame) -> None:
        if received[0] != _HELLO:
            raise BadFrame(f"unexpected {FrameType(received[0]).name} from the Primary")
        answer = self._answer(parse_said(Hello, json_body(received[3])))
        self.push(json_frame(FrameType.REFUSE, answer.data()))
        self.close(answer.reason)

    def damaged(self, error: Damaged) -> None:
        """Nothing was taken from it, so nothing is to be fetched again."""

    def lost(self, reason: str) -> None:
        """Nobody waits for it."""


def _no_log(lsn: int, length: int) -> memoryview:
    raise BadFrame(f"{length} log bytes at LSN {lsn} before START")
