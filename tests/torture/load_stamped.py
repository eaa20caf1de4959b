"""Stamped writes over NBD, several in flight over several volumes, until told to stop or the server dies."""

from __future__ import annotations

import random
import select
import threading
from collections.abc import Sequence

from tests.system.nbd_client import NbdClient
from tests.torture.ledger import BLOCK, Ledger, stamp
from volrep.nbd import wire

ZEROES_PART = 0.04
LONG_PART = 0.03  # writes of several blocks are several numbers that complete together
LONG_BLOCKS = 8


class Writer(threading.Thread):
    """One application. `error` is what ended it, when something did."""

    def __init__(self, uris: Sequence[str], ledger: Ledger, rng: random.Random, *, depth: int, blocks: int) -> None:
        super().__init__(daemon=True)
        self._clients = [NbdClient(uri) for uri in uris]
        self._ledger, self._rng = ledger, random.Random(rng.random())
        self._depth, self._blocks = depth, blocks
        self._stopping = threading.Event()
        self._sent: dict[int, list[int]] = {}  # cookie -> numbers
        self.error: OSError | None = None
        self.bug: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                while len(self._sent) < self._depth:
                    self._issue()
                self._take()
            while self._sent:
                self._take()
        except OSError as error:
            self.error = error
        except Exception as bug:  # noqa: BLE001  # shown by `stop`
            self.bug = bug
        finally:
            for client in self._clients:
                client.close()

    def _issue(self) -> None:
        rng, ledger = self._rng, self._ledger
        volume = rng.randrange(len(self._clients))
        count = LONG_BLOCKS if rng.random() < LONG_PART else 1
        first = rng.randrange(self._blocks - count + 1)
        places = [(volume, first + i) for i in range(count)]
        if any(ledger.is_busy(place) for place in places):
            return
        zeroes = rng.random() < ZEROES_PART
        numbers = [ledger.issue(place, zeroes=zeroes) for place in places]
        self._sent[numbers[0]] = numbers
        client, offset = self._clients[volume], first * BLOCK
        if zeroes:
            client.issue_zeroes(numbers[0], offset, count * BLOCK,
                                rng.choice((wire.CMD_WRITE_ZEROES, wire.CMD_TRIM)))
        else:
            client.issue(numbers[0], offset, b"".join(map(stamp, numbers, places)))

    def _take(self) -> None:
        ready, _, _ = select.select(self._clients, [], [], 30.0)
        if not ready:
            raise TimeoutError("no reply for 30 s")
        for client in ready:
            for number in self._sent.pop(client.complete()):
                self._ledger.complete(number)

    def stop(self) -> OSError | None:
        """Let what is in flight complete; what ended it before, if something did."""
        self._stopping.set()
        self.join()
        if self.bug is not None:
            raise self.bug
        return self.error
