"""The compiled loop does what it is measured for: volrep's records, volrep's promises, equal copies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.__main__ import arguments
from bench.contenders import COMPILED, make
from bench.contenders.compiled import COMPILER, CompiledAlone, CompiledPair
from bench.errors import BenchError
from bench.load import WORKLOADS, run_fio
from bench.rounds import Plan, run_rounds
from volrep.log.record import Cursor, Record, cut
from volrep.log.ring import HEADER_AREA_BYTES

needs_compiler = pytest.mark.skipif(shutil.which(COMPILER) is None, reason="no C compiler")
RING_BYTES = 17 << 20  # full within a tenth of a second of writing: it waits for checkpoints and wraps all the time
VOLUME_BYTES = 16 << 20


@needs_compiler
def test_its_copies_are_equal_after_a_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.contenders.compiled.RING_BYTES", RING_BYTES)
    monkeypatch.setattr("bench.rounds.EQUAL_DEADLINE_S", 0.1)
    plan = Plan(rounds=1, seconds=0.5, size_bytes=VOLUME_BYTES, place=tmp_path)
    rows = [WORKLOADS[name] for name in ("write-qd32", "read-qd32", "read-64k")]
    samples = run_rounds(make(COMPILED), rows, plan, lambda line: None)
    assert [(s.row, s.contender) for s in samples] == [
        *(("write-qd32", name) for name in COMPILED), ("read-qd32", "compiled-alone"), ("read-64k", "compiled-alone")]
    assert all(s.value > 10 for s in samples)
    assert list(tmp_path.iterdir()) == []


@needs_compiler
@pytest.mark.parametrize("synchronous", [True, False])
def test_it_serves_what_was_written_in_every_size(tmp_path: Path, synchronous: bool) -> None:
    """fio checks each block as it reads it back; the two volumes are equal at the end."""
    pair = CompiledPair("pair", synchronous=synchronous, ring_bytes=RING_BYTES)
    try:
        pair.start(tmp_path, VOLUME_BYTES)
        for sizes in ("--bsrange=512-256k", "--bs=1m", "--bs=4k"):
            run_fio(["fio", "--name=verify", *pair.target(), "--rw=randwrite", sizes, "--iodepth=16",
                     f"--size={VOLUME_BYTES}", "--verify=crc32c", "--verify_fatal=1", "--output-format=json",
                     "--eta=never"], timeout_s=60)
        pair.settle_s()
        assert (tmp_path / "volume").read_bytes() == (tmp_path / "copy").read_bytes()
    finally:
        pair.stop()


@needs_compiler
def test_its_ring_holds_records_that_volrep_reads(tmp_path: Path) -> None:
    """Both sides: the same stream, every checksum right, as many records as there were writes."""
    pair = CompiledPair("pair", synchronous=True, ring_bytes=2 * VOLUME_BYTES)
    try:
        pair.start(tmp_path, VOLUME_BYTES)
        pair.fill()  # in pieces of 1 MiB
        pair.settle_s()
        end_lsn = pair.say("status").end
        for name in ("volume", "copy"):
            ring = memoryview((tmp_path / f"{name}.ring").read_bytes())[HEADER_AREA_BYTES:]
            cursor, records = Cursor(lsn=0), list[Record]()
            assert cut(ring, 0, end_lsn, cursor, records) == end_lsn
            assert len(records) == VOLUME_BYTES >> 20
            assert sum(length for _, _, _, length, *_ in records) == VOLUME_BYTES
    finally:
        pair.stop()


def test_without_a_compiler_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.contenders.compiled.COMPILER", "no-such-compiler")
    loop = CompiledAlone("compiled-alone")
    with pytest.raises(BenchError, match=r"needs a C compiler.*Debian: gcc"):
        loop.start(tmp_path, VOLUME_BYTES)
    loop.stop()


def test_it_takes_part_only_when_it_is_asked_for() -> None:
    for argv in ([], ["--quick"]):
        chosen = arguments(argv)
        assert not [name for name in (*chosen.contenders, *chosen.rows) if "compiled" in name]
    chosen = arguments(["--compiled"])
    assert set(COMPILED) <= set(chosen.contenders)
    assert {"write-qd32", "round-trip-compiled", "drain-compiled"} <= set(chosen.rows)
