"""Events of this host: kept in the database, the newest of them, and handed to clients that wait for more.

Each event is its own small transaction on a connection that does not wait for the disk: losing the last events
in a power failure is bearable, making a busy worker wait for a sync is not.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

from volrep.engine.schema import open_database
from volrep.model.status import Event
from volrep.ports.clock import Clock

KEPT_MAX = 10_000  # about 2 MB; `events` shows the latest 100 unless asked for more
LIST_MAX = 1000  # events in one answer: 1,000 of at most 2 KiB stay below the longest line
MESSAGE_MAX_CHARS = 2000
WAIT_MAX_S = 60.0  # longest long poll: a client that went away is noticed by then

log = logging.getLogger("volrep.engine")


class Events:
    """See the module. For one event loop."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Raises VR-1704, VR-1705, VR-1706."""
        self._clock = clock
        self._db = open_database(path, durable=False)
        self._news = asyncio.Event()

    def close(self) -> None:
        self._db.close()
        self._news.set()

    def happened(self, type_: str, message: str, *, dg: str = "", rvg: str = "", time_ns: int = 0) -> None:
        """Keep one event and wake who waits. A database that cannot take it costs the event, not the engine."""
        message = message[:MESSAGE_MAX_CHARS]
        log.info("%s %s %s", type_, f"{dg}/{rvg}" if rvg else "-", message)
        try:
            made = self._db.execute(
                "INSERT INTO events (time_ns, dg, rvg, type, message) VALUES (?, ?, ?, ?, ?)",
                (time_ns or self._clock.wall_ns(), dg, rvg, type_[:100], message)).lastrowid or 0
            self._db.execute("DELETE FROM events WHERE id <= ?", (made - KEPT_MAX,))
        except sqlite3.Error as error:
            log.error("event not kept: %s", error)
        self._news.set()
        self._news = asyncio.Event()

    def after(self, after_id: int, limit: int, dg: str = "", rvg: str = "") -> list[Event]:
        """Oldest first. With `after_id` 0 the newest `limit` events, else the first `limit` behind it."""
        newest_first = after_id <= 0
        rows = self._db.execute(
            "SELECT id, time_ns, dg, rvg, type, message FROM events WHERE id > ? AND (? = '' OR dg = ?) "
            f"AND (? = '' OR rvg = ?) ORDER BY id {'DESC' if newest_first else 'ASC'} LIMIT ?",
            (after_id, dg, dg, rvg, rvg, max(0, min(limit, LIST_MAX)))).fetchall()
        return [Event(id=row[0], time_ns=row[1], dg=row[2], rvg=row[3], type=row[4], message=row[5])
                for row in (reversed(rows) if newest_first else rows)]

    def last_id(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM events").fetchone()[0])

    async def wait_after(self, after_id: int, limit: int, dg: str, rvg: str, wait_s: float) -> list[Event]:
        """As `after`, waiting up to `wait_s` (at most WAIT_MAX_S) for the first."""
        deadline_s = self._clock.monotonic_s() + min(wait_s, WAIT_MAX_S)
        while True:
            news = self._news
            found = self.after(after_id, limit, dg, rvg)
            left_s = deadline_s - self._clock.monotonic_s()
            if found or left_s <= 0:
                return found
            try:
                await asyncio.wait_for(news.wait(), left_s)
            except TimeoutError:
                return self.after(after_id, limit, dg, rvg)
