"""A worker whose disk reads and writes are cut short at random, as the system allows: run in place of volrep.rvg.main.

A layer under the ports: everything above `os` is the real worker, every byte goes to real files.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Sequence
from typing import Any

from volrep.rvg.main import main

_real_writev, _real_readv = os.pwritev, os.preadv
_rng = random.Random(os.getpid())
SHORT_PART = 0.5
_ALIGN = 512  # block devices take whole sectors only without reading; files any byte


def _cut(buffers: Sequence[Any]) -> list[memoryview]:
    """Some first part of the buffers, at least a byte of them."""
    views = [memoryview(b).cast("B") for b in buffers if len(b)]
    wanted = sum(map(len, views))
    left = _rng.choice((_rng.randint(1, wanted), max(1, wanted // 2), max(1, wanted // _ALIGN * _ALIGN - _ALIGN)))
    kept = []
    for view in views:
        if left <= 0:
            break
        kept.append(view[:left])
        left -= len(kept[-1])
    return kept


def _short_writev(fd: int, buffers: Sequence[Any], offset: int, flags: int = 0) -> int:
    return _real_writev(fd, _cut(buffers) if _rng.random() < SHORT_PART else buffers, offset, flags)


def _short_readv(fd: int, buffers: Sequence[Any], offset: int, flags: int = 0) -> int:
    return _real_readv(fd, _cut(buffers) if _rng.random() < SHORT_PART else buffers, offset, flags)


if __name__ == "__main__":
    setattr(os, "pwritev", _short_writev)  # noqa: B010  # mypy knows the originals' types
    setattr(os, "preadv", _short_readv)  # noqa: B010
    sys.exit(main())
