"""The measurement itself, in its smallest form: a peer is started, loaded, compared and stopped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.contenders.qemu import QemuMirror
from bench.errors import BenchError
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
