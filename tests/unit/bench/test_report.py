"""The table of a measurement: what it computes, and what it refuses to show."""

from __future__ import annotations

from pathlib import Path

from bench.load import WORKLOADS
from bench.report import HEADER, lines, markdown
from bench.rounds import same_bytes
from bench.sample import Row, Sample, ratio
from bench.targets import TARGETS

ROW = WORKLOADS["write-qd32"].row


def _sample(contender: str, rate: float, number: int = 1, row: str = ROW.name) -> Sample:
    return Sample(row, contender, number, rate, operations=1000, p50_us=50, p99_us=90, cpu_s=0.02, rss_bytes=8 << 20,
                  settle_s=0.5)


def test_a_line_is_the_median_of_the_rounds() -> None:
    samples = [_sample("volrep-sync", rate, n) for n, rate in enumerate((100, 250, 300))]
    line = dict(zip(HEADER, lines(samples, [ROW], {})[0], strict=True))
    assert (line["median"], line["spread"], line["÷ ref"]) == ("250 /s", "100–300", "")
    assert (line["µs/op"], line["CPU s"], line["RSS MiB"], line["catch-up s"]) == ("20", "0.02", "8", "0.5")


def test_a_ratio_is_taken_within_each_round_so_that_a_slow_round_changes_nothing() -> None:
    samples = [_sample("qemu-mirror", rate, n) for n, rate in enumerate((1000, 100, 1000))]
    samples += [_sample("volrep-sync", rate, n) for n, rate in enumerate((2000, 200, 1900))]
    assert ratio(samples, ROW.name, "volrep-sync", "qemu-mirror") == 2.0


def test_a_ratio_needs_rounds_that_both_took_part_in() -> None:
    samples = [_sample("qemu-mirror", 10, 1), _sample("volrep-sync", 10, 2)]
    assert ratio(samples, ROW.name, "volrep-sync", "qemu-mirror") is None


def test_a_target_is_met_missed_or_not_measured() -> None:
    synchronous = next(t for t in TARGETS if t.title == "4 KiB random writes, depth 32, synchronous")
    samples = [_sample("qemu-mirror", 100), _sample("volrep-sync", 299)]
    assert synchronous.judge(samples).met is False
    assert synchronous.judge([*samples[:1], _sample("volrep-sync", 300)]).met is True
    assert synchronous.judge(samples[:1]).met is None


def test_a_limit_is_met_by_what_stays_below_it() -> None:
    verb = next(t for t in TARGETS if t.title == "command line verb")
    assert verb.judge([_sample("volrep", 0.2, row="verb")]).met is True
    assert verb.judge([_sample("volrep", 0.3, row="verb")]).met is False


def test_the_report_states_every_promise_and_the_conditions() -> None:
    text = markdown([_sample("a", 1), _sample("b", 2)], [Row(ROW.name, "writes", "/s", "a")],
                    {"a": "nothing", "b": "all"}, [], ["alone"])
    assert "| nothing " in text
    assert "| all " in text
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
