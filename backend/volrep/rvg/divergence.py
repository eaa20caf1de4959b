"""What this host wrote beyond the point where its log parts from another reign's: counted, kept, and shown.

Kept in a file (`rvg.maps`) that outlives the failback: the regions can be listed afterwards, when the writes
themselves are gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from volrep.log.srl import Srl
from volrep.log.tails import TAIL_MAX_BYTES, read_tail
from volrep.model.errors import VolrepError
from volrep.model.units import Tail
from volrep.ports.threads import Background
from volrep.rvg.changes import Stretch, Volumes, read_changes, unknown_changes
from volrep.rvg.maps import MapStore, encode

logger = logging.getLogger("volrep.rvg")

Known = Callable[[bytes | None], None]
"""Gets the maps as encoded in the file; None when they could not be kept."""


class Divergence:
    """One per RVG, whatever its role."""

    def __init__(self, srl: Srl, volumes: Volumes, maps: MapStore, background: Background) -> None:
        self._srl = srl
        self._volumes = volumes
        self._maps = maps
        self._background = background
        self._key = f"divergence-{srl.header.rvg_id}"
        self.found: Stretch | None = None  # of the fork looked for last

    def kept(self) -> Stretch | None:
        """The last one found, also by an earlier run; None when there was never any."""
        if self.found is None:
            try:
                self.found = Stretch.of(*self._maps.read(self._key))
            except FileNotFoundError:
                return None
            except (OSError, ValueError, KeyError) as error:
                logger.warning("what was written beyond the fork: %s", error)
                return None
        return self.found

    def find(self, fork_lsn: int, end_lsn: int, known: Known) -> None:
        """Look through [fork_lsn, end_lsn) in a thread, keep the outcome, then call `known` in the loop."""
        def work() -> tuple[Stretch, bytes]:
            kept = self.kept()
            if kept is not None and (kept.from_lsn, kept.end_lsn) == (fork_lsn, end_lsn) and self._is_here(kept.tail):
                return kept, encode(kept.about(), kept.maps)
            found = self._read(fork_lsn, end_lsn)
            data = encode(found.about(), found.maps)
            self._maps.save_now(self._key, data)
            return found, data

        def done(result: tuple[Stretch, bytes] | None, error: Exception | None) -> None:
            if result is None:
                logger.error("what was written beyond LSN %d cannot be kept: %s", fork_lsn, error)
                known(None)
                return
            self.found = result[0]
            known(result[1])

        self._background.run(work, done)

    def _is_here(self, tail: Tail) -> bool:
        """Whether this log has it; one that was put back to an older image may have grown to the same end since."""
        srl = self._srl
        return 0 < tail.length <= tail.lsn - srl.shown_lsn and read_tail(srl, tail.lsn, tail.length) == tail

    def _read(self, fork_lsn: int, end_lsn: int) -> Stretch:
        if self._srl.header.tail_lsn <= fork_lsn:
            try:
                found = read_changes(self._srl, self._volumes, fork_lsn, end_lsn)
                found.tail = read_tail(self._srl, end_lsn, min(TAIL_MAX_BYTES, end_lsn - fork_lsn))
            except VolrepError as error:
                logger.warning("the log beyond LSN %d: %s", fork_lsn, error.text)
            else:
                if self._srl.header.tail_lsn <= fork_lsn:  # nothing of it was overwritten meanwhile
                    return found
        return unknown_changes(self._volumes, fork_lsn, end_lsn)
