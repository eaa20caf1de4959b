"""The measurement itself, in its smallest form: a peer is started, loaded, compared and stopped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.contenders import make
from bench.contenders.qemu import QemuMirror
from bench.errors import BenchError
from bench.experiments.base import Extent
from bench.experiments.copying import Autosync
from bench.experiments.parts import MEMORY, HalfLoadParts
from bench.load import WORKLOADS
from bench.rounds import Plan, run_rounds


class _LosingMirror(QemuMirror):
    """A mirror whose copy loses a byte behind its back."""

    def settle_s(self) -> float:
        with (self.folder / "copy").open("r+b") as copy:
            os.pwrite(copy.fileno(), b"lost", 0)
        return 0.0


def _plan(place: Path) -> Plan:
    return Plan(rounds=1, seconds=1, size_bytes=16 << 20, place=place)


def test_a_measured_mirror_yields_a_rate_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (sample,) = run_rounds([QemuMirror("qemu-mirror")], [WORKLOADS["write-qd1"]], _plan(tmp_path), lambda line: None)
    assert sample.value > 100
    assert sample.cpu_s > 0
    assert sample.rss_bytes > 1 << 20
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_differs_is_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.rounds.EQUAL_DEADLINE_S", 0.1)
    with pytest.raises(BenchError, match="differ"):
        run_rounds([_LosingMirror("qemu-mirror")], [WORKLOADS["write-qd1"]], _plan(tmp_path), lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_compares_both_ways_of_copying_the_same(tmp_path: Path) -> None:
    """The first copy by volrep and by nbdcopy, 16 MiB: both finish, volrep's is compared byte by byte."""
    extent = Extent(drain_mib=16, volume_mib=16, pgbench_scale=1, pgbench_seconds=1, stall_seconds=1)
    samples = Autosync(extent).run(_plan(tmp_path), lambda line: None)
    assert {s.contender for s in samples} == {"volrep-autosync", "nbdcopy"}
    assert all(s.value > 1 for s in samples)
    assert sum(s.cpu_s for s in samples) > 0, "each alone may take less than a clock tick"
    assert list(tmp_path.iterdir()) == []


def test_a_pair_changes_its_mode_between_two_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synchronous and asynchronous in turn on one pair; the copy is compared at the end."""
    monkeypatch.setattr("bench.contenders.volrep.SRL_BYTES", 256 << 20)
    contenders = make(["volrep-async", "volrep-sync"])
    samples = run_rounds(contenders, [WORKLOADS["write-qd32"]], _plan(tmp_path), lambda line: None)
    assert [s.contender for s in samples] == ["volrep-async", "volrep-sync"]
    assert all(s.value > 10 for s in samples)
    assert list(tmp_path.iterdir()) == []


def test_the_parts_of_half_load_name_what_lies_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six ways of the same load; what was made in memory is gone afterwards, too."""
    monkeypatch.setattr("bench.experiments.parts.SRL_BYTES", 64 << 20)
    before = set(MEMORY.iterdir())
    extent = Extent(drain_mib=16, volume_mib=16, pgbench_scale=1, pgbench_seconds=1, stall_seconds=1)
    samples = HalfLoadParts(extent).run(_plan(tmp_path), lambda line: None)
    tails = {s.contender: s.p99_us for s in samples if s.row == "half-load-parts"}
    assert set(tails) == {"disk-dsync", "nbdkit", "volrep-alone", "volrep-async", "copy in memory", "all in memory"}
    assert min(tails.values()) > 0
    assert all(0 <= s.value <= 100 for s in samples if s.row == "half-load-steal")
    assert list(tmp_path.iterdir()) == []
    assert set(MEMORY.iterdir()) == before
