"""What volrep is to reach, as ratios within one run and as limits. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.sample import Sample, median_value, of, ratio


@dataclass(frozen=True, slots=True)
class Verdict:
    """`met` is None when this run did not measure it."""

    title: str
    wanted: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Target:
    title: str
    wanted: str
    measure: Callable[[Sequence[Sample]], float | None]
    limit: float
    at_most: bool = False
    form: str = "{:.2f} ×"

    def judge(self, samples: Sequence[Sample]) -> Verdict:
        found = self.measure(samples)
        if found is None:
            return Verdict(self.title, self.wanted, "not measured", None)
        return Verdict(self.title, self.wanted, self.form.format(found),
                       found <= self.limit if self.at_most else found >= self.limit)


def _ratio(title: str, row: str, contender: str, least: float, reference: str) -> Target:
    return Target(title, f"≥ {least:g} × {reference}", lambda samples: ratio(samples, row, contender, reference), least)


def _limit(title: str, row: str, contender: str, most: float, unit: str) -> Target:
    return Target(title, f"≤ {most:g} {unit}", lambda samples: median_value(samples, row, contender), most,
                  at_most=True, form="{:.3g} " + unit)


def _sequential(samples: Sequence[Sample]) -> float | None:
    """SRL and volume on both sides share the disk: a quarter of it is all there can be."""
    found = ratio(samples, "write-1m", "volrep-async", "disk")
    return None if found is None else found * 4


def _tail(samples: Sequence[Sample]) -> float | None:
    found = [s.p99_us / s.p50_us for s in of(samples, "half-load", "volrep-async") if s.p50_us]
    return median(found) if found else None


TARGETS = (
    _ratio("4 KiB random writes, depth 32, synchronous", "write-qd32", "volrep-sync", 3.0, "qemu-mirror"),
    _ratio("same, depth 1", "write-qd1", "volrep-sync", 1.2, "qemu-mirror"),
    _ratio("4 KiB random writes, depth 32, asynchronous", "write-qd32", "volrep-async", 0.5, "nbdkit"),
    _ratio("same, equal durability", "write-qd32", "volrep-async", 3.0, "nbdkit-fua"),
    _ratio("same with TLS", "write-qd32", "volrep-async-tls", 0.8, "volrep-async"),
    Target("1 MiB sequential writes, asynchronous", "≥ 0.8 × (disk ÷ 4)", _sequential, 0.8),
    _ratio("4 KiB random reads, depth 32", "read-qd32", "volrep-alone", 1.5, "nbdkit"),
    _ratio("64 KiB sequential reads", "read-64k", "volrep-alone", 1.0, "nbdkit"),
    _ratio("drain of a backlog after an outage", "drain", "volrep-async", 0.8, "nbdcopy"),
    _ratio("autosync of a half-allocated volume", "autosync", "volrep-autosync", 1.0, "nbdcopy"),
    _limit("synchronous write, depth 1, beyond a round trip of 5 ms", "round-trip", "volrep-sync", 0.3, "ms"),
    _ratio("PostgreSQL (pgbench) on ext4, asynchronous", "pgbench", "volrep-async", 0.7, "nbdkit"),
    Target("write latency at half load, asynchronous", "p99 ≤ 3 × p50", _tail, 3.0, at_most=True),
    _limit("worker's memory, 1 TiB volume, stalled Secondary", "memory", "volrep-async", 150, "MiB"),
    _ratio("ten RVGs at once, in all", "ten", "volrep-ten", 0.9, "volrep-one"),
    _limit("console: start to first menu", "console-start", "volrep", 0.5, "s"),
    _limit("console: key to screen", "console-key", "volrep", 50, "ms"),
    _limit("command line verb", "verb", "volrep", 0.25, "s"),
)
