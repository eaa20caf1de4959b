"""Requests out of bytes, replies into bytes."""

from __future__ import annotations

import errno
import struct

import pytest

from tests.unit.nbd.clients import request, three_ways, write
from volrep.nbd import transmission, wire
from volrep.nbd.exports import ExportInfo
from volrep.nbd.transmission import SLICE_BYTES_MAX, Cutter, ProtocolError, Request

MIB = 1 << 20
EXPORT = ExportInfo("v", 64 * MIB, 0)
READ_ONLY = ExportInfo("v", 64 * MIB, 0, read_only=True)
FUA, DF, REQ_ONE, NO_HOLE = wire.CMD_FLAG_FUA, wire.CMD_FLAG_DF, wire.CMD_FLAG_REQ_ONE, wire.CMD_FLAG_NO_HOLE


def _cookie(number: int) -> bytes:
    return struct.pack(">Q", number)


def _plain(requests: list[Request]) -> list[tuple[object, ...]]:
    return [(*r[:5], None if r[5] is None else bytes(r[5]), r[6]) for r in requests]


def _cut(pieces: list[bytes], cutter: Cutter) -> tuple[list[tuple[object, ...]], bytes, bytes]:
    """Everything cut from pieces that arrive one after the other: requests, replies, what was left."""
    requests: list[tuple[object, ...]] = []
    replies: list[bytes] = []
    waiting = b""
    for piece in pieces:
        waiting += piece
        out: list[Request] = []
        start = cutter.cut(memoryview(waiting), 0, len(waiting), out, replies)
        assert cutter.held is any(r[5] is not None for r in out)
        requests += _plain(out)
        waiting = waiting[start:]
    return requests, b"".join(replies), waiting


def test_requests_are_the_same_however_they_arrive() -> None:
    data = (write(4096, b"a" * 100, cookie=7) + request(wire.CMD_READ, 0, 512, cookie=8)
            + request(wire.CMD_FLUSH, cookie=9) + write(0, b"bb", cookie=10, flags=FUA)
            + request(wire.CMD_WRITE_ZEROES, 8192, 40 * MIB, flags=NO_HOLE, cookie=11))
    for pieces in three_ways(data + data[:50]):
        requests, replies, rest = _cut(pieces, Cutter(EXPORT, structured=True))
        assert requests == [
            (wire.CMD_WRITE, 0, _cookie(7), 4096, 100, b"a" * 100, True),
            (wire.CMD_READ, 0, _cookie(8), 0, 512, None, True),
            (wire.CMD_FLUSH, 0, _cookie(9), 0, 0, None, True),
            (wire.CMD_WRITE, FUA, _cookie(10), 0, 2, b"bb", True),
            (wire.CMD_WRITE_ZEROES, NO_HOLE, _cookie(11), 8192, 40 * MIB, None, True),
        ]
        assert replies == b""
        assert rest == data[:50]


def test_payloads_are_slices_of_the_buffer() -> None:
    buffer = bytearray(write(0, b"old!"))
    out: list[Request] = []
    Cutter(EXPORT, structured=False).cut(memoryview(buffer), 0, len(buffer), out, [])
    buffer[28:32] = b"new!"
    assert bytes(out[0][5] or b"") == b"new!"


def test_a_long_write_comes_in_slices_with_one_end() -> None:
    payload = b"".join(bytes([i]) * MIB for i in range(1, 4)) + b"tail"
    cutter = Cutter(EXPORT, structured=True)
    data = write(4096, payload, cookie=5, flags=FUA) + request(wire.CMD_READ, 0, 1)
    out: list[Request] = []
    end = cutter.cut(memoryview(data), 0, len(data), out, [])
    assert end == len(data)
    assert cutter.slices == 3
    assert [(r[1], r[2], r[3], r[4], r[6]) for r in out[:4]] == [
        (FUA, _cookie(5), 4096, MIB, False), (FUA, _cookie(5), 4096 + MIB, MIB, False),
        (FUA, _cookie(5), 4096 + 2 * MIB, MIB, False), (FUA, _cookie(5), 4096 + 3 * MIB, 4, True)]
    assert b"".join(bytes(r[5] or b"") for r in out[:4]) == payload
    assert out[4][0] == wire.CMD_READ


def test_no_piece_needs_more_than_a_header_and_a_slice() -> None:
    """With that much room a cutter always gets on; that is what bounds the receive buffer."""
    room = 28 + SLICE_BYTES_MAX
    stream = write(0, bytes(SLICE_BYTES_MAX)) + write(0, bytes(5 * MIB + 3)) + write(60 * MIB, bytes(5 * MIB))
    cutter, buffer, kept, taken = Cutter(EXPORT, structured=True), bytearray(room), 0, 0
    ends = 0
    while taken < len(stream):
        piece = stream[taken:taken + room - kept]
        assert piece, "stuck with a full buffer"
        buffer[kept:kept + len(piece)] = piece
        taken += len(piece)
        out: list[Request] = []
        start = cutter.cut(memoryview(buffer), 0, kept + len(piece), out, [])
        ends += sum(r[6] for r in out)
        rest = bytes(buffer[start:kept + len(piece)])
        kept = len(rest)
        buffer[:kept] = rest
    assert (kept, ends) == (0, 2)  # the third did not fit the export and was skipped


@pytest.mark.parametrize(("export", "data", "error"), [
    (EXPORT, request(wire.CMD_READ, 64 * MIB, 1), wire.EINVAL),
    (EXPORT, request(wire.CMD_READ, (1 << 64) - 1, 512), wire.EINVAL),
    (EXPORT, request(wire.CMD_READ, 0, 0), wire.EINVAL),
    (EXPORT, request(wire.CMD_READ, 0, 33 * MIB), wire.EOVERFLOW),
    (EXPORT, request(wire.CMD_READ, 0, 512, flags=1 << 9), wire.EINVAL),
    (EXPORT, request(wire.CMD_READ, 0, 512, flags=NO_HOLE), wire.EINVAL),
    (EXPORT, write(64 * MIB - 1, b"xx"), wire.ENOSPC),
    (EXPORT, write(0, b""), wire.EINVAL),
    (EXPORT, write(0, b"xx", flags=DF), wire.EINVAL),
    (EXPORT, write(0, bytes(33 * MIB)), wire.EOVERFLOW),
    (EXPORT, write(62 * MIB, bytes(3 * MIB)), wire.ENOSPC),
    (EXPORT, request(wire.CMD_WRITE_ZEROES, 64 * MIB, 4096), wire.ENOSPC),
    (EXPORT, request(wire.CMD_TRIM, 64 * MIB, 4096), wire.EINVAL),
    (EXPORT, request(wire.CMD_CACHE, 64 * MIB, 4096), wire.EINVAL),
    (EXPORT, request(wire.CMD_FLUSH, 0, 1), wire.EINVAL),
    (EXPORT, request(wire.CMD_BLOCK_STATUS, 0, 4096), wire.EINVAL),  # no context was set
    (EXPORT, request(42, 0, 4096), wire.EINVAL),
    (READ_ONLY, write(0, b"xx"), wire.EPERM),
    (READ_ONLY, write(0, bytes(2 * MIB)), wire.EPERM),
    (READ_ONLY, request(wire.CMD_TRIM, 0, 4096), wire.EPERM),
    (READ_ONLY, request(wire.CMD_WRITE_ZEROES, 0, 4096), wire.EPERM),
], ids=lambda value: value[:28].hex() if isinstance(value, bytes) else None)
def test_a_refused_request_is_answered_and_the_next_one_still_works(export: ExportInfo, data: bytes,
                                                                     error: int) -> None:
    whole = [data + request(wire.CMD_READ, 0, 1, cookie=2)]
    uneven = [whole[0][i:i + 100_003] for i in range(0, len(whole[0]), 100_003)]
    for pieces in (whole, uneven):
        requests, replies, rest = _cut(pieces, Cutter(export, structured=False))
        assert requests == [(wire.CMD_READ, 0, _cookie(2), 0, 1, None, True)]
        assert replies == struct.pack(">II", wire.SIMPLE_REPLY_MAGIC, error) + _cookie(1)
        assert rest == b""


def test_the_payload_of_a_refused_write_is_not_kept() -> None:
    cutter = Cutter(READ_ONLY, structured=False)
    data = request(wire.CMD_WRITE, 0, 0xFFFFFFFF) + bytes(1000)
    assert cutter.cut(memoryview(data), 0, len(data), [], []) == len(data)


def test_df_and_block_status_work_where_they_were_negotiated() -> None:
    data = request(wire.CMD_READ, 0, 1, flags=DF) + request(wire.CMD_BLOCK_STATUS, 0, 4096, flags=REQ_ONE)
    requests, replies, _ = _cut([data], Cutter(EXPORT, structured=True, contexts=(1,)))
    assert (len(requests), replies) == (2, b"")
    requests, replies, _ = _cut([data], Cutter(EXPORT, structured=False))
    assert (len(requests), len(replies)) == (0, 32)


def test_bad_magic_ends_the_connection_but_not_what_came_before() -> None:
    data = request(wire.CMD_FLUSH) + bytes(28)
    out: list[Request] = []
    with pytest.raises(ProtocolError, match="magic"):
        Cutter(EXPORT, structured=True).cut(memoryview(data), 0, len(data), out, [])
    assert len(out) == 1


def test_nothing_is_cut_after_disc() -> None:
    cutter = Cutter(EXPORT, structured=True)
    requests, replies, _ = _cut([request(wire.CMD_DISC) + request(wire.CMD_READ, 0, 1)], cutter)
    assert (requests, replies, cutter.disconnected) == ([], b"", True)


def test_cutting_stops_at_its_bounds_and_goes_on_from_there() -> None:
    data = memoryview(request(wire.CMD_READ, 0, 1000) * 10)
    cutter, out = Cutter(EXPORT, structured=True), list[Request]()
    start = cutter.cut(data, 0, len(data), out, [], requests_max=3)
    assert (start, len(out)) == (3 * 28, 3)
    out.clear()
    start = cutter.cut(data, start, len(data), out, [], read_bytes_max=1500)
    assert (start, len(out), cutter.read_bytes_left) == (5 * 28, 2, -500)
    out.clear()
    assert cutter.cut(data, start, len(data), out, []) == len(data)
    assert len(out) == 5


def test_replies_have_the_layout_of_the_specification() -> None:
    one, two = _cookie(1), _cookie(2)
    done = b"\x67\x44\x66\x98\0\0\0\0"
    assert transmission.write_replies([one, two]) == done + one + done + two
    assert transmission.write_replies([]) == b""
    assert transmission.read_reply_header(one, 512, 100, False) == done + one
    assert transmission.read_reply_header(one, 512, 100, True) == (
        b"\x66\x8e\x33\xef\0\x01\0\x01" + one + struct.pack(">IQ", 108, 512))
    assert transmission.error_reply(one, errno.EROFS, False) == struct.pack(">II", 0x67446698, wire.EPERM) + one
    assert transmission.error_reply(one, errno.EIO, True) == (
        b"\x66\x8e\x33\xef\0\x01\x80\x01" + one + struct.pack(">IIH", 6, wire.EIO, 0))
    assert transmission.block_status_reply(one, 1, [(4096, 0), (8192, 3)]) == (
        b"\x66\x8e\x33\xef\0\x01\0\x05" + one + struct.pack(">IIIIII", 20, 1, 4096, 0, 8192, 3))


@pytest.mark.parametrize(("number", "on_the_wire"), [
    (errno.EDQUOT, wire.ENOSPC), (errno.EFBIG, wire.ENOSPC), (errno.ENOENT, wire.EIO), (errno.ENOTSUP, wire.ENOTSUP)])
def test_errors_are_ones_that_the_protocol_allows(number: int, on_the_wire: int) -> None:
    assert transmission.error_reply(_cookie(1), number, False)[4:8] == struct.pack(">I", on_the_wire)
