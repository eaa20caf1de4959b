"""The Secondary's log buffer: complete, intact, committed, in that order, in a fixed amount of memory."""

from __future__ import annotations

import random

import pytest

from volrep.link.frames import BadFrame
from volrep.link.logbuffer import LogBuffer
from volrep.log.record import BatchEncoder, RecordType, record_bytes

START_LSN = 4096


def log_of(sizes: list[int]) -> tuple[bytes, list[int]]:
    """Log bytes of writes with these payload sizes, and the LSN behind each record."""
    writes = [(int(RecordType.WRITE), 0, 0, size, memoryview(bytes([i % 251]) * size)) for i, size in enumerate(sizes)]
    buffers, _ = BatchEncoder().encode(writes, lsn=START_LSN, generation=1, incarnation=1, timestamp_ns=5,
                                       durable_lsn=START_LSN)
    ends, lsn = [], START_LSN
    for size in sizes:
        lsn += record_bytes(size)
        ends.append(lsn)
    return b"".join(bytes(b) for b in buffers), ends


def made(size_bytes: int = 1 << 20) -> LogBuffer:
    buffer = LogBuffer(size_bytes)
    buffer.begin(START_LSN, 0, 0)
    return buffer


def test_any_cut_of_the_stream_gives_the_same_records_within_a_small_buffer() -> None:
    numbers = random.Random(3)
    data, ends = log_of([numbers.randrange(1, 9000) for _ in range(200)])
    buffer = made(40_000)
    at = taken_lsn = START_LSN
    written = b""
    while at - START_LSN < len(data):
        length = min(numbers.randrange(1, 12_000), len(data) - (at - START_LSN))
        buffer.space(at, length)[:] = data[at - START_LSN : at - START_LSN + length]
        at += length
        buffer.verify()
        commit_lsn = max((e for e in ends if e <= buffer.verified_lsn), default=START_LSN)
        start, end, records = buffer.take(commit_lsn)
        for record in records:
            assert bytes(buffer.view[record[4] : record[5]]) == bytes([record[5] - record[4] and
                                                                       buffer.view[record[4]]]) * record[3]
        written += bytes(buffer.view[start:end])
        taken_lsn = records[-1][6] if records else taken_lsn
    assert written == data
    assert taken_lsn == ends[-1] == buffer.committed_lsn


def test_nothing_beyond_the_commit_is_handed_out() -> None:
    data, ends = log_of([100, 100, 100])
    buffer = made()
    buffer.space(START_LSN, len(data))[:] = data
    buffer.verify()
    _, _, records = buffer.take(ends[1] + 8)
    assert [r[6] for r in records] == ends[:2]
    assert buffer.uncommitted_bytes == ends[2] - ends[1]


def test_a_gap_an_overrun_and_damage_are_refused() -> None:
    data, ends = log_of([5000, 5000])
    buffer = made(8192)
    with pytest.raises(BadFrame, match="expected 4096"):
        buffer.space(START_LSN + 8, 100)
    with pytest.raises(BadFrame, match="do not fit"):
        buffer.space(START_LSN, 9000)
    buffer = made()
    buffer.space(START_LSN, len(data))[:] = data
    buffer.view[ends[0] - START_LSN + 70] ^= 1
    with pytest.raises(BadFrame, match=f"record at LSN {ends[0]} is damaged"):
        buffer.verify()
    assert buffer.verified_lsn == ends[0]
