"""RegionMap against a plain set of numbers."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from volrep.volume.regions import BadMap, RegionMap

OFFSET, LENGTH, INDEX = st.integers(0, 1_200_000), st.integers(0, 1_200_000), st.integers(0, 70_000)


class AgainstASet(RuleBasedStateMachine):
    """The same operations on a map and on a set of region numbers."""

    @initialize(size_bytes=st.integers(1, 1_000_000), region_bytes=st.sampled_from([1, 3, 16, 512, 4096, 1 << 20]))
    def start(self, size_bytes: int, region_bytes: int) -> None:
        # Bits matter, not bytes: at most 65,536 regions keep the set quick.
        self.size = min(size_bytes, 65_536 * region_bytes)
        self.region = region_bytes
        self.map = RegionMap(self.size, region_bytes)
        self.regions = -(-self.size // region_bytes)
        self.model: set[int] = set()

    @rule(offset=OFFSET, length=LENGTH)
    def mark(self, offset: int, length: int) -> None:
        self.map.mark(offset, length)
        if length:
            last = min((offset + length - 1) // self.region, self.regions - 1)
            self.model |= set(range(offset // self.region, last + 1))

    @rule(first=INDEX, count=st.integers(0, 70_000))
    def clear(self, first: int, count: int) -> None:
        self.map.clear(first, first + count)
        self.model -= set(range(first, first + count))

    @rule(offset=OFFSET, length=LENGTH)
    def clear_range(self, offset: int, length: int) -> None:
        self.map.clear_range(offset, length)
        end = offset + length
        first = -(-offset // self.region)
        last = self.regions if end >= self.size else end // self.region
        self.model -= set(range(first, last))

    @rule()
    def fill(self) -> None:
        self.map.fill()
        self.model = set(range(self.regions))

    @rule(offset=OFFSET, length=LENGTH)
    def union(self, offset: int, length: int) -> None:
        other = RegionMap(self.size, self.region)
        other.mark(offset, length)
        self.map.union(other)
        self.mark(offset, length)

    @rule()
    def save_and_load(self) -> None:
        self.map = RegionMap.from_bytes(self.map.to_bytes())

    @rule(offset=OFFSET, max_bytes=st.integers(1, 1 << 21))
    def next_marked(self, offset: int, max_bytes: int) -> None:
        first = min((index for index in self.model if index >= offset // self.region), default=None)
        found = self.map.next_marked(offset, max_bytes)
        if first is None:
            assert found is None
            return
        end = first + 1
        while end in self.model and (end + 1 - first) * self.region <= max_bytes:
            end += 1
        assert found == (first * self.region, min(end * self.region, self.size) - first * self.region)

    @invariant()
    def counts_agree(self) -> None:
        if hasattr(self, "map"):
            assert self.map.count == len(self.model)
            assert self.map.any() == bool(self.model)
            assert self.map.marked_bytes == sum(
                min(self.region, self.size - index * self.region) for index in self.model)


AgainstASet.TestCase.settings = settings(max_examples=60, stateful_step_count=15, deadline=None)
TestRegionMap = AgainstASet.TestCase


@given(st.lists(st.tuples(OFFSET, LENGTH), max_size=10))
def test_ranges_are_what_is_marked_each_byte_once(marks: list[tuple[int, int]]) -> None:
    regions = RegionMap(1_000_001, 64)
    for offset, length in marks:
        regions.mark(offset, length)
    ranges = list(regions.ranges(10_000))
    assert sum(length for _, length in ranges) == regions.marked_bytes
    assert all(a[0] + a[1] <= b[0] for a, b in pairwise(ranges))
    assert all(length <= 10_000 for _, length in ranges)
    for offset, length in ranges:
        regions.clear_range(offset, length)
    assert not regions.any()


@given(st.binary(max_size=100))
def test_any_bytes_are_a_map_or_bad(data: bytes) -> None:
    with contextlib.suppress(BadMap):
        RegionMap.from_bytes(data)


def test_a_flip_in_a_saved_map_is_noticed() -> None:
    regions = RegionMap(1 << 20, 4096)
    regions.mark(5000, 100_000)
    saved = regions.to_bytes()
    for position in range(len(saved)):
        damaged = bytearray(saved)
        damaged[position] ^= 1
        with pytest.raises(BadMap):
            RegionMap.from_bytes(damaged)
