"""A worker that never makes anything durable, and says nothing: checks must find out. In place of volrep.rvg.main."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

from volrep.rvg.main import main

_real_writev = os.pwritev


def _forgetful_writev(fd: int, buffers: Sequence[Any], offset: int, flags: int = 0) -> int:
    return _real_writev(fd, buffers, offset, flags & ~os.RWF_DSYNC)


if __name__ == "__main__":
    setattr(os, "pwritev", _forgetful_writev)  # noqa: B010  # mypy knows the originals' types
    setattr(os, "fdatasync", lambda fd: None)  # noqa: B010
    sys.exit(main())
