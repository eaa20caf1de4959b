"""Applications: clients of a Primary's exports, directly above `Primary.submit`.

A client behaves as `nbd.connection` lets one behave: bounded requests in flight, nothing more while its payloads are
held. Once they are released their memory is overwritten, so whoever still uses them is found out.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, cast

from tests.sim.disk import SECTOR_BYTES, Crash
from tests.sim.history import Expected, Wish
from tests.sim.loop import Violation
from volrep.log.record import CONTINUES, RecordType
from volrep.nbd import wire
from volrep.nbd.connection import Connection
from volrep.nbd.exports import ExportInfo
from volrep.nbd.transmission import Request
from volrep.ports.files import BlockFile
from volrep.rvg.primary import Primary

if TYPE_CHECKING:
    from tests.sim.host import Process
    from tests.sim.oracle import Oracle

IN_FLIGHT_MAX = 24
FIRST_WRITE_S = 0.3  # by then the operator has started replication: `-b` is for volumes that are still blank
_STAMP = struct.Struct("<QQ")
_COMMANDS = {RecordType.WRITE: wire.CMD_WRITE, RecordType.ZEROES: wire.CMD_WRITE_ZEROES, RecordType.TRIM: wire.CMD_TRIM}


@dataclass(frozen=True, slots=True)
class Load:
    """How applications behave in a run. Times in seconds."""

    clients: int = 2  # of each volume
    pause_s: float = 0.2  # mean between two bursts of a client
    burst: int = 4  # requests at once, at most
    write_bytes: int = 6144  # at most
    reads: float = 0.1
    zeroes: float = 0.08
    trims: float = 0.05
    flushes: float = 0.05
    hot: float = 0.5  # part of the writes that go to the first eighth of a volume
    same_size: bool = False  # every write has `write_bytes`
    odd: float = 0.1  # part of the writes that keep to no sector


class Client:
    """Stands for an `nbd.connection.Connection`."""

    def __init__(self, number: int, process: Process, export: ExportInfo, service: Primary, load: Load,
                 oracle: Oracle, random: Random) -> None:
        self.number = number
        self.export = export
        self.closed = False
        self.name = f"client {number}"
        self._process = process
        self._service = service
        self._load = load
        self._oracle = oracle
        self._random = random
        self._in_flight: dict[bytes, Wish] = {}
        self._read_from: dict[bytes, int] = {}
        self._held: list[bytearray] = []
        self._answers: list[Callable[[], None]] = []
        self.quiet = False
        self._next(max(0.0, FIRST_WRITE_S - process.host.world.now_s))

    # its own doing

    def _next(self, not_before_s: float = 0.0) -> None:
        world = self._process.host.world
        pause_s = not_before_s + self._random.expovariate(1 / self._load.pause_s)
        world.after(pause_s, lambda: None if self.closed or self._process.loop.dead
                    else self._process.loop.call_from_thread(self._burst))

    def _burst(self) -> None:
        if self.closed or self.quiet:
            return
        if not self._held:
            requests: list[Request] = []
            for _ in range(self._random.randint(1, self._load.burst)):
                if len(self._in_flight) >= IN_FLIGHT_MAX:
                    break
                self._ask(requests)
            if requests:
                self._service.submit(cast("Connection", self), requests)
                self.flush_replies()
        self._next()

    def _ask(self, requests: list[Request]) -> None:
        random, load, size = self._random, self._load, self.export.size_bytes
        dice = random.random()
        cookie = self._oracle.new_number().to_bytes(8, "little")
        if random.random() < load.odd:
            length = random.randint(1, load.write_bytes)
            offset = random.randrange(0, size - length + 1)
        else:
            length = load.write_bytes if load.same_size else (
                random.randint(1, load.write_bytes // SECTOR_BYTES) * SECTOR_BYTES)
            reach = size if random.random() >= load.hot else max(load.write_bytes, size // 8)
            offset = random.randrange(0, (reach - length) // SECTOR_BYTES + 1) * SECTOR_BYTES
        number = int.from_bytes(cookie, "little")
        if dice < load.reads:
            self._in_flight[cookie] = Wish(number, self.export.volume_index, offset, length, -1, None)
            self._read_from[cookie] = self._oracle.history_of(self._process.host).end_lsn
            requests.append((wire.CMD_READ, 0, cookie, offset, length, None, True))
        elif dice < load.reads + load.flushes:
            self._in_flight[cookie] = Wish(number, self.export.volume_index, 0, 0, -2, None)
            requests.append((wire.CMD_FLUSH, 0, cookie, 0, 0, None, True))
        else:
            dice -= load.reads + load.flushes
            kind = RecordType.ZEROES if dice < load.zeroes else (
                RecordType.TRIM if dice < load.zeroes + load.trims else RecordType.WRITE)
            self._change(kind, cookie, offset, length, requests)

    def _change(self, kind: RecordType, cookie: bytes, offset: int, length: int, requests: list[Request]) -> None:
        number = int.from_bytes(cookie, "little")
        payload = None
        if kind == RecordType.WRITE:
            payload = _stamped(number, offset, length)
        wish = Wish(number, self.export.volume_index, offset, length, kind, payload)
        self._in_flight[cookie] = wish
        owed = self._oracle.history_of(self._process.host).owed
        if payload is None:
            owed.append(Expected(kind, None, offset, length, wish))
            requests.append((_COMMANDS[kind], 0, cookie, offset, length, None, True))
            return
        memory = bytearray(payload)
        self._held.append(memory)
        view, at = memoryview(memory), 0
        while at < length:
            step = length - at
            if step > SECTOR_BYTES and self._random.random() < 0.2:
                step = self._random.randrange(1, step)
            last = at + step == length
            owed.append(Expected(kind if last else kind | CONTINUES, payload[at:at + step], offset + at, step, wish))
            requests.append((wire.CMD_WRITE, 0, cookie, offset + at, step, view[at:at + step], last))
            at += step

    # what the service says

    def release(self) -> None:
        for memory in self._held:
            memory[:] = b"\xee" * len(memory)
        self._held.clear()

    def reply_writes(self, cookies: Sequence[bytes]) -> None:
        self._answers += [lambda c=cookie: self._done(c) for cookie in cookies]  # type: ignore[misc]

    def reply_error(self, cookie: bytes, errno: int) -> None:
        self._answers.append(lambda: self._refused(cookie))

    def reply_read(self, cookie: bytes, offset: int, data: memoryview | bytes) -> None:
        found = bytes(data)  # a read without a flush in the same turn may change: so it is taken here
        self._answers.append(lambda: self._read(cookie, offset, found))

    def reply_read_from(self, cookie: bytes, offset: int, length: int, file: BlockFile) -> None:
        def answer() -> None:
            data = bytearray(length)
            try:
                file.read_into([memoryview(data)], offset)  # whenever the client takes it
            except OSError as error:
                self.close(f"half an answer cannot become an error: {error}")
            else:
                self._read(cookie, offset, bytes(data))

        self._answers.append(answer)

    def reply_block_status(self, cookie: bytes, extents: Sequence[tuple[int, int]]) -> None:
        raise AssertionError("nobody asked for block status")

    def flush_replies(self) -> None:
        if self.closed or not self._answers:
            return
        if self._process.step():
            raise Crash(f"{self.name}: before the answers went out")
        self._oracle.observe(self._process)
        answers, self._answers = self._answers, []
        for answer in answers:
            if not self.closed:
                answer()
        self._oracle.completed_some(self._process)

    def _take(self, cookie: bytes) -> Wish:
        wish = self._in_flight.pop(cookie, None)
        if wish is None:
            raise Violation(f"an answer to request {int.from_bytes(cookie, 'little')}, which is not in flight")
        return wish

    def _done(self, cookie: bytes) -> None:
        self._oracle.serves(self._process)
        self._oracle.history_of(self._process.host).complete(self._take(cookie))

    def _refused(self, cookie: bytes) -> None:
        wish = self._take(cookie)
        wish.failed = True
        self._oracle.refused(self._process, wish)

    def _read(self, cookie: bytes, offset: int, data: bytes) -> None:
        wish = self._take(cookie)
        self._oracle.serves(self._process)
        self._oracle.check_read(self._process, wish, self._read_from.pop(cookie), data)
        wish.completed = True

    def close(self, reason: str) -> None:
        self.closed = True
        self._in_flight.clear()

    @property
    def waiting(self) -> int:
        return len(self._in_flight)


def _stamped(number: int, offset: int, length: int) -> bytes:
    """Bytes that say whose they are and where they belong, in every sector."""
    first, last = offset // 16, (offset + length - 1) // 16
    if length <= SECTOR_BYTES:
        whole = b"".join(_STAMP.pack(number, unit) for unit in range(first, last + 1))
        return whole[offset % 16:offset % 16 + length]
    sectors = []
    for sector in range(offset // SECTOR_BYTES, (offset + length - 1) // SECTOR_BYTES + 1):
        sectors.append(_STAMP.pack(number, sector) * (SECTOR_BYTES // 16))
    return b"".join(sectors)[offset % SECTOR_BYTES:offset % SECTOR_BYTES + length]
