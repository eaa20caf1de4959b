"""Regions that a Primary has written since it took over: what a failback copies, beside what the other host wrote.

The map is marked with every batch and kept in a file that says up to which LSN it is complete. After a restart the log
from there on supplies the rest; where the ring no longer holds it, everything counts as written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from volrep.log.record import Write
from volrep.model.errors import VolrepError
from volrep.rvg.changes import ChangeMap, Maps, empty_maps, full_maps, read_changes, unite
from volrep.rvg.journal import Journal
from volrep.rvg.maps import MapStore

logger = logging.getLogger("volrep.rvg")


class Tracking:
    """One per Primary. The header's `failback` says whether regions are marked."""

    def __init__(self, journal: Journal, maps: MapStore) -> None:
        self._journal = journal
        self._store = maps
        self._key = f"changes-{journal.header.rvg_id}"
        self._kept: ChangeMap | None = None
        self._complete = True  # False: the past is still being read
        self._waiting: list[Callable[[], None]] = []
        self._others: list[ChangeMap] = []  # of questions under way
        if self.on:
            self._resume()

    @property
    def on(self) -> bool:
        return bool(self._journal.header.failback)

    @property
    def auto(self) -> bool:
        """Whether the old Primary is made equal as soon as it returns."""
        return bool(self._journal.header.failback.get("auto"))

    def mark(self, batch: Sequence[Write]) -> None:
        """With every batch; costs nothing while nobody asks."""
        if self._kept is not None:
            self._kept.mark(batch)
        for other in self._others:
            other.mark(batch)

    def start(self, from_lsn: int, *, auto: bool) -> None:
        """A reign began at `from_lsn`, and nothing was written since. The caller saves the header."""
        self._journal.header.failback = {"from_lsn": from_lsn, "auto": auto}
        self._kept, self._complete = ChangeMap(from_lsn, empty_maps(self._journal.volumes)), True

    def stop(self) -> None:
        """Everybody is equal again. The caller saves the header."""
        self._journal.header.failback = {}
        self._kept = None
        self._store.remove(self._key)

    def save(self) -> None:
        """At a checkpoint; a map that is older costs only reading more of the log."""
        if self._kept is not None and self._complete:
            about = {"from_lsn": self._kept.from_lsn, "upto_lsn": self._journal.end_lsn}
            self._store.save(self._key, about, self._kept.maps)

    def _resume(self) -> None:
        from_lsn = int(self._journal.header.failback["from_lsn"])
        kept = self._kept = ChangeMap(from_lsn, empty_maps(self._journal.volumes))
        upto_lsn = from_lsn
        try:
            about, maps = self._store.read(self._key)
            if about["from_lsn"] == from_lsn:
                unite(kept.maps, maps)
                upto_lsn = int(about["upto_lsn"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError) as error:
            logger.warning("map of what was written since the takeover: %s; the log is read instead", error)
        self._complete = False

        def known(maps: Maps) -> None:
            unite(kept.maps, maps)
            self._complete = True
            waiting, self._waiting = self._waiting, []
            for ask in waiting:
                ask()

        self._read(upto_lsn, known)

    def since(self, lsn: int, then: Callable[[Maps], None]) -> None:
        """Give the regions written from `lsn` up to the moment of the answer, in a map of the caller's own."""
        if not self._complete:
            self._waiting.append(lambda: self.since(lsn, then))
            return
        kept = self._kept
        if kept is not None and kept.from_lsn <= lsn:
            maps = empty_maps(self._journal.volumes)
            unite(maps, kept.maps)
            then(maps)
            return
        meanwhile = ChangeMap(self._journal.end_lsn, empty_maps(self._journal.volumes))
        self._others.append(meanwhile)

        def known(maps: Maps) -> None:
            self._others.remove(meanwhile)
            unite(maps, meanwhile.maps)
            then(maps)

        self._read(lsn, known)

    def _read(self, from_lsn: int, then: Callable[[Maps], None]) -> None:
        """What [from_lsn, end) wrote, from the log, in a thread."""
        journal, end_lsn = self._journal, self._journal.end_lsn

        def work() -> Maps:
            if from_lsn > end_lsn or journal.retained_lsn() > from_lsn:
                return full_maps(journal.volumes)
            return read_changes(journal.srl, journal.volumes, from_lsn, end_lsn).maps

        def done(maps: Maps | None, error: Exception | None) -> None:
            if maps is None and not isinstance(error, VolrepError):
                raise AssertionError(f"reading the log from LSN {from_lsn}") from error
            if maps is None or journal.retained_lsn() > from_lsn:  # unreadable, or overwritten meanwhile
                maps = full_maps(journal.volumes)
            then(maps)

        journal.background.run(work, done)
