"""Frames: what is sent is read, however it is cut; damage is noticed before anything is believed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volrep.link import frames
from volrep.link.frames import BadFrame, FrameReader, FrameType


def refuse_log(lsn: int, length: int) -> memoryview:
    raise BadFrame(f"no log expected at {lsn} ({length})")


def feed(reader: FrameReader, data: bytes, step: int) -> list[tuple[int, int, int, bytes]]:
    found = []
    at = 0
    while at < len(data):
        want = reader.want()
        count = min(len(want), step, len(data) - at)
        want[:count] = data[at : at + count]
        at += count
        got = reader.received(count)
        if got is not None:
            found.append((got[0], got[1], got[2], bytes(got[3])))
    return found


SAMPLES = [
    frames.frame(FrameType.COMMIT, lsn=4096),
    frames.frame(FrameType.ACK, frames.U64.pack(77), lsn=99, aux=88),
    frames.json_frame(FrameType.STATE, {"state": "PAUSE", "reason": "ü"}),
    frames.frame(FrameType.REGION, b"x" * 300, lsn=1 << 40, aux=3),
    frames.frame(FrameType.REGION, bytes(range(256)) * 1024, lsn=0, aux=0),
]


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_frames_are_read_as_sent_however_they_arrive(step: int) -> None:
    samples = SAMPLES if step > 1 else SAMPLES[:4]
    found = feed(FrameReader(refuse_log), b"".join(samples), step)
    assert [f[0] for f in found] == [s[0] for s in samples]
    assert found[1] == (FrameType.ACK, 99, 88, frames.U64.pack(77))
    assert frames.json_body(memoryview(found[2][3])) == {"state": "PAUSE", "reason": "ü"}


def test_log_bodies_land_where_the_log_wants_them() -> None:
    log = bytearray(64)
    reader = FrameReader(lambda lsn, length: memoryview(log)[lsn : lsn + length])
    data = frames.frame_header(FrameType.LOG, length=5, lsn=10, aux=3) + b"hello"
    ((kind, lsn, commit_lsn, _),) = feed(reader, data, 3)
    assert (kind, lsn, commit_lsn, bytes(log[10:15])) == (FrameType.LOG, 10, 3, b"hello")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SAMPLES[3]) - 1), st.integers(1, 255))
def test_every_flipped_byte_is_noticed(position: int, flip: int) -> None:
    data = bytearray(SAMPLES[3] + frames.frame(FrameType.HEARTBEAT))
    data[position] ^= flip
    try:
        found = feed(FrameReader(refuse_log), bytes(data), 1 << 20)
    except BadFrame:
        return
    assert found == [], "a damaged frame was believed"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 64))
def test_any_bytes_parse_or_are_refused_and_nothing_else(data: bytes, step: int) -> None:
    reader = FrameReader(refuse_log)
    try:
        feed(reader, data, step)
    except BadFrame:
        return
    assert len(data) < 32 or data[0] in set(FrameType)


@pytest.mark.parametrize(("kind", "length"), [(FrameType.COMMIT, 1), (FrameType.LOG, (1 << 20) + 1),
                                              (FrameType.HELLO, 1 << 17), (FrameType.REGION, 1 << 30)])
def test_a_body_beyond_its_type_s_limit_is_refused_before_it_is_received(kind: FrameType, length: int) -> None:
    with pytest.raises(BadFrame, match="exceeds"):
        feed(FrameReader(refuse_log), frames.frame_header(kind, length=length), 32)
