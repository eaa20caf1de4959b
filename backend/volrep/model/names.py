"""Names of objects: what is allowed, and the names derived from others."""

from __future__ import annotations

import re

from volrep.model.errors import VolrepError
from volrep.model.messages import usage

NAME_MAX_CHARS = 31  # VVR's limit; keeps unix socket paths (108 bytes) safe too
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")


def check_name(kind: str, value: str) -> str:
    """Return `value`, or raise VR-1011. `kind` is the word for the message: "volume", "RVG" ..."""
    if len(value) > NAME_MAX_CHARS or not _NAME.fullmatch(value) or ".." in value:
        raise VolrepError(usage.BAD_NAME, value=value, kind=kind, limit=NAME_MAX_CHARS)
    return value


def rlink_name(remote_host: str, rvg: str) -> str:
    """VVR's convention, the same on both ends: the end on london towards tokyo is rlk_tokyo_<rvg>."""
    return f"rlk_{remote_host}_{rvg}"
