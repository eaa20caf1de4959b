"""What a Primary makes of damage on the way to one Secondary: it is counted and told, and its own log looked into.

What arrives damaged is fetched again, which helps when the way did it. When one place arrives damaged again and again,
this host's disk is asked: rot there ends the link with the place and the remedy, and not the application.
"""

from __future__ import annotations

from collections.abc import Callable

from volrep.log.record import RECORD_MAX_BYTES
from volrep.rvg.journal import Journal
from volrep.rvg.logcheck import LogDamage, Suspicion, find_damage


class Doubts:
    """For one link. `rotten(reason)` is called when this log is found damaged where the Secondary needs it."""

    def __init__(self, journal: Journal, host: str, emit: Callable[[str, str], None],
                 rotten: Callable[[str], None]) -> None:
        self.mismatches = 0
        self._journal = journal
        self._host = host
        self._emit = emit
        self._rotten = rotten
        self._suspicion = Suspicion()

    def mismatch(self, reason: str) -> None:
        self.mismatches += 1
        self._emit("log_mismatch", f"{self._host}: {reason}; the connection begins anew")

    def suspect(self, lsn: int) -> None:
        """The record at `lsn` arrived damaged there: from the way, or from this disk."""
        journal = self._journal
        self.mismatch(f"the record at LSN {lsn} arrived damaged")
        if not self._suspicion.reported(lsn) or not journal.retained_lsn() <= lsn < journal.durable_lsn:
            return
        to_lsn = min(lsn + RECORD_MAX_BYTES, journal.durable_lsn)
        journal.background.run(lambda: find_damage(journal.srl, lsn, to_lsn), self._looked)

    def _looked(self, damage: LogDamage | None, error: Exception | None) -> None:
        found = damage.reason if damage is not None else str(error) if error is not None else ""
        if not found or self._journal.failure is not None:
            return
        lsn = damage.lsn if damage is not None else self._suspicion.lsn
        text = f"the log of this Primary is damaged at LSN {lsn} ({found})"
        self._emit("log_damaged", f"{self._host}: {text}; the volumes hold what was written")
        self._rotten(f"{text}; its volumes are not: `startrep -a` copies them")
