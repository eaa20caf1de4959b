"""A line with a delay: `python -m bench.line PORT TO_PORT PING_PORT ROUND_TRIP_S`.

The kernel's netem is not everywhere, so this is a proxy in user space: each chunk received on PORT goes on to TO_PORT
half a round trip later, and the answers likewise. PING_PORT leads through the same delay to an echo server, to measure
the line with. Loopback only.

The loop waits with select, whose timeouts are microseconds. epoll's are milliseconds, rounded up: each way would take
3 ms and not 2.5 for a lonely byte, but less where other traffic wakes the loop meanwhile, as a link's does.
"""

from __future__ import annotations

import argparse
import asyncio
import selectors
import socket
from contextlib import suppress

CHUNK_BYTES = 256 << 10


class Delay:
    """Joins two connections; what one end says the other hears `delay_s` later."""

    def __init__(self, to_port: int, delay_s: float) -> None:
        self._to_port = to_port
        self._delay_s = delay_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        for end in (writer, their_writer):
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.gather(self._carry(reader, their_writer), self._carry(their_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK_BYTES):
                loop.call_later(self._delay_s, _say, writer, data)
                await writer.drain()
        loop.call_later(self._delay_s, writer.close)


def _say(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)


def exact_loop() -> asyncio.AbstractEventLoop:
    """A loop whose timers are late by some 0.1 ms at most when nothing else runs."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(port: int, to_port: int, ping_port: int, delay_s: float) -> None:
    echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
    echo_port = echo.sockets[0].getsockname()[1]
    servers = [await asyncio.start_server(Delay(to, delay_s).serve, "127.0.0.1", at)
               for at, to in ((port, to_port), (ping_port, echo_port))]
    await asyncio.gather(echo.serve_forever(), *(server.serve_forever() for server in servers))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="a line with a delay, for the benchmark")
    for name in ("port", "to_port", "ping_port"):
        parser.add_argument(name, type=int)
    parser.add_argument("round_trip_s", type=float)
    asked = parser.parse_args()
    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=exact_loop) as runner:
        runner.run(_serve(asked.port, asked.to_port, asked.ping_port, asked.round_trip_s / 2))
