"""Sizes, rates and durations as people write and read them."""

from __future__ import annotations

import pytest

from volrep.model.errors import VolrepError
from volrep.model.units import format_duration, format_rate, format_size, parse_size


@pytest.mark.parametrize(("text", "size_bytes"), [
    ("4096", 4096), ("1", 1), ("4096b", 4096), ("10k", 10 << 10), ("10m", 10 << 20), ("10g", 10 << 30),
    ("10t", 10 << 40),
    ("10G", 10 << 30), (" 10 g ", 10 << 30), ("10GiB", 10 << 30), ("10gb", 10 << 30), ("200s", 200 * 512),
    ("1.5t", 3 << 39), ("0.5k", 512), ("1.25m", 5 << 18),
])
def test_sizes_are_read_as_written(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "0", "0g", "-1", "10x", "g", "1.g", ".5g", "1e3", "10 20", "10g;", "0.1", "nan"])
def test_what_is_no_size_is_refused_with_the_value(text: str) -> None:
    with pytest.raises(VolrepError) as refused:
        parse_size(text)
    assert refused.value.id == "VR-1010"
    assert repr(text) in refused.value.text


@pytest.mark.parametrize(("size_bytes", "text"), [
    (0, "0"), (1, "1"), (1023, "1023"), (1024, "1k"), (1536, "1.5k"), (832 << 20, "832m"), (10 << 30, "10g"),
    (3 << 39, "1.5t"), (5 << 50, "5120t"), (1234567, "1.18m"), (-2048, "-2k"),
])
def test_sizes_are_shown_short(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@pytest.mark.parametrize("size_bytes", [512, 4096, 10 << 20, 3 << 39, 17 << 20, 1 << 40])
def test_round_sizes_survive_showing_and_reading(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes)) == size_bytes


def test_rates_are_sizes_per_second() -> None:
    assert format_rate(1.5 * (1 << 20)) == "1.5m/s"


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0.0s"), (0.25, "0.2s"), (9.9, "9.9s"), (10, "10s"), (59.4, "59s"), (60, "1m 00s"), (59.6, "1m 00s"),
    (3599.6, "1h 00m 00s"), (3661, "1h 01m 01s"), (360000, "100h 00m 00s"),
])
def test_durations_carry_into_the_next_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
