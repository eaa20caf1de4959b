"""Region maps in files: a removed one stays removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from volrep.ports.disk import DiskFolder
from volrep.ports.threads import T
from volrep.rvg.maps import MapStore
from volrep.volume.regions import RegionMap


class Later:
    """A `Background` whose work is done when the test says so."""

    def __init__(self) -> None:
        self._queued: list[Callable[[], None]] = []

    def run(self, work: Callable[[], T], done: Callable[[T | None, Exception | None], None]) -> None:
        self._queued.append(lambda: done(work(), None))

    def work(self) -> None:
        while self._queued:
            self._queued.pop(0)()


def test_a_map_removed_while_it_is_saved_does_not_come_back_unless_it_is_saved_again(tmp_path: Path) -> None:
    later = Later()
    maps = MapStore(DiskFolder(tmp_path), later)
    regions = {0: RegionMap(1 << 20, 1 << 16)}
    maps.save("link", {}, regions)
    maps.remove("link")
    later.work()
    assert list((tmp_path / "maps").iterdir()) == []
    maps.save("link", {}, regions)
    maps.remove("link")
    maps.save("link", {"order_id": "next"}, regions)
    later.work()
    assert maps.read("link")[0]["order_id"] == "next"
