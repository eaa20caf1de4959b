"""The continuous verifier: whether both ends of a link have the same log on their disks.

The Secondary reads its own log back in ranges of VERIFY_RANGE_BYTES, from its disk and not from memory, and sends each
range's checksum (VERIFY). The Primary computes the same over its own disk and answers (VERIFIED). What is equal moves
`proved_lsn`: both logs are proved equal from `proved_from_lsn` to there. When a range differs, each end looks at its
own records: the Secondary says what it found (VERDICT), the Primary draws the conclusion.

    one log has a damaged record   told by event and status; replication goes on, what was acknowledged is applied
    both are intact, yet differ    histories have parted: the link goes STALE, nothing is overwritten

Bounds: one range under way, at most one in VERIFY_INTERVAL_S, so 16 MiB/s and 1 MiB of memory at each end; reading and
computing are done in helper threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from volrep.link.frames import U64, BadFrame, FrameType, frame
from volrep.log.record import RECORD_MAX_BYTES
from volrep.log.srl import Srl
from volrep.log.tails import checksum
from volrep.ports.reactor import Timer
from volrep.rvg.journal import Journal
from volrep.rvg.limits import VERIFY_IDLE_S, VERIFY_INTERVAL_S, VERIFY_RANGE_BYTES
from volrep.rvg.logcheck import LogDamage, find_damage

EQUAL, DIFFERENT, GONE = range(3)  # verdicts of VERIFIED; GONE: the Primary's ring no longer has it


class Pusher(Protocol):
    """A session that takes a control frame."""

    @property
    def closed(self) -> bool: ...

    def push(self, data: bytes) -> None: ...


def log_crc(srl: Srl, lsn: int, length: int) -> int:
    """`checksum` of [lsn, lsn + length) as the disk has it. Blocking. Raises VR-1507."""
    for offset, size in srl.spans(lsn, length):
        srl.file.uncache(offset, size)
    view = memoryview(bytearray(length))
    srl.read_into(view, lsn)
    return checksum(view)


def examine(journal: Journal, end_lsn: int, done: Callable[[LogDamage | None, Exception | None], None]) -> None:
    """Look at every record that begins before `end_lsn` and is still in the ring; `done` is called in the loop."""
    from_lsn = journal.retained_lsn()
    to_lsn = min(end_lsn + RECORD_MAX_BYTES, journal.durable_lsn)  # the last one may end behind it

    def looked(damage: LogDamage | None, error: Exception | None) -> None:
        if damage is not None and damage.lsn < journal.retained_lsn():  # overwritten while it was being read
            examine(journal, max(end_lsn, journal.retained_lsn()), done)
        else:
            done(damage, error)

    journal.background.run(lambda: find_damage(journal.srl, from_lsn, to_lsn), looked)


class Verifier:
    """The Secondary's part, for one connection at a time: `begin`, then `end`."""

    def __init__(self, journal: Journal, emit: Callable[[str, str], None]) -> None:
        self._journal = journal
        self._emit = emit
        self.proved_from_lsn = self.proved_lsn = 0
        self._session: Pusher | None = None
        self._asked: tuple[int, int] | None = None  # (LSN, length) under way
        self._timer: Timer | None = None

    def begin(self, session: Pusher) -> None:
        """A connection has started; what was proved before still is, unless the log begins anew."""
        self._session, self._asked = session, None
        journal = self._journal
        if not journal.retained_lsn() <= self.proved_lsn <= journal.durable_lsn:
            self.proved_from_lsn = self.proved_lsn = journal.retained_lsn()
        self._later(VERIFY_INTERVAL_S)

    def end(self) -> None:
        self._session = None
        if self._timer is not None:
            self._timer.cancel()

    def _later(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = self._journal.loop
        self._timer = loop.call_at(loop.clock.monotonic_s() + delay_s, self._next)

    def _next(self) -> None:
        session, journal = self._session, self._journal
        if session is None or session.closed or journal.failure is not None or self._asked is not None:
            return
        if self.proved_lsn < journal.retained_lsn():  # overwritten before its turn came: nothing is known of the gap
            self.proved_from_lsn = self.proved_lsn = journal.retained_lsn()
        lsn = self.proved_lsn
        length = min((lsn // VERIFY_RANGE_BYTES + 1) * VERIFY_RANGE_BYTES, journal.durable_lsn) - lsn
        if length <= 0:
            self._later(VERIFY_IDLE_S)
            return
        self._asked = (lsn, length)

        def done(crc: int | None, error: Exception | None) -> None:
            if self._session is not session or session.closed:
                return
            if crc is None:
                self._emit("log_damaged", f"the log here cannot be read back at LSN {lsn}: {error}")
            elif lsn < journal.retained_lsn():
                self._asked = None
                self._later(0.0)
            else:
                session.push(frame(FrameType.VERIFY, U64.pack(crc), lsn=lsn, aux=length))

        journal.background.run(lambda: log_crc(journal.srl, lsn, length), done)

    def verified(self, lsn: int, length: int, verdict: int) -> None:
        """The Primary's answer. Raises BadFrame for one that was not asked for."""
        if (lsn, length) != self._asked or verdict not in (EQUAL, DIFFERENT, GONE):
            raise BadFrame(f"verdict {verdict} on {length} bytes at LSN {lsn}, which nobody asked for")
        if verdict == DIFFERENT:
            self._examine(lsn, length)
            return
        self._asked = None
        self.proved_lsn = lsn + length
        if verdict == GONE:
            self.proved_from_lsn = self.proved_lsn
        self._later(VERIFY_INTERVAL_S if self.proved_lsn % VERIFY_RANGE_BYTES == 0 else VERIFY_IDLE_S)

    def _examine(self, lsn: int, length: int) -> None:
        """Is it this log that is damaged? `_asked` stays: nothing more is verified over this connection."""
        session, journal = self._session, self._journal

        def done(damage: LogDamage | None, error: Exception | None) -> None:
            if error is not None:
                self._emit("log_damaged", f"the log here cannot be read back: {error}")
            elif damage is not None:
                self._emit("log_damaged", f"the log here is damaged at LSN {damage.lsn} ({damage.reason})")
            if session is not None and session is self._session and not session.closed:
                own_lsn = damage.lsn if damage is not None else 0
                session.push(frame(FrameType.VERDICT, U64.pack(own_lsn), lsn=lsn, aux=length))

        examine(journal, lsn + length, done)


class Checker:
    """The Primary's part, for one link."""

    def __init__(self, journal: Journal, host: str, emit: Callable[[str, str], None],
                 parted: Callable[[str], None]) -> None:
        """`parted` is told when both logs are intact and differ."""
        self._journal = journal
        self._host = host
        self._parted = parted
        self._emit = emit
        self.proved_from_lsn = self.proved_lsn = 0
        self.problem = ""  # what the last difference was found to be
        self._busy = False
        self._disputed: tuple[int, int] | None = None

    def begin(self) -> None:
        """A connection has started."""
        self._disputed = None

    def verify(self, session: Pusher, lsn: int, length: int, crc: int, data_lsn: int) -> None:
        """Answer a VERIFY. Raises BadFrame for a range that nobody can have, or before the last was answered."""
        journal = self._journal
        if self._busy or self._disputed is not None:
            raise BadFrame("VERIFY before the last one was dealt with")
        if not 0 < length <= VERIFY_RANGE_BYTES or length % 8 or lsn % 8 or lsn + length > data_lsn:
            raise BadFrame(f"VERIFY of {length} bytes at LSN {lsn}, durable there are {data_lsn}")
        if lsn < journal.retained_lsn():
            self._answer(session, lsn, length, GONE)
            return
        self._busy = True

        def done(own: int | None, error: Exception | None) -> None:
            self._busy = False
            if own is None:
                self._note(f"the log of this Primary cannot be read back at LSN {lsn}: {error}")
            elif not session.closed:
                gone = lsn < journal.retained_lsn()
                self._answer(session, lsn, length, GONE if gone else EQUAL if own == crc else DIFFERENT)

        journal.background.run(lambda: log_crc(journal.srl, lsn, length), done)

    def _answer(self, session: Pusher, lsn: int, length: int, verdict: int) -> None:
        if verdict == DIFFERENT:
            self._disputed = (lsn, length)
            self.proved_lsn = min(self.proved_lsn, lsn)  # what an earlier connection proved is not so any more
            self.proved_from_lsn = min(self.proved_from_lsn, self.proved_lsn)
        else:
            if verdict == GONE or lsn != self.proved_lsn:
                self.proved_from_lsn = lsn if verdict == EQUAL else lsn + length
            self.proved_lsn = lsn + length
        session.push(frame(FrameType.VERIFIED, U64.pack(verdict), lsn=lsn, aux=length))

    def verdict(self, lsn: int, length: int, their_lsn: int) -> None:
        """What the Secondary found in its own log. Raises BadFrame when nothing is disputed."""
        if self._disputed != (lsn, length):
            raise BadFrame(f"VERDICT on {length} bytes at LSN {lsn}, which are not disputed")
        host, end_lsn = self._host, lsn + length

        def done(damage: LogDamage | None, error: Exception | None) -> None:
            if error is not None or damage is not None:
                where = f"is damaged at LSN {damage.lsn} ({damage.reason})" if damage is not None else f"({error})"
                self._note(f"the log of this Primary {where}, that of {host} "
                           f"{f'at LSN {their_lsn}, too' if their_lsn else 'is intact'}")
            elif their_lsn:
                self._note(f"the log of {host} is damaged at LSN {their_lsn}, that of this Primary is intact")
            else:
                self.problem = (f"the logs differ between LSN {lsn} and {end_lsn}, and every record is intact here and "
                                f"on {host}: they have parted; nothing was overwritten")
                self._parted(self.problem)

        examine(self._journal, end_lsn, done)

    def _note(self, text: str) -> None:
        self.problem = text
        self._emit("log_damaged", f"{self._host}: {text}")
