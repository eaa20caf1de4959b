"""Tails: what two logs are compared by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.log.support import Log, a_header, a_write
from volrep.log.header import decode_slot, encode_slot
from volrep.log.record import RecordType, Write
from volrep.log.tails import KEPT_TAILS_MAX, keep_end, keep_tail, read_tail
from volrep.model.units import Tail
from volrep.rvg.verifying import log_crc

TRIM = int(RecordType.TRIM)


@pytest.mark.parametrize("other", [
    [a_write(8192, b"the same bytes")], [a_write(4096, b"other bytes...")],
    [(TRIM, 0, 0, 64 << 10, None)], [(TRIM, 0, 4096, 4096, None), (TRIM, 0, 0, 512, None)],
], ids=["elsewhere", "other bytes", "another type", "two"])
def test_logs_that_differ_only_in_what_their_headers_say_are_told_apart(tmp_path: Path, other: list[Write]) -> None:
    """Each header ends with its own CRC32C, which makes a CRC32C over the log blind to all that it says."""
    one, two = Log(tmp_path / "one"), Log(tmp_path / "two")
    ours = [a_write(4096, b"the same bytes")] if other[0][4] is not None else [
        (TRIM, 0, 1 << 20, 4096, None), *([(TRIM, 0, 0, 4096, None)] if len(other) > 1 else [])]
    one.append(*ours)
    two.append(*other)
    assert one.srl.end_lsn == two.srl.end_lsn
    length = one.srl.end_lsn - 4096
    assert read_tail(one.srl, one.srl.end_lsn, length) != read_tail(two.srl, one.srl.end_lsn, length)
    assert log_crc(one.srl, 4096, length) != log_crc(two.srl, 4096, length)


def test_tails_are_kept_in_order_and_only_of_this_log() -> None:
    header = a_header()
    for lsn in range(1, 12):
        keep_tail(header, Tail(8000 * lsn, 800, lsn))
    assert [tail.crc for tail in header.kept_tails] == list(range(12 - KEPT_TAILS_MAX, 12))
    keep_tail(header, Tail(60_000, 800, 99))
    assert [tail.crc for tail in header.kept_tails] == [4, 5, 6, 7, 99]
    keep_tail(header, Tail(64_000))
    assert header.kept_tails[-1].crc == 99, "nothing is said of no bytes"
    assert decode_slot(encode_slot(header, 2), "")[1].kept_tails == header.kept_tails


def test_the_end_is_kept_as_far_as_the_ring_has_it(tmp_path: Path) -> None:
    log = Log(tmp_path / "srl")
    log.append(a_write(0, b"one"))
    log.checkpoint()
    log.srl.header.tail_lsn = log.srl.end_lsn
    from_lsn = log.srl.end_lsn
    log.append(a_write(0, b"two"))
    keep_end(log.srl, log.srl.end_lsn)
    assert log.srl.header.kept_tails == [read_tail(log.srl, log.srl.end_lsn, log.srl.end_lsn - from_lsn)]
