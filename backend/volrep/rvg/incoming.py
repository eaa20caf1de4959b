"""Connections that a Secondary accepts on its links.

Several hosts may dial: the Primary, one that has been superseded and does not know, one that asks before it serves. So
a connection counts for the RVG only from its START on; until then the one in use goes on undisturbed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from volrep.link.logbuffer import LogBuffer
from volrep.link.negotiate import Hello, Refuse, Start, Welcome
from volrep.link.receiver import Receiver
from volrep.log.record import Record
from volrep.model.config import LinkConfig
from volrep.ports.reactor import Loop
from volrep.ports.streams import Stream

if TYPE_CHECKING:
    from volrep.rvg.secondary import Secondary


class Incoming:
    """`link.receiver.ReceiverOwner` of one connection to a Secondary."""

    def __init__(self, link: LinkConfig, secondary: Secondary) -> None:
        self.link = link
        self.receiver: Receiver | None = None
        self.hello_said: Hello | None = None
        self.rewound_end_lsn = 0  # where the log ended when it was looked through beyond the fork; 0: it was not
        self._secondary = secondary

    def open(self, stream: Stream, loop: Loop, log_fd: int, buffer: LogBuffer) -> None:
        self.receiver = Receiver(stream, loop, log_fd, buffer, self)

    def close(self, reason: str) -> None:
        if self.receiver is not None:
            self.receiver.close(reason)

    def hello(self, hello: Hello) -> Welcome | Refuse:
        self.hello_said = hello
        return self._secondary.hello(self.link, hello)

    def begin(self, start: Start) -> tuple[int, int, int]:
        return self._secondary.begin(self, start)

    def rewind(self, lsn: int) -> None:
        self._secondary.rewind(self, lsn)

    def commit(self, view: memoryview, start: int, end: int, records: list[Record]) -> None:
        self._secondary.commit(view, start, end, records)

    def has_room(self, length: int) -> bool:
        return self._secondary.has_room(length)

    def applied_lsn(self) -> int:
        return self._secondary.journal.applied_lsn

    def region(self, volume: int, offset: int, data: memoryview | None, length: int) -> None:
        self._secondary.copy.region(volume, offset, data, length)

    def sync_end(self, lsn: int) -> None:
        self._secondary.sync_end(lsn)

    def told(self, state: dict[str, object]) -> None:
        self._secondary.told(self, state)

    def announced(self, end_lsn: int, writes: int) -> None:
        self._secondary.announced(end_lsn, writes)

    def started(self) -> None:
        if self.receiver is not None:
            self._secondary.verifier.begin(self.receiver)

    def verified(self, lsn: int, length: int, verdict: int) -> None:
        self._secondary.verifier.verified(lsn, length, verdict)

    def mismatch(self, reason: str) -> None:
        self._secondary.mismatch(self, reason)

    def lost(self, reason: str) -> None:
        self._secondary.connection_lost(self, reason)
