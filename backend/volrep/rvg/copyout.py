"""The Primary's side of a copy to one Secondary: the regions still to go, and their map on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from volrep.ports.reactor import Timer
from volrep.rvg.changes import Maps
from volrep.rvg.journal import Journal
from volrep.rvg.limits import REGION_MAP_SAVE_INTERVAL_S
from volrep.rvg.maps import MapStore
from volrep.rvg.resync import Resync
from volrep.volume.regions import RegionMap


class CopyOut:
    """`resync` is None while nothing is copied. `ready`: ask it again; `copied`: every region is durable there.

    The map says what the Secondary lacks only as long as the Secondary keeps what it acknowledged. So both count region
    frames from the order on, and who was put back to an older state is known by having fewer.
    """

    def __init__(self, key: str, maps: MapStore, journal: Journal, ready: Callable[[], None],
                 copied: Callable[[], None]) -> None:
        self.resync: Resync | None = None
        self._key = key
        self._maps = maps
        self._journal = journal
        self._ready = ready
        self._copied = copied
        self._order_id = ""
        self._before_frames = 0  # acknowledged before the present connection
        self._timer: Timer | None = None

    def kept(self, order_id: str, *, fresh: bool) -> Maps:
        """What was left to be copied of this order; everything when `fresh`, or when that is not known."""
        volumes = {v.index: v for v in self._journal.volumes if v is not None}
        about, maps = self._maps.open(self._key, order_id, volumes, fresh=fresh)
        self._before_frames = int(about.get("copied_frames", 0))
        return maps

    @property
    def copied_frames(self) -> int:
        """Region frames acknowledged since the order."""
        return self._before_frames + (self.resync.acked_frames if self.resync is not None else 0)

    def begin(self, order_id: str, maps: Maps, total_bytes: int) -> None:
        """`total_bytes`: of the whole copy, also what an earlier run has done; 0: of all volumes."""
        journal = self._journal
        volumes = {v.index: v for v in journal.volumes if v is not None}
        self._order_id = order_id
        self.resync = Resync(volumes, maps, journal.background, journal.loop.clock, self._ready, self._copied)
        self.resync.total_bytes = total_bytes or sum(v.file.size_bytes for v in volumes.values())
        self._save_later()

    def connected(self, copied_frames: int) -> Resync | None:
        """A connection begins; the Secondary has so many frames. What the sender is to ask for regions."""
        self._before_frames = copied_frames
        if self.resync is not None:
            self.resync.rewind()
        return self.resync

    def save(self, order_id: str, maps: Mapping[int, RegionMap], then: Callable[[bool], None] | None = None) -> None:
        about = {"order_id": order_id, "copied_frames": self.copied_frames}
        self._maps.save(self._key, about, maps, then)

    def _save_later(self) -> None:
        loop = self._journal.loop
        self._timer = loop.call_at(loop.clock.monotonic_s() + REGION_MAP_SAVE_INTERVAL_S, self._save)

    def _save(self) -> None:
        if self.resync is not None:
            self.save(self._order_id, self.resync.maps)
            self._save_later()

    def drop(self) -> None:
        """It is done, or no longer wanted."""
        self._before_frames = 0
        if self.resync is not None:
            self.resync = None
            self.pause()
            self._maps.remove(self._key)

    def pause(self) -> None:
        """The worker ends, or the role: the map on disk stays."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
