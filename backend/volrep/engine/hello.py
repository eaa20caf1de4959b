r"""The line with which a link connection begins, and what becomes of bytes that should be one. Pure.

    VOLREP/1 <rds_id> <link_id> <from_host>\n        at most HELLO_MAX_BYTES, ASCII

The engine looks at it without taking anything beyond the newline, and answers nothing, whatever it says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

HELLO_MAX_BYTES = 512  # two ids of 64, a host name of 253 and the fixed parts
_START = b"VOLREP/1 "
_LINE = re.compile(rb"VOLREP/1 ([0-9A-Za-z-]{1,64}) ([0-9A-Za-z-]{1,64}) ([0-9A-Za-z._-]{1,253})\n")


@dataclass(frozen=True, slots=True)
class HelloLine:
    """Who asks for which link. `length_bytes` includes the newline."""

    rds_id: str
    link_id: str
    from_host: str
    length_bytes: int


class NotHello(Exception):
    """These bytes are no hello line, whatever follows; `str()` says why."""


def parse_hello(data: bytes) -> HelloLine | None:
    """The hello line at the start of `data`, or None while more bytes could complete one. Raises NotHello."""
    if not data.startswith(_START[:len(data)]):
        raise NotHello("it does not begin with VOLREP/1")
    end = data.find(b"\n", 0, HELLO_MAX_BYTES)
    if end < 0:
        if len(data) >= HELLO_MAX_BYTES:
            raise NotHello(f"no line end within {HELLO_MAX_BYTES} bytes")
        return None
    found = _LINE.fullmatch(data, 0, end + 1)
    if found is None:
        raise NotHello("the line is malformed")
    rds_id, link_id, from_host = (part.decode("ascii") for part in found.groups())
    return HelloLine(rds_id, link_id, from_host, end + 1)
