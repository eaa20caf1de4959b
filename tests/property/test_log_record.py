"""Records under any damage and any arrival."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.log.support import stream
from volrep.log.header import BadSlot, decode_slot
from volrep.log.record import CONTINUES, BadRecord, Cursor, Record, RecordType, Write, cut
from volrep.model.errors import VolrepError

U16, U32, OFFSET = st.integers(0, 65535), st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 62))
MORE = st.sampled_from([0, CONTINUES])


def _with_payload(kind: int, more: int, volume: int, offset: int, data: bytes) -> Write:
    return kind | more, volume, offset, len(data), memoryview(data)


WRITES = st.lists(st.one_of(
    st.builds(_with_payload, st.sampled_from([RecordType.WRITE, RecordType.IBC, RecordType.ROLE]), MORE, U16, OFFSET,
              st.binary(max_size=200)),
    st.tuples(st.sampled_from([RecordType.ZEROES, RecordType.TRIM, RecordType.CHECKPOINT]).map(int), U16, OFFSET,
              OFFSET, st.none()),
), min_size=1, max_size=8)


def cut_all(data: bytes, cursor: Cursor) -> tuple[list[Record], int | None]:
    """The good records, and the LSN of the bad one when there is one."""
    records: list[Record] = []
    try:
        cut(memoryview(data), 0, len(data), cursor, records)
    except BadRecord as bad:
        return records, bad.lsn if bad.lsn == cursor.lsn else -1
    return records, None


@given(WRITES, st.integers(1, 1 << 50).map(lambda n: n * 8), U32, U32)
def test_encoding_and_cutting_are_inverse(writes: list[Write], lsn: int, generation: int, incarnation: int) -> None:
    data = stream(writes, lsn, generation=generation, incarnation=incarnation)
    cursor = Cursor(lsn)
    records, bad = cut_all(data, cursor)
    assert bad is None
    assert cursor == Cursor(lsn + len(data), generation, incarnation)
    assert [(r[0], r[1], r[2], r[3], data[r[4]:r[5]]) for r in records] == [
        (w[0], w[1], w[2], w[3], bytes(w[4] or b"")) for w in writes]


@given(WRITES, st.data())
def test_a_flip_of_any_bit_is_noticed_in_its_record(writes: list[Write], data: st.DataObject) -> None:
    good = stream(writes)
    records, _ = cut_all(good, Cursor(4096))
    position = data.draw(st.integers(0, len(good) - 1))
    damaged = bytearray(good)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    hit = next(index for index, record in enumerate(records) if position < record[6] - 4096)
    found, bad = cut_all(bytes(damaged), Cursor(4096))
    assert found == records[:hit]
    assert bad == (records[hit - 1][6] if hit else 4096)


def test_a_flip_of_every_bit_of_one_record_is_noticed() -> None:
    good = stream([(int(RecordType.WRITE), 3, 512, 13, memoryview(b"thirteen byte"))])
    for bit in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        assert cut_all(bytes(damaged), Cursor(4096)) == ([], 4096), bit


@given(WRITES, st.lists(st.integers(0, 2000), max_size=20), st.binary(max_size=63))
def test_pieces_and_trailing_bytes_make_no_difference(writes: list[Write], cuts: list[int], behind: bytes) -> None:
    good = stream(writes)
    view, cursor, records, position = memoryview(good + behind), Cursor(4096), list[Record](), 0
    for end in [*sorted(at for at in cuts if at < len(good)), len(view)]:
        position = cut(view, position, end, cursor, records)
    assert position == len(good)
    assert records == cut_all(good, Cursor(4096))[0]


@settings(max_examples=200)
@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_bytes_are_records_or_bad_and_nothing_else(data: bytes, start: int) -> None:
    cursor, records = Cursor(4096), list[Record]()
    try:
        position = cut(memoryview(data), min(start, len(data)), len(data), cursor, records)
    except BadRecord:
        position = start
    assert records == []
    assert position == min(start, len(data))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_slot_or_bad_and_nothing_else(data: bytes) -> None:
    try:
        decode_slot(data, "srl")
    except (BadSlot, VolrepError):
        return
    raise AssertionError("random bytes passed for a header")
