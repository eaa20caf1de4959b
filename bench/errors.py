"""The one way in which a measurement fails."""

from __future__ import annotations


class BenchError(Exception):
    """A measurement cannot be made; `str()` says why. Nothing is reported instead of something wrong."""
