"""Region maps kept in files: of copies under way, so that a restart copies only what is left, and of forks.

    maps/<key>.map     b"VRC1", u32 CRC32C of what follows, then JSON {"volumes": {index: length}, ...} as
                       u32 length + text, then the maps in that order (`volume.regions.RegionMap.to_bytes`)

| key                  | maps                                            | beside "volumes"                |
|----------------------|-------------------------------------------------|---------------------------------|
| <link_id>            | left to be copied to that Secondary             | order_id, copied_frames         |
| changes-<rvg_id>     | regions written here since a takeover           | from_lsn, upto_lsn              |
| divergence-<rvg_id>  | regions written here beyond the fork            | `rvg.changes.Stretch.about`     |

A map that is missing, damaged or of another order only costs time: everything is copied.
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import crc32c

from volrep.ports.files import Folder
from volrep.ports.threads import Background
from volrep.rvg.limits import REGION_BYTES
from volrep.volume.data import DataVolume
from volrep.volume.regions import RegionMap

logger = logging.getLogger("volrep.rvg")

_MAGIC = b"VRC1"
_U32 = struct.Struct("<I")


Then = Callable[[bool], None]
"""Told in the loop whether it is on disk."""


class MapStore:
    def __init__(self, folder: Folder, background: Background) -> None:
        self._folder = folder
        self._background = background
        self._saving: set[str] = set()
        self._next: dict[str, tuple[bytes, Then]] = {}  # waits for the save under way
        self._removed: set[str] = set()  # while a save was under way, which brings the file back

    def open(self, link_id: str, order_id: str, volumes: Mapping[int, DataVolume], *,
             fresh: bool) -> tuple[dict[str, Any], dict[int, RegionMap]]:
        """The maps as saved for this order, with what was saved beside them; {} and all marked when `fresh` or
        nothing usable is there."""
        if not fresh:
            try:
                about, maps = self.read(link_id)
                if about.get("order_id") != order_id:
                    raise ValueError("belongs to an earlier order")
                return about, maps
            except (OSError, ValueError) as error:
                logger.warning("region map of link %s: %s; everything is copied again", link_id, error)
        maps = {index: RegionMap(volume.file.size_bytes, REGION_BYTES) for index, volume in volumes.items()}
        for made in maps.values():
            made.fill()
        return {}, maps

    def read(self, key: str) -> tuple[dict[str, Any], dict[int, RegionMap]]:
        """What was saved under `key`. Raises OSError, ValueError."""
        return decode(self._folder.read(_name(key)))

    def save(self, key: str, about: dict[str, Any], maps: Mapping[int, RegionMap], then: Then | None = None) -> None:
        """Write in a thread. While a save under the same key is under way, only the newest one waits for it."""
        self._save(key, encode(about, maps), then or _no_matter)

    def _save(self, key: str, data: bytes, then: Then) -> None:
        if key in self._saving:
            if (replaced := self._next.get(key)) is not None:
                replaced[1](False)
            self._next[key] = (data, then)
            return
        self._saving.add(key)

        def done(_: None, error: Exception | None) -> None:
            self._saving.discard(key)
            if key in self._removed:
                self._removed.discard(key)
                self._folder.remove(_name(key))
            if error is not None:
                logger.warning("region map %s not saved: %s; a restart copies more", key, error)
            then(error is None)
            if (waiting := self._next.pop(key, None)) is not None:
                self._save(key, *waiting)

        self._background.run(lambda: self._folder.save(_name(key), data), done)

    def save_now(self, key: str, data: bytes) -> None:
        """`encode`d maps, in a thread of the caller's. Raises OSError."""
        self._folder.save(_name(key), data)

    def remove(self, key: str) -> None:
        self._next.pop(key, None)
        if key in self._saving:
            self._removed.add(key)
        self._folder.remove(_name(key))


def _no_matter(_: bool) -> None:
    """The next save will do."""


def _name(key: str) -> str:
    return f"maps/{key}.map"


def encode(about: dict[str, Any], maps: Mapping[int, RegionMap]) -> bytes:
    parts = {index: m.to_bytes() for index, m in maps.items()}
    text = json.dumps({**about, "volumes": {str(i): len(p) for i, p in parts.items()}}).encode()
    body = b"".join([_U32.pack(len(text)), text, *parts.values()])
    return _MAGIC + _U32.pack(crc32c.crc32c(body)) + body


def decode(data: bytes) -> tuple[dict[str, Any], dict[int, RegionMap]]:
    """What `encode` was given. Raises ValueError for anything else: it may come from a peer."""
    if data[:4] != _MAGIC or len(data) < 12 or crc32c.crc32c(data[8:]) != _U32.unpack_from(data, 4)[0]:
        raise ValueError("damaged")
    end = 12 + _U32.unpack_from(data, 8)[0]
    try:
        about = json.loads(data[12:end])
    except RecursionError as error:
        raise ValueError("malformed") from error
    if not isinstance(about, dict) or not isinstance(about.get("volumes"), dict):
        raise ValueError("malformed")
    maps = {}
    for index, length in about["volumes"].items():
        if not isinstance(length, int) or length < 0:
            raise ValueError("malformed")
        maps[int(index)] = RegionMap.from_bytes(data[end : end + length])
        end += length
    return about, maps


def encoded_max_bytes(sizes: Sequence[int]) -> int:
    """What maps of volumes of these sizes come to at most: a bit for each region, heads, and the text in front."""
    return sum(-(-size // REGION_BYTES) // 8 + 64 for size in sizes) + ABOUT_MAX_BYTES


ABOUT_MAX_BYTES = 64 << 10  # 200 volumes with three numbers each
