"""Waiting for something that another process does: always with a deadline, always saying for what."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_S = 0.05


def wait_for(predicate: Callable[[], T], deadline_s: float, what: str) -> T:
    """The first true value of `predicate`; fails the test when `deadline_s` passes without one."""
    end_s = time.monotonic() + deadline_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() >= end_s:
            raise AssertionError(f"waited {deadline_s:g} s in vain for {what}; last seen: {value!r}")
        time.sleep(POLL_S)
