"""Writes that say which they are: every block is filled with a number, so that a lost or a torn one shows."""

from __future__ import annotations

import random
import struct
import threading
from collections.abc import Callable

from tests.system.nbd_client import NbdClient

BLOCK = 4096
BLOCKS = 256  # few enough that every round meets blocks of earlier ones
IN_FLIGHT = 16


def stamp(number: int) -> bytes:
    return struct.pack("<Q", number) * (BLOCK // 8)


class StampedWrites:
    """Numbered writes to random blocks of one volume, over any number of lives of its server."""

    def __init__(self, seed: int) -> None:
        self.numbers = random.Random(seed)
        self.last = 0
        self._issued: dict[int, int] = {}
        self._completed: dict[int, int] = {}

    def write_until_killed(self, uri: str, kill: Callable[[], object]) -> None:
        """Keep IN_FLIGHT writes under way while `kill` is called from another thread."""
        client = NbdClient(uri)
        killer = threading.Timer(self.numbers.uniform(0.005, 0.15), kill)
        killer.start()
        in_flight: dict[int, int] = {}
        try:
            while True:
                while len(in_flight) < IN_FLIGHT:
                    self.last += 1
                    block = self.numbers.randrange(BLOCKS)
                    if block in in_flight.values():
                        continue  # two writes to one block in flight have no order
                    self._issued[block] = self.last
                    in_flight[self.last] = block
                    client.issue(self.last, block * BLOCK, stamp(self.last))
                done = client.complete()
                self._completed[in_flight.pop(done)] = done
        except OSError:
            killer.join()
            client.close()

    def check(self, data: bytes) -> None:
        """Nothing completed is missing from the volume, and nothing is torn. What is found counts from now on."""
        for block, number in self._completed.items():
            (found,) = struct.unpack_from("<Q", data, block * BLOCK)
            assert number <= found <= self._issued[block], f"block {block}: {number} is lost, {found} found"
            assert data[block * BLOCK : (block + 1) * BLOCK] == stamp(found), f"block {block} is torn"
            self._completed[block] = found
