"""Records: layout, cutting however the bytes arrive, and what is refused."""

from __future__ import annotations

import struct

import pytest
from crc32c import crc32c

from tests.unit.log.support import a_write, stream
from volrep.log.record import (
    BATCH_RECORDS_MAX,
    CONTINUES,
    HEADER_BYTES,
    PAYLOAD_MAX_BYTES,
    BadRecord,
    BatchEncoder,
    Cursor,
    Record,
    RecordType,
    Write,
    cut,
    read_header,
    record_bytes,
)

WRITES: list[Write] = [
    a_write(4096, b"first" * 100),
    (RecordType.ZEROES, 1, 0, 1 << 40, None),
    (RecordType.TRIM | CONTINUES, 65535, 512, 1024, None),
    a_write(0, b"", 2),
    (RecordType.IBC, 0, 0, 3, memoryview(b"ibc")),
    (RecordType.CHECKPOINT, 0, 0, 0, None),
    (RecordType.ROLE, 0, 0, 2, memoryview(b"{}")),
    a_write(1, b"x" * 4097),
]


def resealed(data: bytes, changes: dict[str, int]) -> memoryview:
    """The first record of `data` with header fields changed and its CRC made right again."""
    names = ("magic", "version", "type", "volume", "generation", "incarnation", "lsn", "timestamp_ns", "offset",
             "length", "durable_lsn", "payload_crc")
    layout = struct.Struct("<IBBHIIQQQQQI")
    fields = dict(zip(names, layout.unpack_from(data), strict=True)) | changes
    body = layout.pack(*fields.values())
    return memoryview(body + crc32c(body).to_bytes(4, "little") + data[HEADER_BYTES:])


def found(data: bytes, records: list[Record]) -> list[tuple[int, int, int, int, bytes]]:
    return [(r[0], r[1], r[2], r[3], data[r[4]:r[5]]) for r in records]


def test_the_layout_is_the_documented_one() -> None:
    data = stream([(RecordType.WRITE | CONTINUES, 0x0102, 0x1122, 3, memoryview(b"abc"))], 8192, generation=5,
                  incarnation=6, durable_lsn=4096)
    assert len(data) == 72 == record_bytes(3)
    assert data[:60] == struct.pack("<4sBBHIIQQQQQI", b"VRL1", 1, 0x81, 0x0102, 5, 6, 8192, 7, 0x1122, 3, 4096,
                                    crc32c(b"abc"))
    assert data[60:64] == crc32c(data[:60]).to_bytes(4, "little")
    assert data[64:] == b"abc" + bytes(5)


def test_what_is_encoded_is_found_again() -> None:
    data = stream(WRITES, generation=3, incarnation=4, durable_lsn=4000)
    cursor, records = Cursor(4096), list[Record]()
    assert cut(memoryview(data), 0, len(data), cursor, records) == len(data)
    assert found(data, records) == [(w[0], w[1], w[2], w[3], bytes(w[4] or b"")) for w in WRITES]
    assert cursor == Cursor(4096 + len(data), 3, 4)
    assert [r[6] for r in records][-1] == cursor.lsn
    assert {r[7:] for r in records} == {(7, 4000)}


def test_it_does_not_matter_how_the_bytes_arrive() -> None:
    data = stream(WRITES)
    padded = b"before!!" + data + stream(WRITES, 4096 + len(data))[:70]
    view, cursor, records = memoryview(padded), Cursor(4096), list[Record]()
    position = 8
    for end in range(8, len(padded) + 1):
        position = cut(view, position, end, cursor, records)
    assert position == 8 + len(data)
    assert found(padded, records) == found(data, _cut_whole(data))


def _cut_whole(data: bytes, lsn: int = 4096) -> list[Record]:
    records: list[Record] = []
    cut(memoryview(data), 0, len(data), Cursor(lsn), records)
    return records


def test_good_records_before_a_bad_one_are_delivered() -> None:
    data = bytearray(stream(WRITES))
    whole = _cut_whole(bytes(data))
    data[whole[5][4] - 1] ^= 1  # header CRC of the sixth
    cursor, records = Cursor(4096), list[Record]()
    with pytest.raises(BadRecord) as caught:
        cut(memoryview(data), 0, len(data), cursor, records)
    assert records == whole[:5]
    assert caught.value.lsn == cursor.lsn == whole[4][6]
    assert caught.value.position == cursor.lsn - 4096


@pytest.mark.parametrize(("changes", "reason", "foreign"), [
    ({"magic": 1}, "magic", False),
    ({"lsn": 4104}, "LSN 4104", False),
    ({"generation": 1}, "generation 1 after 2", False),
    ({"incarnation": 2}, "incarnation 2 after 3", False),
    ({"version": 2}, "version 2", True),
    ({"version": 0}, "version 0", True),
    ({"type": 0}, "type 0", True),
    ({"type": 7}, "type 7", True),
    ({"type": 0x7F}, "type 127", True),
    ({"length": PAYLOAD_MAX_BYTES + 1}, "length", True),
    ({"type": 2, "length": 1 << 63, "offset": 1}, "length", True),
    ({"durable_lsn": 4097}, "durable LSN", True),
    ({"payload_crc": 1}, "payload CRC", False),
])
def test_a_header_that_does_not_fit_is_refused(changes: dict[str, int], reason: str, foreign: bool) -> None:
    """What is intact and in place but means nothing to this version is not a torn tail."""
    data = resealed(stream([a_write(0, b"payload")], generation=2, incarnation=3), changes)
    with pytest.raises(BadRecord, match=reason) as caught:
        cut(data, 0, len(data), Cursor(4096, 2, 3), [])
    assert caught.value.foreign == foreign
    assert caught.value.version == (changes.get("version", 0) if reason.startswith("version") else 0)


def test_a_record_left_behind_by_a_newer_version_is_just_left_behind() -> None:
    data = resealed(stream([a_write(0, b"payload")]), {"version": 2, "lsn": 1 << 20})
    with pytest.raises(BadRecord, match="LSN 1048576") as caught:
        cut(data, 0, len(data), Cursor(4096), [])
    assert not caught.value.foreign


def test_a_payload_crc_without_payload_is_refused() -> None:
    data = resealed(stream([(RecordType.TRIM, 0, 0, 512, None)]), {"payload_crc": 9})
    with pytest.raises(BadRecord):
        cut(data, 0, len(data), Cursor(4096), [])


def test_generation_and_incarnation_never_go_back() -> None:
    first = stream([a_write(0, b"a")], generation=2, incarnation=2)
    for generation, incarnation in ((1, 2), (2, 1)):
        data = memoryview(first + stream([a_write(0, b"a")], 4096 + len(first), generation=generation,
                                         incarnation=incarnation))
        records: list[Record] = []
        with pytest.raises(BadRecord):
            cut(data, 0, len(data), Cursor(4096), records)
        assert len(records) == 1


def test_the_largest_payload_passes() -> None:
    data = stream([a_write(0, bytes(PAYLOAD_MAX_BYTES))])
    assert [r[5] - r[4] for r in _cut_whole(data)] == [PAYLOAD_MAX_BYTES]


def test_one_encoder_serves_batches_of_all_sizes() -> None:
    encoder, lsn, data = BatchEncoder(), 4096, b""
    for count in (1, 3, 100, 2, 1000, 0):
        buffers, end = encoder.encode([a_write(n, b"12345678") for n in range(count)], lsn=lsn, generation=1,
                                      incarnation=1, timestamp_ns=0, durable_lsn=0)
        data += b"".join(buffers)
        assert end == lsn + count * record_bytes(8)
        lsn = end
    assert len(_cut_whole(data)) == 1106


def test_a_batch_is_bounded() -> None:
    write = a_write(0, b"")
    with pytest.raises(AssertionError):
        BatchEncoder().encode([write] * (BATCH_RECORDS_MAX + 1), lsn=4096, generation=1, incarnation=1,
                              timestamp_ns=0, durable_lsn=0)


def test_single_headers_can_be_read_wherever_they_lie() -> None:
    data = b"junk" + stream([a_write(77, b"abc", 5)], generation=9)
    header = read_header(data, 4)
    assert header is not None
    assert (header.type, header.volume, header.offset, header.length, header.generation) == (
        RecordType.WRITE, 5, 77, 3, 9)
    assert read_header(data, 5) is None
    assert read_header(data, len(data) - 10) is None
