"""Any bytes at all: they parse, or they are refused in the way the protocol has for it, and nothing is hoarded."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.nbd.clients import CLIENT_FLAGS, go, meta, option, request, write
from volrep.nbd import wire
from volrep.nbd.exports import ExportInfo, ExportTable
from volrep.nbd.handshake import OPTION_BYTES_MAX, Closed, Handshake, Negotiated
from volrep.nbd.transmission import SLICE_BYTES_MAX, Cutter, ProtocolError, Request

EXPORTS = ExportTable([ExportInfo("v", 1 << 20, 0), ExportInfo("r", 1 << 20, 1, read_only=True)])
FEW = settings(max_examples=150, deadline=None)

numbers = st.integers(0, 12) | st.integers(0, 0xFFFFFFFF)
options = st.one_of(
    st.builds(option, numbers, st.binary(max_size=64)),
    st.builds(go, st.sampled_from(["v", "r", "", "nobody"]), st.just((0, 1, 3)), st.sampled_from([6, 7])),
    st.builds(meta, st.sampled_from(["v", "r", ""]), st.sampled_from(["base:", "base:allocation", "x"]),
              number=st.sampled_from([9, 10])),
    st.builds(lambda n, length: wire.OPTION.pack(wire.OPTION_MAGIC, n, length), numbers, st.integers(0, 0xFFFFFFFF)),
    st.just(option(wire.OPT_STRUCTURED_REPLY)),
    st.binary(max_size=40),
)
negotiations = st.builds(lambda head, rest: head + b"".join(rest),
                         st.sampled_from([CLIENT_FLAGS, bytes(4)]) | st.binary(max_size=4),
                         st.lists(options, max_size=8))


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(edges)]


@FEW
@given(negotiations, st.lists(st.integers(0, 1000), max_size=6))
def test_any_negotiation_ends_or_waits(data: bytes, cuts: list[int]) -> None:
    outcomes = []
    for pieces in ([data], _pieces(data, cuts)):
        handshake, sent = Handshake(EXPORTS), b""
        for piece in pieces:
            if handshake.outcome is None:
                sent += handshake.feed(piece)
                assert len(handshake._waiting) < OPTION_BYTES_MAX + wire.OPTION.size
        assert isinstance(handshake.outcome, Negotiated | Closed | None)
        outcomes.append((handshake.outcome, sent))
    assert outcomes[0] == outcomes[1]


lengths = st.integers(0, 5000) | st.sampled_from([1 << 20, (32 << 20) + 1, 0xFFFFFFFF])
offsets = st.integers(0, 1 << 21) | st.integers(0, (1 << 64) - 1)
requests = st.one_of(
    st.builds(lambda offset, payload, flags: write(offset, payload, flags=flags),
              offsets, st.binary(max_size=200), st.sampled_from([0, 1, 2])),
    st.builds(lambda command, offset, length, flags: request(command, offset, length, flags=flags),
              st.sampled_from([0, 2, 3, 4, 5, 6, 7]) | st.integers(0, 0xFFFF), offsets, lengths,
              st.sampled_from([0, 1, 4, 8]) | st.integers(0, 0xFFFF)),
    st.binary(max_size=60),
)


def _run(cutter: Cutter, pieces: list[bytes]) -> tuple[list[tuple[object, ...]], bytes, str]:
    seen: list[tuple[object, ...]] = []
    replies: list[bytes] = []
    waiting = b""
    try:
        for piece in pieces:
            waiting += piece
            out: list[Request] = []
            try:
                start = cutter.cut(memoryview(waiting), 0, len(waiting), out, replies)
            finally:
                seen += [(*r[:5], None if r[5] is None else bytes(r[5]), r[6]) for r in out]
            waiting = waiting[start:]
            assert cutter.disconnected or len(waiting) < wire.REQUEST.size + SLICE_BYTES_MAX
    except ProtocolError as error:
        return seen, b"".join(replies), str(error)
    return seen, b"".join(replies), ""


@FEW
@given(st.lists(requests, max_size=12).map(b"".join), st.lists(st.integers(0, 5000), max_size=6),
       st.sampled_from(["v", "r"]), st.booleans())
def test_any_requests_are_cut_answered_or_end_the_connection(data: bytes, cuts: list[int], name: str,
                                                              structured: bool) -> None:
    export = EXPORTS.find(name)
    assert export is not None
    results = [_run(Cutter(export, structured, (1,) if structured else ()), pieces)
               for pieces in ([data], _pieces(data, cuts))]
    assert results[0] == results[1]
    for command, flags, cookie, offset, length, payload, _ in results[0][0]:
        assert isinstance(offset, int)
        assert isinstance(length, int)
        assert isinstance(cookie, bytes)
        assert offset + length <= export.size_bytes
        assert command == wire.CMD_FLUSH or length > 0
        assert not (export.read_only and command in (wire.CMD_WRITE, wire.CMD_TRIM, wire.CMD_WRITE_ZEROES))
        assert flags in range(16)
        assert (payload is not None) == (command == wire.CMD_WRITE)


@FEW
@given(st.lists(st.tuples(st.integers(0, (1 << 20) - 100), st.binary(min_size=1, max_size=100)), max_size=30),
       st.lists(st.integers(0, 5000), max_size=8))
def test_writes_arrive_as_they_were_sent(writes: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(request(wire.CMD_WRITE, offset, len(payload), cookie=i, payload=payload)
                    for i, (offset, payload) in enumerate(writes))
    seen, replies, error = _run(Cutter(ExportInfo("v", 1 << 20, 0), structured=True), _pieces(data, cuts))
    assert (replies, error) == (b"", "")
    assert [(r[2], r[3], r[5]) for r in seen] == [(struct.pack(">Q", i), offset, payload)
                                                  for i, (offset, payload) in enumerate(writes)]
