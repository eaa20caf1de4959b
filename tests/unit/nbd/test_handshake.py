"""The negotiation, fed whole, byte by byte and in uneven pieces."""

from __future__ import annotations

import struct

import pytest

from tests.unit.nbd.clients import CLIENT_FLAGS, go, meta, option, option_replies, request, three_ways
from volrep.nbd import wire
from volrep.nbd.exports import ExportInfo, ExportTable
from volrep.nbd.handshake import OPTION_BYTES_MAX, OPTIONS_MAX, Closed, Handshake, Negotiated

DATA = ExportInfo("hr_dv01", 1 << 30, 0, description="data volume")
LOGS = ExportInfo("hr_dv02", 1 << 20, 1, read_only=True)
ONE, TWO = ExportTable([DATA]), ExportTable([DATA, LOGS])
STRUCTURED = option(wire.OPT_STRUCTURED_REPLY)


def _negotiate(data: bytes, exports: ExportTable = TWO) -> tuple[bytes, Handshake]:
    """Answers and the handshake after `data`; checks that the pieces it came in make no difference."""
    seen = set()
    for pieces in three_ways(data):
        handshake = Handshake(exports)
        assert handshake.start() == b"NBDMAGICIHAVEOPT\x00\x03"
        sent, rest = [], b""
        for piece in pieces:
            if handshake.outcome is None:
                sent.append(handshake.feed(piece))
                rest += handshake.leftover
            else:
                rest += piece
        seen.add((b"".join(sent), handshake.outcome, rest if isinstance(handshake.outcome, Negotiated) else b""))
        handshake.leftover = rest
    assert len(seen) == 1
    return next(iter(seen))[0], handshake


def _kinds(answer: bytes) -> list[int]:
    return [kind for _, kind, _ in option_replies(answer)]


def test_go_tells_size_and_flags_and_leaves_the_requests_that_follow() -> None:
    first = request(wire.CMD_READ, 0, 512)
    answer, handshake = _negotiate(CLIENT_FLAGS + STRUCTURED + go("hr_dv01") + first)
    assert handshake.outcome == Negotiated(DATA, structured=True, contexts=(), no_zeroes=True)
    assert handshake.leftover == first
    (_, info), ack = [(kind, data) for number, kind, data in option_replies(answer) if number == wire.OPT_GO]
    assert wire.INFO_EXPORT_DATA.unpack(info) == (wire.INFO_EXPORT, 1 << 30, DATA.flags(True))
    assert ack == (wire.REP_ACK, b"")


def test_info_gives_what_was_asked_for_and_goes_on() -> None:
    wanted = (wire.INFO_NAME, wire.INFO_DESCRIPTION, wire.INFO_BLOCK_SIZE, 77)
    answer, handshake = _negotiate(CLIENT_FLAGS + go("hr_dv01", wanted, number=wire.OPT_INFO))
    assert handshake.outcome is None
    facts = {struct.unpack_from(">H", data)[0]: data[2:] for _, kind, data in option_replies(answer)
             if kind == wire.REP_INFO}
    assert set(facts) == {wire.INFO_EXPORT, wire.INFO_NAME, wire.INFO_DESCRIPTION, wire.INFO_BLOCK_SIZE}
    assert facts[wire.INFO_NAME] == b"hr_dv01"
    assert facts[wire.INFO_DESCRIPTION] == b"data volume"
    assert struct.unpack(">III", facts[wire.INFO_BLOCK_SIZE]) == (1, 4096, 32 << 20)


def test_the_empty_name_is_the_only_export_and_nothing_where_there_are_two() -> None:
    _, alone = _negotiate(CLIENT_FLAGS + go(""), ONE)
    assert isinstance(alone.outcome, Negotiated)
    assert alone.outcome.export is DATA
    answer, among_two = _negotiate(CLIENT_FLAGS + go(""), TWO)
    assert among_two.outcome is None
    assert _kinds(answer) == [wire.REP_ERR_UNKNOWN]


@pytest.mark.parametrize(("client_flags", "padding"), [(wire.FLAG_FIXED_NEWSTYLE, 124), (0, 124), (3, 0)])
def test_export_name_is_answered_without_an_option_reply(client_flags: int, padding: int) -> None:
    answer, handshake = _negotiate(struct.pack(">I", client_flags) + option(wire.OPT_EXPORT_NAME, b"hr_dv02"))
    assert answer == struct.pack(">QH", LOGS.size_bytes, LOGS.flags(False)) + bytes(padding)
    assert isinstance(handshake.outcome, Negotiated)


def test_a_read_only_export_offers_no_changes() -> None:
    assert LOGS.flags(False) & wire.FLAG_READ_ONLY
    assert not LOGS.flags(True) & (wire.FLAG_SEND_TRIM | wire.FLAG_SEND_WRITE_ZEROES)
    assert not DATA.flags(False) & wire.FLAG_SEND_DF


def test_list_names_all_exports() -> None:
    answer, _ = _negotiate(CLIENT_FLAGS + option(wire.OPT_LIST))
    assert option_replies(answer) == [
        (wire.OPT_LIST, wire.REP_SERVER, b"\0\0\0\x07hr_dv01data volume"),
        (wire.OPT_LIST, wire.REP_SERVER, b"\0\0\0\x07hr_dv02"),
        (wire.OPT_LIST, wire.REP_ACK, b""),
    ]


def test_base_allocation_holds_for_the_export_it_was_set_for() -> None:
    setting = CLIENT_FLAGS + STRUCTURED + meta("hr_dv01", "other:thing", "base:allocation")
    answer, same = _negotiate(setting + go("hr_dv01"))
    assert (wire.OPT_SET_META_CONTEXT, wire.REP_META_CONTEXT, b"\0\0\0\x01base:allocation") in option_replies(answer)
    assert isinstance(same.outcome, Negotiated)
    assert same.outcome.contexts == (1,)
    _, other = _negotiate(setting + go("hr_dv02"))
    assert isinstance(other.outcome, Negotiated)
    assert other.outcome.contexts == ()


def test_a_second_set_meta_context_replaces_the_first() -> None:
    _, handshake = _negotiate(CLIENT_FLAGS + STRUCTURED + meta("hr_dv01", "base:allocation") + meta("hr_dv01")
                              + go("hr_dv01"))
    assert isinstance(handshake.outcome, Negotiated)
    assert handshake.outcome.contexts == ()


@pytest.mark.parametrize(("queries", "listed"), [((), True), (("base:",), True), (("qemu:",), False)])
def test_contexts_can_be_listed(queries: tuple[str, ...], listed: bool) -> None:
    answer, _ = _negotiate(CLIENT_FLAGS + STRUCTURED + meta("hr_dv01", *queries, number=wire.OPT_LIST_META_CONTEXT))
    assert (wire.REP_META_CONTEXT in _kinds(answer)) is listed
    assert _kinds(answer)[-1] == wire.REP_ACK


@pytest.mark.parametrize(("bad", "kind"), [
    (option(99), wire.REP_ERR_UNSUP),
    (option(wire.OPT_STARTTLS), wire.REP_ERR_UNSUP),
    (option(wire.OPT_EXTENDED_HEADERS), wire.REP_ERR_UNSUP),
    (option(wire.OPT_LIST, b"x"), wire.REP_ERR_INVALID),
    (option(wire.OPT_STRUCTURED_REPLY, b"x"), wire.REP_ERR_INVALID),
    (option(wire.OPT_GO, b"\0\0\0\xff"), wire.REP_ERR_INVALID),
    (option(wire.OPT_GO, b"\0\0\0\x00\0\x05"), wire.REP_ERR_INVALID),
    (option(wire.OPT_GO, b"\0\0\0\x00\0\x00\0"), wire.REP_ERR_INVALID),
    (option(wire.OPT_GO, b""), wire.REP_ERR_INVALID),
    (option(wire.OPT_GO, b"\0\0\0\x01\xff\0\0"), wire.REP_ERR_INVALID),
    (go("n" * 5000), wire.REP_ERR_INVALID),
    (go("nobody"), wire.REP_ERR_UNKNOWN),
    (meta("hr_dv01", "base:allocation"), wire.REP_ERR_INVALID),  # before structured replies
    (option(wire.OPT_GO, bytes(OPTION_BYTES_MAX + 1)), wire.REP_ERR_TOO_BIG),
])
def test_a_bad_option_is_answered_and_the_next_one_still_works(bad: bytes, kind: int) -> None:
    answer, handshake = _negotiate(CLIENT_FLAGS + bad + go("hr_dv01"))
    assert _kinds(answer)[0] == kind
    assert isinstance(handshake.outcome, Negotiated)


@pytest.mark.parametrize("bad", [
    struct.pack(">I", 8),
    CLIENT_FLAGS + bytes(16),
    struct.pack(">I", 0) + go("hr_dv01"),
    CLIENT_FLAGS + option(wire.OPT_EXPORT_NAME, b"nobody"),
    CLIENT_FLAGS + option(wire.OPT_EXPORT_NAME, b"\xff"),
    CLIENT_FLAGS + wire.OPTION.pack(wire.OPTION_MAGIC, wire.OPT_EXPORT_NAME, 1 << 31),
    CLIENT_FLAGS + option(wire.OPT_ABORT),
    CLIENT_FLAGS + option(99) * (OPTIONS_MAX + 1),
])
def test_what_cannot_go_on_is_closed_with_a_reason(bad: bytes) -> None:
    _, handshake = _negotiate(bad)
    assert isinstance(handshake.outcome, Closed)
    assert handshake.outcome.reason


def test_an_endless_option_is_not_kept() -> None:
    handshake = Handshake(ONE)
    handshake.feed(CLIENT_FLAGS + wire.OPTION.pack(wire.OPTION_MAGIC, wire.OPT_LIST, 0xFFFFFFFF))
    for _ in range(100):
        assert handshake.feed(bytes(1 << 20)) == b""
    assert len(handshake._waiting) == 0
