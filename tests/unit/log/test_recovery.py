"""Recovery on real files: torn tails are cut, lost data is never passed over."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from crc32c import crc32c

from tests.unit.log.support import Log, a_header, a_write, stream
from volrep.link.logbuffer import BUFFER_BYTES
from volrep.log import recovery
from volrep.log.record import BadRecord, Cursor, Record
from volrep.log.ring import SLOT_BYTES, SRL_MIN_BYTES
from volrep.log.verdict import SECONDARY_APPEND_MAX_BYTES, Gap, Proof, claims_behind, is_torn
from volrep.model.errors import VolrepError
from volrep.model.units import Reign


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "srl")


def test_everything_appended_is_found_after_a_crash(log: Log) -> None:
    for n in range(50):
        last = log.append(a_write(0, bytes([n]) * n), a_write(0, b"second"))
    end_lsn = log.srl.end_lsn
    log.reopen()
    end, payloads = log.recover()
    assert payloads == [data for n in range(50) for data in (bytes([n]) * n, b"second")]
    assert (end.end_lsn, end.generation, end.incarnation, end.timestamp_ns, end.records) == (end_lsn, 1, 1, last, 100)


def test_records_larger_than_a_chunk_and_across_chunks_are_found(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "CHUNK_BYTES", 10_000)
    blocks = [bytes([n]) * (n * 7919 % 90_000) for n in range(60)]
    for block in blocks:
        log.append(a_write(0, block))
    log.reopen()
    assert log.recover()[1] == blocks


def test_a_log_across_the_edge_is_found(log: Log) -> None:
    block = bytes(1 << 20)
    for _ in range(14):
        log.append(a_write(0, block))
    log.checkpoint()
    for n in range(10):
        log.append(a_write(0, bytes([n]) * (1 << 20)))
    log.reopen()
    end, payloads = log.recover()
    assert [payload[0] for payload in payloads] == list(range(10))
    assert end.end_lsn > log.srl.header.capacity_bytes


def test_a_full_ring_ends_where_it_began(log: Log) -> None:
    while log.srl.free_bytes > (1 << 20) + 128:
        log.append(a_write(0, bytes(1 << 20)))
    log.append(a_write(0, bytes(log.srl.free_bytes - 64)))
    end_lsn = log.srl.end_lsn
    log.reopen()
    assert log.recover()[0].end_lsn == end_lsn == 4096 + log.srl.header.capacity_bytes


def test_a_clean_log_is_empty_behind_what_was_applied(log: Log) -> None:
    log.append(a_write(0, b"done"))
    log.checkpoint()
    log.reopen()
    end, payloads = log.recover()
    assert (payloads, end.end_lsn, end.records, end.timestamp_ns) == ([], log.srl.header.applied_lsn, 0, 0)


@pytest.mark.parametrize("where", [0, 40, 63, 64, 4000])
def test_a_torn_last_batch_is_cut(log: Log, where: int) -> None:
    log.append(a_write(0, b"kept"))
    torn = log.append(a_write(0, b"\x55" * 4096), a_write(0, b"behind"))
    log.flip(torn + where)
    log.reopen()
    end, payloads = log.recover()
    assert (end.end_lsn, payloads) == (torn, [b"kept"])


def test_damage_below_what_the_header_proved_is_not_a_torn_tail(log: Log) -> None:
    damaged = log.append(a_write(0, b"acknowledged"))
    log.srl.header.durable_lsn = log.srl.end_lsn
    log.srl.write_header()
    log.flip(damaged + 70)
    before = log.path.read_bytes()
    log.reopen()
    with pytest.raises(VolrepError, match=f"LSN {damaged} is damaged.*payload CRC") as caught:
        log.recover()
    assert caught.value.id == "VR-1502"
    assert log.path.read_bytes() == before


def test_damage_that_a_later_record_proves_is_not_a_torn_tail(log: Log) -> None:
    log.append(a_write(0, b"good"))
    damaged = log.append(a_write(0, b"acknowledged" * 1000), a_write(0, b"same batch"))
    log.append(a_write(0, b"knows that the batch before was durable"))
    log.flip(damaged + 8)
    log.reopen()
    handed_out: list[int] = []
    with pytest.raises(VolrepError) as caught:
        recovery.scan(log.srl, 4096, lambda _, records: handed_out.append(len(records)))
    assert caught.value.id == "VR-1502"
    assert handed_out == [1]


def test_the_proof_may_lie_far_behind_and_across_pieces(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "CHUNK_BYTES", 4096)
    damaged = log.append(a_write(0, b"acknowledged"))
    monkeypatch.setattr(recovery, "RECORD_MAX_BYTES", 4096 + 64)
    for _ in range(9):
        log.append(a_write(0, bytes(3000)), durable_lsn=damaged)  # claims that prove nothing
    proof = log.append(a_write(0, b"proof"))
    assert (proof - damaged) // 4096 > 5
    log.flip(damaged)
    log.reopen()
    with pytest.raises(VolrepError) as caught:
        log.recover()
    assert caught.value.id == "VR-1502"


def test_a_record_is_lost_data_below_the_proof_and_torn_from_there_on() -> None:
    proof = Proof(durable_lsn=5000, own_generation=1)
    assert not is_torn(BadRecord(4999, "payload CRC", 0), proof)
    assert is_torn(BadRecord(5000, "payload CRC", 0), proof)
    assert not is_torn(BadRecord(5000, "type 9", 0, foreign=True), proof)


def test_only_headers_of_the_same_stream_in_their_place_prove_anything() -> None:
    proof, cursor = Proof(0, own_generation=2), Cursor(5000, 2, 3)
    lsn = 8000
    good = stream([a_write(0, b"x")], lsn, generation=2, incarnation=3, durable_lsn=7000)
    assert claims_behind(b"VRL1 junk" + bytes(7) + good, lsn - 16, cursor, proof) == 7000
    assert claims_behind(good, lsn, cursor, proof) == 7000
    assert claims_behind(good, lsn + 8, cursor, proof) == 0
    assert claims_behind(bytes(4) + good, lsn - 4, cursor, proof) == 7000
    for generation, incarnation in ((1, 3), (3, 3), (2, 2)):
        other = stream([a_write(0, b"x")], lsn, generation=generation, incarnation=incarnation, durable_lsn=7000)
        assert claims_behind(other, lsn, cursor, proof) == 0
    assert claims_behind(good, lsn, cursor, Proof(0, own_generation=0)) == 0


@pytest.mark.parametrize("cut_at", range(0, 72, 8))
def test_a_proof_across_two_pieces_of_the_look_ahead_counts(
        log: Log, monkeypatch: pytest.MonkeyPatch, cut_at: int) -> None:
    damaged = log.append(a_write(0, b"acknowledged"))
    log.append(a_write(0, bytes(4096 - 64 - 80 - cut_at)), durable_lsn=damaged)
    proof = log.append(a_write(0, b"proof"))
    assert proof - damaged == 4096 - cut_at
    log.flip(damaged)
    log.reopen()
    monkeypatch.setattr(recovery, "CHUNK_BYTES", 4096 - 64)
    monkeypatch.setattr(recovery, "RECORD_MAX_BYTES", 64)
    with pytest.raises(VolrepError) as caught:
        log.recover()
    assert caught.value.id == "VR-1502"


def test_on_a_secondary_records_prove_nothing_about_its_disk(tmp_path: Path) -> None:
    """Their claims are about the Primary's disk: a batch torn in its middle here is a torn tail."""
    log = Log(tmp_path / "srl", header=a_header(role="secondary"))
    torn = log.append(a_write(0, b"\x55" * 5000))
    log.append(a_write(0, b"durable on the Primary"))
    log.flip(torn + 100)
    log.reopen()
    assert log.recover()[0].end_lsn == torn
    log.srl.header.durable_lsn = torn + 8  # but its own header does
    with pytest.raises(VolrepError):
        log.recover()


def test_leftovers_of_a_lost_tail_never_continue_a_newer_run(log: Log) -> None:
    """Same place, same LSN, intact: only the incarnation tells."""
    log.append(a_write(0, b"kept"))
    torn = log.append(a_write(0, b"A" * 192), durable_lsn=4096)
    leftover = log.append(a_write(0, b"leftover"), durable_lsn=4096)
    log.flip(torn + 64)
    log.reopen()
    end, _ = log.recover()
    assert end.end_lsn == torn
    log.srl.resume_at(torn)
    log.start_run()
    log.append(a_write(0, b"B" * 192))
    assert log.srl.end_lsn == leftover
    log.poke(leftover, stream([a_write(0, b"leftover")], leftover, incarnation=1))  # behind the zeroed page's back
    log.reopen()
    assert log.recover()[1] == [b"kept", b"B" * 192]


def test_leftovers_behind_a_clean_end_never_count(log: Log) -> None:
    """No record before them tells the incarnation: the header does."""
    log.append(a_write(0, b"kept"))
    log.start_run()
    log.append(a_write(0, b"newer run"))
    log.checkpoint()
    end_lsn = log.srl.end_lsn
    log.poke(end_lsn, stream([a_write(0, b"leftover")], end_lsn, incarnation=1))
    log.reopen()
    assert log.recover()[1] == []


def test_records_of_an_earlier_run_still_count_when_they_were_not_applied(log: Log) -> None:
    log.append(a_write(0, b"first run"))
    log.reopen()
    log.srl.resume_at(log.recover()[0].end_lsn)
    log.start_run()  # without a checkpoint
    log.append(a_write(0, b"second run"))
    log.start_run()
    log.reopen()
    assert log.recover()[1] == [b"first run", b"second run"]


def test_on_a_secondary_its_own_incarnation_says_nothing_about_records(tmp_path: Path) -> None:
    """They carry the Primary's."""
    log = Log(tmp_path / "srl", header=a_header(role="secondary", incarnation=50))
    log.checkpoint()
    lsn = log.srl.end_lsn
    received = stream([a_write(0, b"from the Primary")], lsn, incarnation=2)
    log.srl.append([received], len(received), durable=True)
    log.reopen()
    assert log.recover()[1] == [b"from the Primary"]


def test_leftovers_of_an_older_generation_never_count(tmp_path: Path) -> None:
    """An old Primary that became a Secondary and was cut back to the fork."""
    log = Log(tmp_path / "srl", header=a_header(role="secondary", generation=2, history=[(1, 4096), (2, 5000)]))
    log.append(a_write(0, bytes(2000)))
    log.checkpoint()
    log.poke(log.srl.end_lsn, stream([a_write(0, b"beyond the fork")], log.srl.end_lsn, generation=1, incarnation=9))
    log.reopen()
    assert log.recover()[1] == []


def test_a_takeover_keeps_what_was_received_before_it(tmp_path: Path) -> None:
    log = Log(tmp_path / "srl", header=a_header(role="secondary", incarnation=3))
    log.append(a_write(0, b"received"))
    header = log.srl.header
    header.role, header.generation, header.incarnation = "primary", 2, 9
    header.history.append(Reign(2, log.srl.end_lsn))
    log.srl.write_header()
    log.append(a_write(0, b"own"))
    log.srl.write_header()
    log.reopen()
    assert log.recover()[1] == [b"received", b"own"]


def test_a_stream_that_begins_anew_forgets_the_old_one(tmp_path: Path) -> None:
    log = Log(tmp_path / "srl", header=a_header(role="secondary"))
    first, second = (log.append(a_write(0, data)) for data in (b"old", b"stream"))
    log.srl.header.durable_lsn = log.srl.end_lsn
    log.srl.write_header()
    log.srl.restart(second)
    log.srl.close()
    log.reopen()  # a crash before the caller wrote the header: a shorter log, no damage
    assert (log.srl.header.applied_lsn, log.recover()[1]) == (first, [b"old"])
    log.srl.resume_at(second)
    log.srl.restart(second)
    log.srl.write_header()
    log.append(a_write(0, b"new"))
    log.reopen()
    assert log.recover()[1] == [b"new"]


def test_a_record_of_a_newer_version_is_said_to_be_one(log: Log) -> None:
    lsn = log.append(a_write(0, b"from the future"))
    body = struct.pack("<IBBHIIQQQQQI", 0x314C5256, 2, 1, 0, 1, 1, lsn, 0, 0, 0, 0, 0)
    log.poke(lsn, body + crc32c(body).to_bytes(4, "little"))
    log.reopen()
    with pytest.raises(VolrepError) as caught:
        log.recover()
    assert caught.value.id == "VR-1504"


def test_an_intact_record_of_unknown_type_is_not_cut_off(log: Log) -> None:
    log.append((99, 0, 0, 0, None))
    log.reopen()
    with pytest.raises(VolrepError, match="type 99"):
        log.recover()


def test_the_file_is_synced_before_it_is_believed(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    log.append(a_write(0, b"x"))
    log.reopen()
    monkeypatch.setattr(log.srl.file, "sync", lambda: order.append("sync"))
    recovery.scan(log.srl, 4096, lambda *_: order.append("batch"))
    assert order == ["sync", "batch"]


def test_a_header_older_than_the_ring_is_no_end_of_the_log(log: Log) -> None:
    """Both slots went back to an older state, and the log has gone once around since."""
    for _ in range(3):
        log.append(a_write(0, bytes(1 << 20)))
    log.checkpoint()
    older = log.path.read_bytes()[:2 * SLOT_BYTES]
    block = 1 << 19
    while log.srl.free_bytes > 2 * (block + 64):
        log.append(a_write(0, bytes(block)))
    log.checkpoint()
    end_lsn = log.srl.end_lsn
    while log.srl.ring.offset(log.srl.end_lsn) <= log.srl.ring.offset(4096 + 3 * ((1 << 20) + 64)):
        log.append(a_write(0, bytes(block)))
    assert log.srl.end_lsn > end_lsn
    with log.path.open("r+b") as file:
        file.write(older)
    log.reopen()
    assert log.srl.header.applied_lsn < end_lsn
    with pytest.raises(VolrepError, match="VR-1501"):
        log.recover()


def test_a_secondary_proves_by_what_it_appended_later(tmp_path: Path) -> None:
    """Its records speak about the Primary's disk; but what lies further behind than one append was appended later."""
    assert BUFFER_BYTES <= SECONDARY_APPEND_MAX_BYTES
    log = Log(tmp_path / "srl", size_bytes=SRL_MIN_BYTES + (8 << 20), header=a_header(role="secondary"))
    first = log.append(a_write(0, bytes(1 << 20)))
    for _ in range(10):
        log.append(a_write(0, bytes(1 << 20)))
    log.flip(first + 100)
    log.reopen()
    assert log.recover()[0].end_lsn == first, "within one append: it may be a torn one"
    log.flip(first + 100)
    log.reopen()
    log.srl.resume_at(log.recover()[0].end_lsn)
    for _ in range(4):
        log.append(a_write(0, bytes(1 << 20)))
    log.flip(first + 100)
    log.reopen()
    with pytest.raises(VolrepError, match="VR-1502"):
        log.recover()


def test_what_a_secondary_begins_anew_is_not_judged_by_what_was_there(tmp_path: Path) -> None:
    """A new Primary's LSNs may begin below those that the ring still holds."""
    log = Log(tmp_path / "srl", size_bytes=SRL_MIN_BYTES + (8 << 20), header=a_header(role="secondary"))
    for _ in range(20):
        log.append(a_write(0, bytes(1 << 20)))
    log.srl.restart(4096)
    log.srl.write_header()
    log.append(a_write(0, b"new"))
    log.reopen()
    assert log.recover()[1] == [b"new"]


def test_a_later_reign_than_what_was_there_proves_what_a_secondary_has_begun_anew(tmp_path: Path) -> None:
    """As after a failback: else damage would count as torn, and volumes that are ahead of their log as one moment."""
    log = Log(tmp_path / "srl", size_bytes=SRL_MIN_BYTES + (8 << 20), header=a_header(role="secondary"))
    for _ in range(20):
        log.append(a_write(0, bytes(1 << 20)))
    header = log.srl.header
    log.srl.restart(4096)
    header.generation, header.history = 2, [*header.history, Reign(2, 4096)]
    log.srl.write_header()
    damaged = log.append(a_write(0, b"acknowledged"))
    for _ in range(13):
        log.append(a_write(0, bytes(1 << 20)))
    log.flip(damaged + 70)
    log.reopen()
    with pytest.raises(VolrepError, match=f"LSN {damaged} is damaged"):
        log.recover()


def gaps_of(log: Log) -> tuple[recovery.ScanEnd, list[bytes], list[Gap]]:
    payloads: list[bytes] = []

    def on_batch(view: memoryview, records: list[Record]) -> None:
        payloads.extend(bytes(view[record[4]:record[5]]) for record in records)

    end, gaps = recovery.scan_past_damage(log.srl, log.srl.header.applied_lsn, on_batch)
    return end, payloads, gaps


def test_damage_is_passed_over_and_named(log: Log) -> None:
    """A damaged payload is known by its header; behind a damaged header the next good record is found."""
    lsns = [log.append(a_write(n << 12, bytes([n]) * 4096)) for n in range(8)]
    end_lsn = log.srl.end_lsn
    log.flip(lsns[2] + 100)
    log.flip(lsns[5] + 20)
    log.reopen()
    end, payloads, gaps = gaps_of(log)
    assert end.end_lsn == end_lsn
    assert [payload[0] for payload in payloads] == [0, 1, 3, 4, 6, 7]
    assert [(gap.from_lsn, gap.to_lsn) for gap in gaps] == [(lsns[2], lsns[3]), (lsns[5], lsns[6])]
    assert gaps[0].header is not None
    assert (gaps[0].header.offset, gaps[0].header.length) == (2 << 12, 4096)
    assert gaps[1].header is None


def test_behind_damage_up_to_the_end_nothing_is_used_again(log: Log) -> None:
    """The log goes on where it was proved durable, so that no LSN stands for two things."""
    lsn = log.append(a_write(0, b"kept"))
    damaged = log.append(a_write(0, b"x" * 4096))
    log.srl.header.durable_lsn = durable_lsn = log.srl.end_lsn
    log.srl.write_header()
    log.poke(damaged, bytes(4096 + 64))
    log.reopen()
    end, payloads, gaps = gaps_of(log)
    assert (lsn, payloads) == (4096, [b"kept"])
    assert end.end_lsn == durable_lsn
    assert [(gap.from_lsn, gap.to_lsn) for gap in gaps] == [(damaged, durable_lsn)]


def test_what_an_earlier_run_left_behind_is_not_taken_for_what_follows_damage(log: Log) -> None:
    kept = log.append(a_write(0, b"kept"))
    torn = log.append(a_write(0, bytes(100)))
    log.append(a_write(0, bytes(8192)), durable_lsn=torn)  # the next run's zeroes reach to the end of its page only
    log.append(a_write(0, b"left behind by the first run"), durable_lsn=torn)
    log.reopen()
    log.srl.resume_at(torn)
    log.start_run()
    log.append(a_write(0, bytes(100 - 8)))
    log.srl.header.durable_lsn = log.srl.end_lsn
    log.srl.write_header()
    log.poke(kept, bytes(torn + 64 - kept))
    log.reopen()
    end, payloads, _ = gaps_of(log)
    assert payloads == []
    assert end.end_lsn == log.srl.header.durable_lsn
