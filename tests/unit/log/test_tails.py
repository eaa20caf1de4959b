"""Tails: what two logs are compared by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.log.support import Log, a_header, a_write
from volrep.link.tails import Reach, shown_by_both
from volrep.log import header
from volrep.log.header import decode_slot, encode_slot
from volrep.log.record import RecordType, Write
from volrep.log.tails import KEPT_TAILS_MAX, keep_end, keep_tails, read_tail, read_tails
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
    count = KEPT_TAILS_MAX + 3
    for lsn in range(1, count + 1):
        keep_tails(header, [Tail(8000 * lsn, 800, lsn)])
    assert [tail.crc for tail in header.kept_tails] == list(range(4, count + 1))
    keep_tails(header, [Tail(60_000, 400, 98), Tail(60_000, 800, 99)])
    assert [tail.crc for tail in header.kept_tails] == [4, 5, 6, 7, 98, 99]
    keep_tails(header, [])
    assert header.kept_tails[-1].crc == 99, "nothing is said of no bytes"
    assert decode_slot(encode_slot(header, 2), "")[1].kept_tails == header.kept_tails


def test_the_end_is_kept_as_far_as_the_ring_has_it_needed_or_not(tmp_path: Path) -> None:
    """After a checkpoint of an idle host nothing is needed any more; it has to be shown all the same."""
    log = Log(tmp_path / "srl")
    begin_lsn = log.srl.end_lsn
    log.append(a_write(0, b"one"))
    log.checkpoint()
    log.srl.header.tail_lsn = log.srl.end_lsn
    keep_end(log.srl, log.srl.end_lsn)
    assert log.srl.header.kept_tails == read_tails(log.srl, log.srl.end_lsn, begin_lsn)


def test_hosts_whose_logs_began_at_different_places_have_some_tail_in_common(tmp_path: Path) -> None:
    """One has only what came with START, of a log that began before the other's."""
    log = Log(tmp_path / "srl")
    for number in range(4):
        log.append(a_write(0, bytes([number]) * 4096))
    end_lsn = log.srl.end_lsn
    came = Reach(end_lsn, read_tails(log.srl, end_lsn, 4096))
    assert shown_by_both(end_lsn, came, Reach(4096, [])) == end_lsn - 4096
    later = Reach(end_lsn - 8400, [])
    assert shown_by_both(end_lsn, came, later) == shown_by_both(end_lsn, later, came) == 8192
    assert shown_by_both(end_lsn, came, Reach(end_lsn - 64, [])) == 0


def test_what_an_earlier_log_left_and_what_is_about_to_be_overwritten_is_not_shown(tmp_path: Path) -> None:
    log = Log(tmp_path / "srl", header=a_header(role="secondary"))
    log.append(a_write(0, b"one"))
    log.srl.restart(log.srl.end_lsn)
    keep_end(log.srl, log.srl.end_lsn)
    assert log.srl.header.kept_tails == []
    log.srl.end_lsn += log.srl.ring.capacity_bytes
    assert log.srl.shown_lsn == log.srl.header.tail_lsn, "what a slow Secondary needs is there, however long it is"
    log.srl.header.tail_lsn = log.srl.end_lsn
    assert log.srl.shown_lsn == log.srl.end_lsn - log.srl.ring.capacity_bytes // 2


def test_a_header_of_an_older_version_shows_what_its_log_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "_FIELDS", tuple(name for name in header._FIELDS if name != "begin_lsn"))
    older = encode_slot(a_header(tail_lsn=8192), 2)
    monkeypatch.undo()
    assert decode_slot(older, "")[1].begin_lsn == 8192
