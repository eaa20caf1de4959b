"""What was measured: rows, and one value per contender and round. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """One line of questions: the same thing measured of several contenders."""

    name: str
    title: str
    unit: str
    reference: str  # the contender that ratios are taken to
    less_is_better: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """One contender, one row, one round. What a row does not measure is 0."""

    row: str
    contender: str
    round: int
    value: float  # in the row's unit
    operations: int = 0
    p50_us: float = 0.0
    p99_us: float = 0.0
    cpu_s: float = 0.0  # of all servers, until the copy has everything
    rss_bytes: int = 0  # sum of the servers' peaks during the measurement
    settle_s: float = 0.0  # after the load: until the copy had everything


def of(samples: Iterable[Sample], row: str, contender: str) -> list[Sample]:
    return [s for s in samples if s.row == row and s.contender == contender]


def median_value(samples: Sequence[Sample], row: str, contender: str) -> float | None:
    """Median over the rounds; None when it was not measured."""
    values = [s.value for s in of(samples, row, contender)]
    return median(values) if values else None


def ratio(samples: Sequence[Sample], row: str, contender: str, reference: str, *,
          reference_row: str = "") -> float | None:
    """Median of value ÷ value over the rounds both took part in, so that what slows a round down hits both sides."""
    base = {s.round: s.value for s in of(samples, reference_row or row, reference) if s.value > 0}
    ratios = [s.value / base[s.round] for s in of(samples, row, contender) if s.round in base]
    return median(ratios) if ratios else None
