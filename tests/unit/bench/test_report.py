"""The table of a measurement: what it computes, and what it refuses to show."""

from __future__ import annotations

from pathlib import Path

from bench.load import WORKLOADS, LoadResult
from bench.report import HEADER, markdown, rows
from bench.rounds import Sample, same_bytes


def _sample(contender: str, rate: float, number: int = 1, workload: str = "qd32") -> Sample:
    return Sample(number, contender, workload, LoadResult(1000, rate, 50, 90, 0.1), 0.02, 8 << 20, 0.5)


def test_a_row_is_the_median_of_the_rounds_over_the_reference() -> None:
    samples = [_sample("qemu-mirror", rate, n) for n, rate in enumerate((90, 100, 500))]
    samples += [_sample("volrep-sync", rate, n) for n, rate in enumerate((100, 250, 300))]
    row = dict(zip(HEADER, rows(samples, WORKLOADS["qd32"])[1], strict=True))
    assert (row["writes/s"], row["spread"], row["÷ qemu-mirror"]) == ("250", "100–300", "2.50")
    assert (row["CPU µs/write"], row["RSS MiB"], row["catch-up s"]) == ("20.0", "8", "0.5")


def test_without_the_reference_no_ratio_is_shown() -> None:
    assert rows([_sample("volrep-sync", 100)], WORKLOADS["qd32"])[0][3] == "-"


def test_latencies_of_writes_with_a_flush_are_not_shown_as_if_they_included_it() -> None:
    row = rows([_sample("nbdkit-file", 100, workload="qd1-flush")], WORKLOADS["qd1-flush"])[0]
    assert row[4:6] == ("-", "-")


def test_the_report_states_every_promise() -> None:
    text = markdown([_sample("a", 1), _sample("b", 2)], [WORKLOADS["qd32"]], {"a": "nothing", "b": "all"}, ["alone"])
    assert "| a         | nothing |" in text
    assert "- alone" in text


def test_one_different_byte_or_a_missing_end_is_a_difference(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(bytes(5 << 20))
    second.write_bytes(bytes((5 << 20) - 1) + b"\1")
    assert not same_bytes(first, second)
    second.write_bytes(bytes((5 << 20) - 1))
    assert not same_bytes(first, second)
    second.write_bytes(bytes(5 << 20))
    assert same_bytes(first, second)
