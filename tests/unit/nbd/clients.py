"""The client's side of NBD as bytes: what tests send, and how they read what comes back."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from volrep.nbd import wire

CLIENT_FLAGS = struct.pack(">I", wire.FLAG_FIXED_NEWSTYLE | wire.FLAG_NO_ZEROES)
GREETING_BYTES = 18


def option(number: int, data: bytes = b"") -> bytes:
    return wire.OPTION.pack(wire.OPTION_MAGIC, number, len(data)) + data


def go(name: str = "", infos: tuple[int, ...] = (), number: int = wire.OPT_GO) -> bytes:
    encoded = name.encode()
    wanted = struct.pack(f">H{len(infos)}H", len(infos), *infos)
    return option(number, struct.pack(">I", len(encoded)) + encoded + wanted)


def meta(name: str, *queries: str, number: int = wire.OPT_SET_META_CONTEXT) -> bytes:
    texts = b"".join(struct.pack(">I", len(text)) + text.encode() for text in queries)
    return option(number, struct.pack(">I", len(name)) + name.encode() + struct.pack(">I", len(queries)) + texts)


def option_replies(data: bytes) -> list[tuple[int, int, bytes]]:
    """(option, kind, data) of each option reply in `data`, which must hold nothing else."""
    replies = []
    while data:
        magic, number, kind, length = wire.OPTION_REPLY.unpack_from(data)
        assert magic == wire.OPTION_REPLY_MAGIC
        replies.append((number, kind, data[20:20 + length]))
        assert len(data) >= 20 + length
        data = data[20 + length:]
    return replies


def request(command: int, offset: int = 0, length: int = 0, *, cookie: int = 1, flags: int = 0,
            payload: bytes = b"") -> bytes:
    return wire.REQUEST.pack(wire.REQUEST_MAGIC, flags, command, struct.pack(">Q", cookie), offset, length) + payload


def write(offset: int, payload: bytes, *, cookie: int = 1, flags: int = 0) -> bytes:
    return request(wire.CMD_WRITE, offset, len(payload), cookie=cookie, flags=flags, payload=payload)


def three_ways(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes whole, byte by byte, and in uneven pieces."""
    yield [data]
    yield [data[i:i + 1] for i in range(len(data))]
    yield [data[i:i + 7] for i in range(0, len(data), 7)]


def read_exactly(receive: Callable[[int], bytes], length: int) -> bytes:
    parts = []
    while length:
        part = receive(min(length, 1 << 20))
        assert part, f"closed with {length} bytes missing"
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
