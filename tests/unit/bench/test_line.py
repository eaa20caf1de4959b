"""The line with a delay: what goes in comes out in order, later by the delay."""

from __future__ import annotations

import asyncio

from bench.line import Delay, exact_loop

DELAY_S = 0.02


async def _through() -> tuple[bytes, float]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    line = await asyncio.start_server(Delay(server.sockets[0].getsockname()[1], DELAY_S).serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", line.sockets[0].getsockname()[1])
    start_s = asyncio.get_running_loop().time()
    for part in (b"one ", b"two ", b"three"):
        writer.write(part)
        await writer.drain()
    answer = await reader.readexactly(13)
    taken_s = asyncio.get_running_loop().time() - start_s
    writer.close()
    line.close()
    server.close()
    return answer, taken_s


def test_bytes_come_back_in_order_after_a_round_trip() -> None:
    answer, taken_s = asyncio.run(asyncio.wait_for(_through(), 10))
    assert answer == b"one two three"
    assert taken_s >= 2 * DELAY_S


async def _shortest_wait_s(delay_s: float, tries: int) -> float:
    loop = asyncio.get_running_loop()
    taken = []
    for _ in range(tries):
        start_s, over = loop.time(), asyncio.Event()
        loop.call_later(delay_s, over.set)
        await over.wait()
        taken.append(loop.time() - start_s)
    return min(taken)


def test_its_timers_are_finer_than_a_millisecond() -> None:
    """With epoll none of them would be over before 3 ms, and what a write takes beyond the line would drown in that."""
    with asyncio.Runner(loop_factory=exact_loop) as runner:
        assert 0.0024 < runner.run(_shortest_wait_s(0.0025, 50)) < 0.003
