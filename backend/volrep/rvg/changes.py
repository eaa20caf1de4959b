"""Which regions a stretch of the log wrote: what a failback must copy, and what an operator is shown of a fork.

Both come from the log itself when the ring still holds the stretch. A Primary that took over marks them as it writes
(`ChangeMap`), so that it also knows them when the ring has gone round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from volrep.log.record import CONTINUES, Record, RecordType, Write
from volrep.log.srl import Srl
from volrep.log.stretch import read_stretch
from volrep.model.status import SinceFork
from volrep.model.units import NO_TAIL, Tail
from volrep.rvg.limits import REGION_BYTES
from volrep.volume.data import DataVolume
from volrep.volume.regions import RegionMap

_CHANGING = {int(kind) | more for kind in (RecordType.WRITE, RecordType.ZEROES, RecordType.TRIM)
             for more in (0, CONTINUES)}

Maps = dict[int, RegionMap]
Volumes = Sequence[DataVolume | None]


def empty_maps(volumes: Volumes) -> Maps:
    return {v.index: RegionMap(v.file.size_bytes, REGION_BYTES) for v in volumes if v is not None}


def full_maps(volumes: Volumes) -> Maps:
    maps = empty_maps(volumes)
    for made in maps.values():
        made.fill()
    return maps


def unite(into: Maps, other: Mapping[int, RegionMap]) -> None:
    """Mark in `into` what `other` has. Raises ValueError when they are not of the same volumes."""
    for index, marked in other.items():
        mine = into.get(index)
        if mine is None or (mine.size_bytes, mine.region_bytes) != (marked.size_bytes, marked.region_bytes):
            raise ValueError(f"a map of volume {index} with {marked.size_bytes} bytes")
        mine.union(marked)


@dataclass
class Stretch:
    """What the log wrote between `from_lsn` and `end_lsn`; `complete` False: not known, so everything is marked."""

    from_lsn: int
    end_lsn: int
    maps: Maps
    since: SinceFork = field(default_factory=SinceFork)
    volume_writes: dict[int, list[int]] = field(default_factory=dict)  # index -> [writes, bytes]
    tail: Tail = NO_TAIL  # of the log before `end_lsn`, when it was looked through

    def about(self) -> dict[str, Any]:
        """For the file that keeps it."""
        return {"from_lsn": self.from_lsn, "end_lsn": self.end_lsn, "since": self.since.data(),
                "volume_writes": {str(index): counts for index, counts in self.volume_writes.items()},
                "tail": self.tail}

    @classmethod
    def of(cls, about: dict[str, Any], maps: Maps) -> Stretch:
        """Raises KeyError, ValueError."""
        return cls(int(about["from_lsn"]), int(about["end_lsn"]), maps, SinceFork.from_data(about["since"]),
                   {int(index): list(counts) for index, counts in about["volume_writes"].items()},
                   Tail(*about.get("tail", ())))


def read_changes(srl: Srl, volumes: Volumes, from_lsn: int, end_lsn: int) -> Stretch:
    """What [from_lsn, end_lsn) wrote, from the log (blocking; for a thread). Raises VolrepError."""
    found = Stretch(from_lsn, end_lsn, empty_maps(volumes))
    since = found.since

    def note(_: memoryview, records: list[Record]) -> None:
        for kind, index, offset, length, _start, _end, _lsn, time_ns, _durable in records:
            if kind not in _CHANGING or index not in found.maps:
                continue
            found.maps[index].mark(offset, length)
            since.writes += 1
            since.bytes += length
            since.first_ns = since.first_ns or time_ns
            since.last_ns = max(since.last_ns, time_ns)
            counts = found.volume_writes.setdefault(index, [0, 0])
            counts[0] += 1
            counts[1] += length

    if end_lsn > from_lsn:
        read_stretch(srl, from_lsn, end_lsn, note)
    return found


def unknown_changes(volumes: Volumes, from_lsn: int, end_lsn: int) -> Stretch:
    """The ring no longer holds the stretch: anything may have been written."""
    return Stretch(from_lsn, end_lsn, full_maps(volumes), SinceFork(complete=False))


class ChangeMap:
    """Regions written since `from_lsn`, marked batch by batch."""

    def __init__(self, from_lsn: int, maps: Maps) -> None:
        self.from_lsn = from_lsn
        self.maps = maps

    def mark(self, batch: Sequence[Write]) -> None:
        maps = self.maps
        for kind, index, offset, length, _ in batch:
            if kind in _CHANGING:
                maps[index].mark(offset, length)
