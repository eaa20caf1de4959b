"""The ring's arithmetic."""

from __future__ import annotations

import pytest

from volrep.log.ring import HEADER_AREA_BYTES, SRL_MIN_BYTES, Ring, check_size
from volrep.model.errors import VolrepError


def test_the_capacity_is_whole_pages_behind_the_header_area() -> None:
    assert Ring(SRL_MIN_BYTES).capacity_bytes == 16 << 20
    assert Ring(SRL_MIN_BYTES + 4095).capacity_bytes == 16 << 20
    assert Ring(SRL_MIN_BYTES + 4096).capacity_bytes == (16 << 20) + 4096


def test_a_range_is_one_span_and_two_at_the_edge() -> None:
    ring = Ring(HEADER_AREA_BYTES + 8192)
    assert ring.spans(4096, 100) == [(HEADER_AREA_BYTES + 4096, 100)]
    assert ring.spans(4096, 4096) == [(HEADER_AREA_BYTES + 4096, 4096)]
    assert ring.spans(8000, 200) == [(HEADER_AREA_BYTES + 8000, 192), (HEADER_AREA_BYTES, 8)]
    assert ring.spans(8192, 8192) == [(HEADER_AREA_BYTES, 8192)]
    assert ring.spans(8192 * 1000 + 8, 8192) == [(HEADER_AREA_BYTES + 8, 8184), (HEADER_AREA_BYTES, 8)]
    assert ring.spans(8191, 0) == [(HEADER_AREA_BYTES + 8191, 0)]


def test_a_small_srl_is_refused_with_the_minimum_and_its_reason() -> None:
    check_size(SRL_MIN_BYTES, name="hr_srl", dg="hrdg")
    with pytest.raises(VolrepError) as caught:
        check_size(SRL_MIN_BYTES - 1, name="hr_srl", dg="hrdg")
    assert caught.value.id == "VR-1500"
    assert str(SRL_MIN_BYTES) in caught.value.text
    assert "hrdg" in caught.value.hint
