"""What was written, in which order, and what of it may be found where. It does no I/O.

Every block is stamped with its sequence number, place and CRC. A write is *issued* and later *completed*; those that
were in flight when a Primary died may or may not have happened. With a number `n`, `low(n)` is the number up to which
everything had been completed when `n` was issued: whoever has `n` must have all of that.
"""

from __future__ import annotations

import struct
import threading
from bisect import bisect_right
from collections.abc import Mapping
from zlib import crc32

BLOCK = 4096
_UNIT = struct.Struct("<QIQI8x")  # sequence number, volume, block, CRC of these
_PLACE = struct.Struct("<QIQ")
_ZERO = bytes(BLOCK)

Place = tuple[int, int]  # volume, block
Found = dict[Place, int]  # the number in each block; 0 where it reads as zeroes


class Violation(Exception):
    """A promise was broken; `str()` says which."""


def stamp(number: int, place: Place) -> bytes:
    """A block: one unit repeated, so that a block put together from two writes shows.

    Not with CRC32C: data followed by its own CRC leaves a CRC as it was before, so all blocks would have the same
    CRC32C, and the log could not tell a torn one from a whole one.
    """
    volume, block = place
    return _UNIT.pack(number, volume, block, crc32(_PLACE.pack(number, volume, block))) * (BLOCK // _UNIT.size)


def read_stamps(volume: int, data: bytes | bytearray | memoryview) -> Found:
    """The number in every block. Raises Violation for a block that is torn, rotten, or another's."""
    found: Found = {}
    for block in range(len(data) // BLOCK):
        piece = bytes(data[block * BLOCK:(block + 1) * BLOCK])
        number = 0
        if piece != _ZERO:
            number = int(_UNIT.unpack_from(piece)[0])
            if piece != stamp(number, (volume, block)):
                units = sorted({_UNIT.unpack_from(piece, at)[0] for at in range(0, BLOCK, _UNIT.size)})
                raise Violation(f"volume {volume} block {block} is torn or not what was written: numbers {units[:4]}")
        found[volume, block] = number
    return found


class Ledger:
    """The history of one run of writers; safe to be asked while a writer goes on."""

    def __init__(self) -> None:
        self.last = 0
        self.completed = 0
        self._lock = threading.Lock()
        self._low = [0]
        self._history: dict[Place, list[int]] = {}
        self._zeroes: set[int] = set()
        self._in_flight: dict[int, Place] = {}

    def issue(self, place: Place, *, zeroes: bool = False) -> int:
        """A number for a write that is about to be sent."""
        with self._lock:
            self.last += 1
            self._low.append(next(iter(self._in_flight), self.last) - 1)
            self._history.setdefault(place, []).append(self.last)
            self._in_flight[self.last] = place
            if zeroes:
                self._zeroes.add(self.last)
            return self.last

    def complete(self, number: int) -> None:
        with self._lock:
            del self._in_flight[number]
            self.completed += 1

    def is_busy(self, place: Place) -> bool:
        """Two writes to one block in flight have no order: none is issued meanwhile."""
        return place in self._in_flight.values()

    def settle(self, found: Found) -> None:
        """The Primary has recovered: what was in flight has happened or not, for good."""
        with self._lock:
            for number, place in self._in_flight.items():
                if found.get(place, 0) != (0 if number in self._zeroes else number):
                    self._history[place].remove(number)
            self._in_flight.clear()

    def check_primary(self, found: Found) -> None:
        """Every completed write is there, nothing older and nothing never written. Raises Violation."""
        with self._lock:
            self._check(found, {place: self._completed_in(place, self.last) for place in self._history},
                        "a completed write is lost")

    def check_prefix(self, found: Found, *, synchronous: bool = False) -> int:
        """An image of one moment of the order; with `synchronous`, one that has every completed write.

        Returns up to which number it has everything. Raises Violation.
        """
        with self._lock:
            low = max((self._low[number] for number in found.values()), default=0)
            self._check(found, {place: self._upto(place, low) for place in self._history},
                        f"no prefix of the order: has a write issued after {low} was completed, but not that")
            if synchronous:
                self._check(found, {place: self._completed_in(place, self.last) for place in self._history},
                            "a synchronous write that was completed is not on the Secondary")
            return low

    def check_has(self, found: Found, completed: Mapping[Place, int], what: str) -> None:
        """At least these are there. Raises Violation."""
        with self._lock:
            self._check(found, completed, what)

    def newest_completed(self) -> dict[Place, int]:
        """By block: the newest completed number at this moment."""
        with self._lock:
            return {place: self._completed_in(place, self.last) for place in self._history}

    def _upto(self, place: Place, number: int) -> int:
        """The newest write to the block up to `number`; 0 when there is none."""
        history = self._history[place]
        at = bisect_right(history, number)
        return history[at - 1] if at else 0

    def _completed_in(self, place: Place, number: int) -> int:
        history = self._history[place]
        return next((n for n in reversed(history[-2:]) if n <= number and n not in self._in_flight), 0)

    def _check(self, found: Found, floor: Mapping[Place, int], what: str) -> None:
        for place, number in found.items():
            history = self._history.get(place, [])
            candidates = [number] if number else [0, *(n for n in history if n in self._zeroes)]
            if number and number not in history:
                raise Violation(f"{what}: volume {place[0]} block {place[1]} has {number}, which never was its content "
                                f"(last of it: {history[-3:]})")
            least = floor.get(place, 0)
            if max(candidates) < least:
                raise Violation(f"{what}: volume {place[0]} block {place[1]} has {number}, expected {least} or later")

    def as_json(self) -> dict[str, object]:
        """For the evidence folder."""
        with self._lock:
            return {"last": self.last, "completed": self.completed,
                    "in_flight": {str(n): list(p) for n, p in self._in_flight.items()},
                    "zeroes": sorted(self._zeroes)[-1000:],
                    "newest": {f"{v}/{b}": h[-8:] for (v, b), h in sorted(self._history.items())}}
