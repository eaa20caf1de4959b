"""Fixed newstyle negotiation: bytes in, bytes out, until the transmission phase begins or the client is refused.

Pure. Knows the options and their answers; knows no socket, no clock, no volume. One `Handshake` serves one connection:
`start()` is sent first, then what `feed` returns for everything that arrives, until `outcome` is set. Answers are a
table from option to method. Bounds: an option is at most `OPTION_BYTES_MAX` long (longer ones are skipped as they
arrive and answered TOO_BIG), and a client gets `OPTIONS_MAX` of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError
from typing import ClassVar

from volrep.nbd import wire
from volrep.nbd.exports import ExportInfo, Exports

OPTION_BYTES_MAX = 16 << 10  # one name of 4 KiB, and meta context queries for three times that
OPTIONS_MAX = 1000  # real clients send below ten; qemu lists contexts of one export after another
PREFERRED_BLOCK_BYTES = 4096
PAYLOAD_BYTES_MAX = 32 << 20  # the default that the specification gives every client
BASE_ALLOCATION_ID = 1

_U16 = Struct(">H")
_U32 = Struct(">I")
_CLIENT_FLAGS_BYTES = 4


@dataclass(frozen=True, slots=True)
class Negotiated:
    """The transmission phase begins."""

    export: ExportInfo
    structured: bool
    contexts: tuple[int, ...]  # ids of the meta contexts in force: () or (BASE_ALLOCATION_ID,)
    no_zeroes: bool


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection must be closed once what `feed` returned is sent."""

    reason: str
    orderly: bool = False  # the client said that it is leaving


class _Invalid(Exception):
    """An option's data do not parse; `str()` goes to the client."""


class Handshake:
    """One client's negotiation. `feed` may be given any pieces; after `outcome` is set it must not be called.

    `leftover` holds the bytes that came after the last option: the first requests of the transmission phase.
    """

    def __init__(self, exports: Exports) -> None:
        self._exports = exports
        self._waiting = bytearray()  # below OPTION_BYTES_MAX + 16 after each feed
        self._skip_bytes = 0
        self._skipped_option = 0
        self._options = 0
        self._client_flags: int | None = None
        self._structured = False
        self._contexts: tuple[int, ...] = ()
        self._contexts_export = ""
        self.outcome: Negotiated | Closed | None = None
        self.leftover = b""

    def start(self) -> bytes:
        """What the server says first."""
        return (wire.INIT_PASSWORD + wire.OPTION_MAGIC_BYTES
                + _U16.pack(wire.FLAG_FIXED_NEWSTYLE | wire.FLAG_NO_ZEROES))

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take what arrived; returns what to send (perhaps nothing)."""
        assert self.outcome is None, "the handshake is over"
        self._waiting += data
        out: list[bytes] = []
        while self.outcome is None and self._step(out):
            pass
        if isinstance(self.outcome, Negotiated):
            self.leftover = bytes(self._waiting)
            self._waiting.clear()
        return b"".join(out)

    def _step(self, out: list[bytes]) -> bool:
        """Consume one unit of what is waiting; False when it is not there in full."""
        if self._client_flags is None:
            return self._take_client_flags()
        if self._skipped_option:
            return self._skip(out)
        if len(self._waiting) < wire.OPTION.size:
            return False
        magic, option, length = wire.OPTION.unpack_from(self._waiting)
        if magic != wire.OPTION_MAGIC:
            self._close("bad option magic")
        elif not self._client_flags & wire.FLAG_FIXED_NEWSTYLE and option != wire.OPT_EXPORT_NAME:
            self._close("options need a client that speaks fixed newstyle")
        elif self._options >= OPTIONS_MAX:
            self._close(f"more than {OPTIONS_MAX} options")
        elif length > OPTION_BYTES_MAX:
            self._too_big(option, length)
        elif len(self._waiting) < wire.OPTION.size + length:
            return False
        else:
            self._options += 1
            data = bytes(self._waiting[wire.OPTION.size:wire.OPTION.size + length])
            del self._waiting[:wire.OPTION.size + length]
            out.append(self._answer(option, data))
        return True

    def _take_client_flags(self) -> bool:
        if len(self._waiting) < _CLIENT_FLAGS_BYTES:
            return False
        (flags,) = _U32.unpack_from(self._waiting)
        del self._waiting[:_CLIENT_FLAGS_BYTES]
        if flags & ~(wire.FLAG_FIXED_NEWSTYLE | wire.FLAG_NO_ZEROES):
            self._close(f"unknown client flags {flags:#x}")
        self._client_flags = flags
        return True

    def _too_big(self, option: int, length: int) -> None:
        if option == wire.OPT_EXPORT_NAME:  # has no answer for errors
            self._close(f"export name of {length} bytes")
            return
        self._options += 1
        del self._waiting[:wire.OPTION.size]
        self._skipped_option, self._skip_bytes = option, length

    def _skip(self, out: list[bytes]) -> bool:
        skipped = min(self._skip_bytes, len(self._waiting))
        del self._waiting[:skipped]
        self._skip_bytes -= skipped
        if self._skip_bytes:
            return False
        out.append(_reply(self._skipped_option, wire.REP_ERR_TOO_BIG,
                          f"options are at most {OPTION_BYTES_MAX} bytes long".encode()))
        self._skipped_option = 0
        return True

    def _close(self, reason: str) -> None:
        self.outcome = Closed(reason)

    def _answer(self, option: int, data: bytes) -> bytes:
        method = self._ANSWERS.get(option)
        if method is None:
            return _reply(option, wire.REP_ERR_UNSUP, b"option not supported")
        try:
            return method(self, option, data)
        except _Invalid as error:
            return _reply(option, wire.REP_ERR_INVALID, str(error).encode())

    # One method per option: (option, its data) -> bytes to send. Raises _Invalid.

    def _export_name(self, option: int, data: bytes) -> bytes:
        try:
            export = self._find(_text(data))
        except _Invalid as error:
            self._close(f"export name: {error}")
            return b""
        if export is None:
            self._close(f"no export {data.decode()!r}")
            return b""
        no_zeroes = self._begin(export)
        reply = wire.EXPORT_NAME_REPLY.pack(export.size_bytes, export.flags(self._structured))
        return reply if no_zeroes else reply + wire.EXPORT_NAME_PADDING

    def _abort(self, option: int, data: bytes) -> bytes:
        self.outcome = Closed("the client ended the negotiation", orderly=True)
        return _reply(option, wire.REP_ACK)

    def _list(self, option: int, data: bytes) -> bytes:
        if data:
            raise _Invalid("LIST takes no data")
        replies = []
        for name in self._exports.names():
            export = self._exports.find(name)
            if export is not None:
                encoded = name.encode()
                replies.append(_reply(option, wire.REP_SERVER,
                                      _U32.pack(len(encoded)) + encoded + export.description.encode()))
        return b"".join(replies) + _reply(option, wire.REP_ACK)

    def _info(self, option: int, data: bytes) -> bytes:
        """INFO and GO: the same question, but GO begins the transmission phase."""
        name, at = _counted_text(data, 0)
        try:
            (count,) = _U16.unpack_from(data, at)
            wanted = Struct(f">{count}H").unpack(data[at + _U16.size:])
        except StructError:
            raise _Invalid("list of information requests does not fit its count") from None
        export = self._find(name)
        if export is None:
            return _reply(option, wire.REP_ERR_UNKNOWN, f"no export {name!r}".encode())
        facts = [wire.INFO_EXPORT_DATA.pack(wire.INFO_EXPORT, export.size_bytes, export.flags(self._structured))]
        if wire.INFO_NAME in wanted:
            facts.append(_U16.pack(wire.INFO_NAME) + export.name.encode())
        if wire.INFO_DESCRIPTION in wanted:
            facts.append(_U16.pack(wire.INFO_DESCRIPTION) + export.description.encode())
        if wire.INFO_BLOCK_SIZE in wanted:
            facts.append(wire.INFO_BLOCK_SIZE_DATA.pack(wire.INFO_BLOCK_SIZE, 1, PREFERRED_BLOCK_BYTES,
                                                        PAYLOAD_BYTES_MAX))
        if option == wire.OPT_GO:
            self._begin(export)
        return b"".join(_reply(option, wire.REP_INFO, fact) for fact in facts) + _reply(option, wire.REP_ACK)

    def _structured_reply(self, option: int, data: bytes) -> bytes:
        if data:
            raise _Invalid("STRUCTURED_REPLY takes no data")
        self._structured = True
        return _reply(option, wire.REP_ACK)

    def _meta_context(self, option: int, data: bytes) -> bytes:
        """LIST_META_CONTEXT and SET_META_CONTEXT: base:allocation is the only context there is."""
        if option == wire.OPT_SET_META_CONTEXT:
            self._contexts = ()  # a new request replaces the former, also when it fails
        if not self._structured:
            raise _Invalid("meta contexts need structured replies")
        name, at = _counted_text(data, 0)
        queries, at = _queries(data, at)
        if at != len(data):
            raise _Invalid("data after the last query")
        export = self._find(name)
        if export is None:
            return _reply(option, wire.REP_ERR_UNKNOWN, f"no export {name!r}".encode())
        listing = option == wire.OPT_LIST_META_CONTEXT
        if not (wire.CONTEXT_BASE_ALLOCATION in queries or (listing and (not queries or "base:" in queries))):
            return _reply(option, wire.REP_ACK)
        if not listing:
            self._contexts, self._contexts_export = (BASE_ALLOCATION_ID,), export.name
        context_id = 0 if listing else BASE_ALLOCATION_ID
        return (_reply(option, wire.REP_META_CONTEXT,
                       _U32.pack(context_id) + wire.CONTEXT_BASE_ALLOCATION.encode())
                + _reply(option, wire.REP_ACK))

    _ANSWERS: ClassVar[dict[int, Callable[[Handshake, int, bytes], bytes]]] = {
        wire.OPT_EXPORT_NAME: _export_name,
        wire.OPT_ABORT: _abort,
        wire.OPT_LIST: _list,
        wire.OPT_INFO: _info,
        wire.OPT_GO: _info,
        wire.OPT_STRUCTURED_REPLY: _structured_reply,
        wire.OPT_LIST_META_CONTEXT: _meta_context,
        wire.OPT_SET_META_CONTEXT: _meta_context,
    }

    def _find(self, name: str) -> ExportInfo | None:
        """The export of that name; the empty name means the only export there is."""
        export = self._exports.find(name)
        if export is None and not name:
            names = self._exports.names()
            export = self._exports.find(names[0]) if len(names) == 1 else None
        return export

    def _begin(self, export: ExportInfo) -> bool:
        contexts = self._contexts if self._contexts_export == export.name else ()
        no_zeroes = bool((self._client_flags or 0) & wire.FLAG_NO_ZEROES)
        self.outcome = Negotiated(export, self._structured, contexts, no_zeroes)
        return no_zeroes


def _reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return wire.OPTION_REPLY.pack(wire.OPTION_REPLY_MAGIC, option, kind, len(data)) + data


def _text(data: bytes) -> str:
    if len(data) > wire.STRING_BYTES_MAX:
        raise _Invalid(f"a string of {len(data)} bytes, the limit is {wire.STRING_BYTES_MAX}")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _Invalid("a string is not UTF-8") from None


def _counted_text(data: bytes, at: int) -> tuple[str, int]:
    """A u32 length and that many bytes of text at `at`; returns the text and the position after it."""
    if len(data) < at + _U32.size:
        raise _Invalid("a length is missing")
    (length,) = _U32.unpack_from(data, at)
    at += _U32.size
    if length > len(data) - at:
        raise _Invalid(f"a string of {length} bytes does not fit the option")
    return _text(data[at:at + length]), at + length


def _queries(data: bytes, at: int) -> tuple[list[str], int]:
    if len(data) < at + _U32.size:
        raise _Invalid("the number of queries is missing")
    (count,) = _U32.unpack_from(data, at)
    at += _U32.size
    queries = []
    for _ in range(count):  # ends by _Invalid where the data end: at most OPTION_BYTES_MAX / 4 rounds
        query, at = _counted_text(data, at)
        queries.append(query)
    return queries, at
