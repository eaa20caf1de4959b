"""Quantities: sizes, rates, durations, and the two numbers that order all history."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple, NewType

from volrep.model.errors import VolrepError
from volrep.model.messages import usage

Lsn = NewType("Lsn", int)
"""Byte position in the endless log stream. Never wraps; 0 means none (`FIRST_LSN` is the first)."""

Generation = NewType("Generation", int)
"""Number of a Primary's reign, from 1."""


class Reign(NamedTuple):
    """One line of a history: a Primary's reign, and where in the log it began.

    Two hosts may take over at the same time, so the number alone does not tell reigns apart: `reign_id` (16 hex digits,
    random) does. It is empty for a reign that began under a version that had none.
    """

    generation: int
    start_lsn: int
    reign_id: str = ""


class Tail(NamedTuple):
    """The `length` bytes of a log right before `lsn`, by their checksum (`volrep.log.tails`); length 0: none."""

    lsn: int = 0
    length: int = 0
    crc: int = 0


NO_TAIL = Tail()

FIRST_LSN = Lsn(4096)
"""The stream starts here, so that 0 can say "nothing" everywhere."""

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
SECTOR_BYTES = 512

_FACTORS = {"": 1, "b": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB, "s": SECTOR_BYTES}
_SIZE = re.compile(r"(\d+)(?:\.(\d+))?\s*([a-z]?)(?:i?b)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """Bytes of `10g`, `1.5t`, `4096`, `200s` (sectors). Raises VR-1010."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[3].lower() not in _FACTORS:
        raise VolrepError(usage.BAD_SIZE, value=text)
    factor = _FACTORS[match[3].lower()]
    digits, fraction = int(match[1]), match[2] or ""
    size_bytes: int = digits * factor + int(fraction or 0) * factor // 10 ** len(fraction)
    if size_bytes <= 0:
        raise VolrepError(usage.BAD_SIZE, value=text)
    return size_bytes


def format_size(size_bytes: int | float) -> str:
    """Shortest form with a unit that keeps three significant digits: `10g`, `1.5t`, `832m`, `0`."""
    value, unit = float(size_bytes), ""
    for name in ("k", "m", "g", "t"):
        if abs(value) < 1024:
            break
        value, unit = value / 1024, name
    text = f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
    return text + unit


def format_rate(bytes_per_s: float) -> str:
    return f"{format_size(bytes_per_s)}/s"


def iso(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def format_duration(seconds: float) -> str:
    """`HHh MMm SSs` as repstatus prints it; below ten seconds with a tenth."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours}h {minutes:02}m {secs:02}s"
    return f"{minutes}m {secs:02}s" if minutes else f"{secs}s"
