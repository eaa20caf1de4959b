"""Cutting a volume into frames: every byte once, holes whole, regions never split."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from volrep.rvg.limits import REGION_BYTES
from volrep.rvg.resync import _pieces

UNIT = REGION_BYTES // 4


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 3), st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=20))
def test_pieces_cover_the_range_once_and_call_no_data_a_hole(first_region: int,
                                                            runs: list[tuple[int, bool]]) -> None:
    start = first_region * REGION_BYTES
    extents, at = [], start
    for units, is_data in runs:
        extents.append((at, units * UNIT, is_data))
        at += units * UNIT
    end = at
    reached = start
    for offset, length, is_data in _pieces(iter(extents), start, end):
        assert offset == reached
        assert length > 0
        reached += length
        assert offset % REGION_BYTES == 0
        assert reached % REGION_BYTES == 0 or reached == end
        if is_data:
            assert length <= REGION_BYTES
        else:
            assert not any(d for o, n, d in extents if o < reached and o + n > offset)
    assert reached == end
