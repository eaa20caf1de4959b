"""Waiting for states that have no event to wait for, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.errors import BenchError

POLL_S = 0.005  # what a time measured so may be too long


def seconds_until(right: Callable[[], bool], what: str, deadline_s: float = 120.0) -> float:
    """Polls. Raises BenchError."""
    start_s = time.monotonic()
    while not right():
        if time.monotonic() > start_s + deadline_s:
            raise BenchError(f"waited {deadline_s:g} s in vain for {what}")
        time.sleep(POLL_S)
    return time.monotonic() - start_s
