"""The replication port over real sockets: not a byte too much is taken, nothing is ever answered."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from volrep.engine import door as door_module
from volrep.engine.door import Door, open_port
from volrep.engine.hello import HelloLine
from volrep.link.connect import hello_line
from volrep.model.errors import VolrepError
from volrep.ports.clock import SystemClock

LINE = hello_line("rds", "link", "london")


@dataclass
class Bench:
    """A door whose connections for link "link" are taken, all others refused."""

    port: int = 0
    taken: list[socket.socket] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def hand_over(self, hello: HelloLine, sock: socket.socket) -> str:
        if hello.link_id != "link":
            return "unknown link"
        self.taken.append(sock.dup())
        self.arrived.set()
        return ""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@pytest_asyncio.fixture
async def bench() -> AsyncGenerator[Bench]:
    made = Bench()
    sock = open_port("127.0.0.1", 0)
    made.port = sock.getsockname()[1]
    door = Door(sock, made.hand_over, made.reports.append, SystemClock())
    door.open()
    yield made
    await door.close()
    for taken in made.taken:
        taken.close()


async def ends_silently(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends without a byte of answer."""
    try:
        return await asyncio.wait_for(reader.read(1), 5) == b""
    except ConnectionResetError:  # closed with bytes of ours unread
        return True


@pytest.mark.parametrize("pieces", [[LINE + b"TLS bytes"], [bytes([byte]) for byte in LINE] + [b"TLS bytes"],
                                    [LINE[:20], LINE[20:] + b"TLS", b" bytes"]])
async def test_the_line_is_taken_and_not_a_byte_behind_it(bench: Bench, pieces: list[bytes]) -> None:
    _, writer = await bench.connect()
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    await asyncio.wait_for(bench.arrived.wait(), 5)
    writer.write_eof()
    bench.taken[0].setblocking(True)
    received = b""
    while data := await asyncio.to_thread(bench.taken[0].recv, 100):
        received += data
    assert received == b"TLS bytes"
    assert bench.taken[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1
    writer.close()


@pytest.mark.parametrize("data", [b"GET / HTTP/1.0\r\n\r\n", hello_line("rds", "other", "x"), LINE[:-1], b""])
async def test_anybody_else_is_closed_without_an_answer(bench: Bench, data: bytes) -> None:
    reader, writer = await bench.connect()
    writer.write(data)
    writer.write_eof()
    assert await ends_silently(reader)
    assert len(bench.reports) == 1
    assert not bench.taken
    writer.close()


async def test_who_does_not_finish_the_line_is_closed_in_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "HELLO_DEADLINE_S", 0.1)
    reader, writer = await bench.connect()
    writer.write(LINE[:-1])
    assert await ends_silently(reader)
    assert "no hello line" in bench.reports[0]
    writer.close()


async def test_unfinished_connections_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "HALF_OPEN_MAX", 3)
    held = [await bench.connect() for _ in range(3)]
    reader, writer = await bench.connect()
    assert await ends_silently(reader)
    held[0][1].write(LINE)
    await asyncio.wait_for(bench.arrived.wait(), 5)
    for _, one in (*held, (reader, writer)):
        one.close()


async def test_refusals_are_reported_once_in_a_while_with_their_number(bench: Bench) -> None:
    for _ in range(20):
        reader, writer = await bench.connect()
        writer.write(b"nonsense\n")
        assert await ends_silently(reader)
        writer.close()
    assert len(bench.reports) == 1


async def test_noise_never_harms_the_port(bench: Bench) -> None:
    chance = random.Random(4145)
    for _ in range(100):
        reader, writer = await bench.connect()
        line = bytearray(LINE + os.urandom(chance.randrange(20)))
        for _ in range(chance.randrange(1, 4)):
            line[chance.randrange(len(LINE))] = chance.randrange(256)
        writer.write(line)
        writer.write_eof()
        reads = asyncio.create_task(ends_silently(reader))
        await asyncio.wait([reads, asyncio.create_task(bench.arrived.wait())], return_when=asyncio.FIRST_COMPLETED)
        bench.arrived.clear()
        reads.cancel()
        writer.close()
    _, writer = await bench.connect()
    before = len(bench.taken)
    writer.write(LINE)
    await asyncio.wait_for(bench.arrived.wait(), 5)
    assert len(bench.taken) == before + 1
    writer.close()


def test_a_port_in_use_is_told() -> None:
    with open_port("127.0.0.1", 0) as first, pytest.raises(VolrepError, match=r"VR-1703.*in use"):
        open_port("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize(("listen", "port"), [("300.1.1.1", 0), ("no such host", 0), ("127.0.0.1", 99999)])
def test_an_address_that_cannot_be_is_told(listen: str, port: int) -> None:
    with pytest.raises(VolrepError, match="VR-1703"):
        open_port(listen, port)
