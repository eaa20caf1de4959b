"""Region maps of copies under way, kept in files so that a restart copies only what is left.

    maps/<link_id>.map     b"VRC1", u32 CRC32C of what follows, then JSON {"order_id", "volumes": {index: length}}
                           as u32 length + text, then the maps in that order (`volume.regions.RegionMap.to_bytes`)

A map that is missing, damaged or of another order only costs time: everything is copied.
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Mapping

import crc32c

from volrep.ports.files import Folder
from volrep.ports.threads import Background
from volrep.rvg.limits import REGION_BYTES
from volrep.volume.data import DataVolume
from volrep.volume.regions import RegionMap

logger = logging.getLogger("volrep.rvg")

_MAGIC = b"VRC1"
_U32 = struct.Struct("<I")


class MapStore:
    def __init__(self, folder: Folder, background: Background) -> None:
        self._folder = folder
        self._background = background
        self._saving: set[str] = set()

    def open(self, link_id: str, order_id: str, volumes: Mapping[int, DataVolume], *,
             fresh: bool) -> dict[int, RegionMap]:
        """The maps as saved for this order; all marked when `fresh` or nothing usable is there."""
        if not fresh:
            try:
                return decode(self._folder.read(_name(link_id)), order_id)
            except (OSError, ValueError) as error:
                logger.warning("region map of link %s: %s; everything is copied again", link_id, error)
        maps = {index: RegionMap(volume.file.size_bytes, REGION_BYTES) for index, volume in volumes.items()}
        for made in maps.values():
            made.fill()
        return maps

    def save(self, link_id: str, order_id: str, maps: Mapping[int, RegionMap]) -> None:
        """Write in a thread; skipped while the previous save is under way."""
        if link_id in self._saving:
            return
        self._saving.add(link_id)
        data = encode(order_id, maps)

        def done(_: None, error: Exception | None) -> None:
            self._saving.discard(link_id)
            if error is not None:
                logger.warning("region map of link %s not saved: %s; a restart copies more", link_id, error)

        self._background.run(lambda: self._folder.save(_name(link_id), data), done)

    def remove(self, link_id: str) -> None:
        self._folder.remove(_name(link_id))


def _name(link_id: str) -> str:
    return f"maps/{link_id}.map"


def encode(order_id: str, maps: Mapping[int, RegionMap]) -> bytes:
    parts = {index: m.to_bytes() for index, m in maps.items()}
    about = json.dumps({"order_id": order_id, "volumes": {str(i): len(p) for i, p in parts.items()}}).encode()
    body = b"".join([_U32.pack(len(about)), about, *parts.values()])
    return _MAGIC + _U32.pack(crc32c.crc32c(body)) + body


def decode(data: bytes, order_id: str) -> dict[int, RegionMap]:
    """Raises ValueError for anything that is not a whole map of this order."""
    if data[:4] != _MAGIC or len(data) < 12 or crc32c.crc32c(data[8:]) != _U32.unpack_from(data, 4)[0]:
        raise ValueError("damaged")
    end = 12 + _U32.unpack_from(data, 8)[0]
    about = json.loads(data[12:end])
    if about["order_id"] != order_id:
        raise ValueError("belongs to an earlier order")
    maps = {}
    for index, length in about["volumes"].items():
        maps[int(index)] = RegionMap.from_bytes(data[end : end + length])
        end += length
    return maps
