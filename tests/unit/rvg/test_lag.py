"""How far behind: exact while samples last, never more memory than allotted, zero only at the end."""

from __future__ import annotations

from volrep.rvg.lag import LagMeter
from volrep.rvg.limits import LAG_SAMPLES_MAX

S = 1_000_000_000


def test_lag_counts_what_lies_behind_a_position() -> None:
    meter = LagMeter(1000, 0)
    meter.add(2000, 10, 1 * S)
    meter.add(3000, 5, 2 * S)
    assert meter.behind(3000, 9 * S) == (0, 0, 0.0)
    assert meter.behind(2000, 9 * S) == (5, 1000, 7.0)
    assert meter.behind(1000, 9 * S) == (15, 2000, 8.0)


def test_a_position_within_a_batch_counts_the_whole_batch() -> None:
    meter = LagMeter(1000, 0)
    meter.add(2000, 10, 1 * S)
    assert meter.behind(1999, 2 * S) == (10, 1, 1.0)


def test_old_samples_thin_out_and_the_answer_stays_near() -> None:
    meter = LagMeter(0, 0)
    batches = 3 * LAG_SAMPLES_MAX
    for number in range(1, batches + 1):
        meter.add(number * 100, 2, number * S)
    assert len(meter._lsns) <= LAG_SAMPLES_MAX
    writes, lag_bytes, seconds = meter.behind(batches * 50, batches * S)
    assert lag_bytes == batches * 50
    assert abs(writes - batches) <= batches * 0.01
    assert abs(seconds - batches / 2) <= batches * 0.01


def test_a_position_before_all_samples_is_extrapolated() -> None:
    meter = LagMeter(1000, 5 * S)
    meter.add(2000, 10, 6 * S)
    writes, lag_bytes, seconds = meter.behind(0, 8 * S)
    assert (writes, lag_bytes, seconds) == (20, 2000, 3.0)
