"""Header slots: which one counts, what is damaged, what is merely newer."""

from __future__ import annotations

import json
import struct

import pytest
from crc32c import crc32c

from tests.unit.log.support import a_header
from volrep.log.header import BODY_MAX_BYTES, HISTORY_MAX, BadSlot, choose, decode_slot, encode_slot
from volrep.log.ring import SLOT_BYTES
from volrep.model.errors import VolrepError
from volrep.model.units import Reign

FULL = a_header(history=[Reign(1, 4096, "ab"), Reign(2, 99992)], generation=2, incarnation=7, tail_lsn=8,
                applied_lsn=16, durable_lsn=24, clean=True, consistent=False, consistent_after_lsn=88,
                volumes=[{"index": 0, "name": "dv01", "size_bytes": 1 << 30, "volume_id": "v", "stamp": {"inode": 5}}],
                links={"link-1": {"acked_lsn": 24, "ü": [1, None]}})


def slot(body: bytes, version: int = 1, counter: int = 1) -> bytes:
    crc = crc32c(body, crc32c(struct.pack("<IQI", version, counter, len(body))))
    return struct.pack("<4sIQII", b"VRH1", version, counter, len(body), crc) + body


def test_a_header_comes_back_as_it_was() -> None:
    data = encode_slot(FULL, 41)
    assert decode_slot(data + bytes(SLOT_BYTES - len(data)), "srl") == (41, FULL)
    assert data == slot(data[24:], counter=41)


def test_fields_of_a_newer_version_are_kept() -> None:
    body = json.loads(encode_slot(FULL, 1)[24:]) | {"later": {"a": [1]}}
    _, header = decode_slot(slot(json.dumps(body).encode()), "srl")
    assert json.loads(encode_slot(header, 2)[24:])["later"] == {"a": [1]}


def test_the_newer_valid_slot_counts() -> None:
    old, new = encode_slot(a_header(tail_lsn=1), 6), encode_slot(a_header(tail_lsn=2), 7)
    assert choose([old, new], "srl")[1].tail_lsn == 2
    assert choose([new, old], "srl")[1].tail_lsn == 2
    for damage in (b"", bytes(SLOT_BYTES), new[:-1], new[:30] + b"\0" + new[31:]):
        assert choose([old, damage], "srl") == (6, a_header(tail_lsn=1))


def test_a_flip_in_any_byte_is_noticed() -> None:
    data = encode_slot(a_header(), 3)
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        with pytest.raises(BadSlot):
            decode_slot(damaged, "srl")


def test_two_damaged_slots_are_an_error_that_says_why() -> None:
    with pytest.raises(VolrepError) as caught:
        choose([bytes(SLOT_BYTES), encode_slot(FULL, 1)[:-1]], "/srl")
    assert caught.value.id == "VR-1501"
    assert "no header, length" in caught.value.text


def test_a_newer_version_is_not_called_damaged() -> None:
    with pytest.raises(VolrepError) as caught:
        choose([encode_slot(FULL, 1), slot(b"whatever it will be", version=2, counter=2)], "/srl")
    assert caught.value.id == "VR-1504"


@pytest.mark.parametrize("body", [b"[]", b"{}", b"nonsense", b'{"rvg": 1}', b'{"history": 3}', b"\xff"])
def test_an_intact_slot_with_a_strange_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadSlot):
        decode_slot(slot(body), "srl")


def test_a_header_that_does_not_fit_its_slot_is_refused() -> None:
    with pytest.raises(VolrepError) as caught:
        encode_slot(a_header(links={"x": {"y": "z" * BODY_MAX_BYTES}}), 1)
    assert caught.value.id == "VR-1505"


def test_the_history_is_bounded_to_the_newest() -> None:
    _, header = decode_slot(encode_slot(a_header(history=[(n, n * 8) for n in range(HISTORY_MAX + 9)]), 1), "srl")
    assert len(header.history) == HISTORY_MAX
    assert header.history[-1] == Reign(HISTORY_MAX + 8, (HISTORY_MAX + 8) * 8)


def test_the_generation_at_an_lsn_comes_from_the_history() -> None:
    assert [FULL.generation_at(lsn) for lsn in (0, 4095, 4096, 99991, 99992, 1 << 60)] == [0, 0, 1, 1, 2, 2]
