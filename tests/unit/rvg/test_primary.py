"""The order of things within one commit of the Primary."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from volrep.log.record import Write
from volrep.nbd import wire
from volrep.ports.clock import SystemClock
from volrep.rvg.primary import Primary

COOKIE = b"cookie--"


class _Journal:
    """Notes what is asked of it; everything succeeds."""

    def __init__(self, happened: list[str]) -> None:
        self._happened = happened
        self.end_lsn = self.durable_lsn = self.applied_lsn = 4096
        self.failure = None
        self.capacity_bytes = 1 << 20
        self.header = SimpleNamespace(generation=1, incarnation=1, rvg_id="rvg", failback={})

    def has_room(self, length: int) -> bool:
        return True

    def append(self, buffers: list[Any], length: int) -> None:
        self._happened.append("log durable")
        self.end_lsn += length
        self.durable_lsn = self.end_lsn

    def apply_writes(self, writes: list[Write]) -> None:
        self._happened.append("volumes written")
        self.applied_lsn = self.end_lsn


class _Link:
    """A synchronous link in force whose Secondary has answered by the time the log is durable."""

    in_force = True
    retain_lsn = 1 << 63

    def __init__(self, journal: _Journal, happened: list[str], *, answers: bool) -> None:
        self._journal = journal
        self._happened = happened
        self._answers = answers
        self.sync_acked_lsn = journal.end_lsn
        self.primary: Primary | None = None

    def offer(self, buffers: list[Any], start_lsn: int, end_lsn: int) -> None:
        self._happened.append("sent")

    def committed(self) -> None:
        self._happened.append("commit announced")

    def listen(self) -> None:
        if self._answers:
            self._happened.append("acknowledged")
            self.sync_acked_lsn = self._journal.end_lsn
            assert self.primary is not None
            self.primary.release_waiting()

    def applied(self) -> None:
        """Nothing to copy."""


class _Connection:
    export = SimpleNamespace(volume_index=0)

    def __init__(self, happened: list[str]) -> None:
        self._happened = happened

    def reply_writes(self, cookies: list[bytes]) -> None:
        self._happened.append("answered")

    def flush_replies(self) -> None:
        """Nothing is kept."""

    def release(self) -> None:
        self._happened.append("released")


def _commit(*, answers: bool) -> list[str]:
    happened: list[str] = []
    journal: Any = _Journal(happened)
    reads: Any = SimpleNamespace()
    maps: Any = SimpleNamespace()
    primary = Primary(journal, SystemClock(), reads, maps, lambda kind, text: None)
    link: Any = _Link(journal, happened, answers=answers)
    link.primary = primary
    primary.links["tokyo"] = link
    connection: Any = _Connection(happened)
    primary.submit(connection, [(wire.CMD_WRITE, 0, COOKIE, 0, 512, memoryview(bytes(512)), True)])
    primary.commit()
    return happened


def test_an_acknowledgement_that_came_during_the_sync_answers_before_the_volumes_are_written() -> None:
    assert _commit(answers=True) == ["sent", "log durable", "commit announced", "acknowledged", "answered",
                                     "volumes written", "released"]


def test_a_synchronous_write_is_not_answered_without_its_acknowledgement() -> None:
    assert _commit(answers=False) == ["sent", "log durable", "commit announced", "volumes written", "released"]
