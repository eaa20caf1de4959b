"""A map of marked regions of a volume: one bit each. It does no I/O.

Knows bits, ranges and the saved form. Must not know why a region is marked (the Data Change Map, the
copy list of a synchronization). Everything on long ranges works on bytes, never bit by bit: 16 million
regions are 2 MiB.

Saved form, little endian:

    0   4  magic         "VRM1"
    4   4  CRC32C        of everything behind this field
    8   8  size_bytes    of the volume
    16  8  region_bytes
    24     bits, region 0 in the lowest bit of the first byte
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from crc32c import crc32c

_MAGIC = b"VRM1"
_HEAD = struct.Struct("<4sIQQ")
_SKIP_BYTES = 4096  # compared at once while looking for the next bit: 32,768 regions
_EMPTY, _FULL = bytes(_SKIP_BYTES), b"\xff" * _SKIP_BYTES
_NOT_EMPTY, _NOT_FULL = re.compile(rb"[^\x00]"), re.compile(rb"[^\xff]")


class BadMap(ValueError):
    """The bytes are no saved map; `str()` says why."""


class RegionMap:
    """Marked regions of a volume of `size_bytes`; the last region may be shorter. Offsets in bytes."""

    __slots__ = ("_bits", "count", "region_bytes", "regions", "size_bytes")

    def __init__(self, size_bytes: int, region_bytes: int) -> None:
        assert size_bytes > 0, "a map of nothing"
        assert region_bytes > 0, "regions of nothing"
        self.size_bytes = size_bytes
        self.region_bytes = region_bytes
        self.regions = -(-size_bytes // region_bytes)
        self.count = 0  # of marked regions
        self._bits = bytearray((self.regions + 7) // 8)

    def any(self) -> bool:
        return self.count > 0

    @property
    def marked_bytes(self) -> int:
        """Bytes of the volume in marked regions."""
        if self.regions and self.is_marked(self.regions - 1):
            return self.count * self.region_bytes - (self.regions * self.region_bytes - self.size_bytes)
        return self.count * self.region_bytes

    def is_marked(self, index: int) -> bool:
        return bool(self._bits[index >> 3] >> (index & 7) & 1)

    def mark(self, offset: int, length: int) -> None:
        """Mark every region that the range touches, as far as the volume reaches."""
        if length <= 0:
            return
        first = offset // self.region_bytes
        last = (offset + length - 1) // self.region_bytes
        if first == last:  # nearly every write
            if first < self.regions and not self._bits[first >> 3] >> (first & 7) & 1:
                self._bits[first >> 3] |= 1 << (first & 7)
                self.count += 1
            return
        self._set(first, min(last + 1, self.regions), True)

    def clear(self, first: int, end: int) -> None:
        """Clear the regions with index first to end - 1."""
        self._set(first, min(end, self.regions), False)

    def clear_range(self, offset: int, length: int) -> None:
        """Clear the regions that lie wholly in the range: one that was copied in part stays marked."""
        end_byte = offset + length
        end = self.regions if end_byte >= self.size_bytes else end_byte // self.region_bytes
        self._set(-(-offset // self.region_bytes), end, False)

    def fill(self) -> None:
        """Mark all."""
        self._set(0, self.regions, True)

    def _set(self, first: int, end: int, marked: bool) -> None:
        """Set the bits first to end - 1: partial bytes at both ends, the middle at once."""
        if first >= end:
            return
        start, stop = first >> 3, (end - 1 >> 3) + 1  # bytes concerned
        before = int.from_bytes(self._bits[start:stop], "little")
        bits = (1 << end - first) - 1 << (first & 7)
        after = before | bits if marked else before & ~bits
        self.count += after.bit_count() - before.bit_count()
        self._bits[start:stop] = after.to_bytes(stop - start, "little")

    def next_marked(self, offset: int, max_bytes: int) -> tuple[int, int] | None:
        """(offset, length) of the next marked bytes at or after `offset`, neighbouring regions merged.

        At most `max_bytes` (at least one region), cut at the end of the volume; None when none follows.
        """
        first = self._next(offset // self.region_bytes, marked=True)
        if first is None:
            return None
        most = max(1, max_bytes // self.region_bytes)
        clear = self._next(first, marked=False)
        end = min(first + most, self.regions if clear is None else clear)
        start = first * self.region_bytes
        return start, min(end * self.region_bytes, self.size_bytes) - start

    def ranges(self, max_bytes: int) -> Iterator[tuple[int, int]]:
        """All of `next_marked` in order; marks and clears in between are seen when they lie ahead."""
        found = self.next_marked(0, max_bytes)
        while found is not None:
            yield found
            found = self.next_marked(found[0] + found[1], max_bytes) if sum(found) < self.size_bytes else None

    def _next(self, index: int, *, marked: bool) -> int | None:
        """First region at or after `index` that is (not) marked."""
        if index >= self.regions:
            return None
        bits = self._bits
        position = index >> 3
        byte = (bits[position] if marked else ~bits[position] & 0xFF) >> (index & 7)
        if byte == 0:
            block, pattern = (_EMPTY, _NOT_EMPTY) if marked else (_FULL, _NOT_FULL)
            position += 1
            while bits[position:position + _SKIP_BYTES] == block:
                position += _SKIP_BYTES
            found = pattern.search(bits, position)
            if found is None:
                return None
            position, index = found.start(), 0
            byte = bits[position] if marked else ~bits[position] & 0xFF
        result = position * 8 + (index & 7) + (byte & -byte).bit_length() - 1
        return result if result < self.regions else None

    def union(self, other: RegionMap) -> None:
        """Mark what `other` (of the same shape) has marked."""
        assert (self.size_bytes, self.region_bytes) == (other.size_bytes, other.region_bytes), "shapes differ"
        both = int.from_bytes(self._bits, "little") | int.from_bytes(other._bits, "little")
        self._bits[:] = both.to_bytes(len(self._bits), "little")
        self.count = both.bit_count()

    def to_bytes(self) -> bytes:
        body = _HEAD.pack(_MAGIC, 0, self.size_bytes, self.region_bytes)[8:] + self._bits
        return _MAGIC + crc32c(body).to_bytes(4, "little") + body

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> RegionMap:
        """Raises BadMap for anything that `to_bytes` did not make."""
        if len(data) < _HEAD.size:
            raise BadMap("too short")
        magic, crc, size_bytes, region_bytes = _HEAD.unpack_from(data)
        if magic != _MAGIC:
            raise BadMap("magic")
        if crc32c(bytes(data[8:])) != crc:
            raise BadMap("CRC")
        if size_bytes <= 0 or region_bytes <= 0 or len(data) != _HEAD.size + (-(-size_bytes // region_bytes) + 7) // 8:
            raise BadMap("size")
        found = cls(size_bytes, region_bytes)
        bits = int.from_bytes(data[_HEAD.size:], "little")
        if bits >> found.regions:
            raise BadMap("bits behind the last region")
        found._bits[:] = data[_HEAD.size:]
        found.count = bits.bit_count()
        return found
