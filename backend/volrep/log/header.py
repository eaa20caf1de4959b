"""The header of an SRL: two alternating slots, each a frame around canonical JSON. It does no I/O.

Knows the frame, which of two slots counts, and the fields that belong to the log. Must not know
what `links` holds: that is the RVG's. Fields that a newer version added are kept and written back.

    offset  size  field     little endian
    0       4     magic     "VRH1"
    4       4     version   1
    8       8     counter   the valid slot with the higher one counts; its parity says which slot it is
    16      4     length    of the body
    20      4     crc       CRC32C of bytes 4 to 19 and the body
    24            body      JSON, UTF-8, sorted keys, no spaces

The frame stays as it is in every later version: an older reader can tell "newer" from "damaged".
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from crc32c import crc32c

from volrep.log.ring import SLOT_BYTES
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.model.units import Reign, Tail

VERSION = 1
# Role changes an SRL remembers. Two hosts whose common point lies further back copy everything.
HISTORY_MAX = 256

_MAGIC = b"VRH1"
_FRAME = struct.Struct("<4sIQII")
_CHECKED = struct.Struct("<IQI")  # version, counter, length: what the CRC covers before the body
BODY_MAX_BYTES = SLOT_BYTES - _FRAME.size  # some 250 volumes of 200 bytes, 32 links, 256 generations


ANY_GENERATION = 1 << 32  # above every generation that a record can carry


@dataclass(slots=True)
class SrlHeader:
    """What an SRL knows about itself and its RVG. Positions are LSNs."""

    rds_id: str
    rvg_id: str
    dg: str
    rvg: str
    host: str
    role: str  # "primary" or "secondary"
    generation: int
    capacity_bytes: int
    history: list[Reign] = field(default_factory=list)  # ascending
    incarnation: int = 0
    tail_lsn: int = 0  # everything before may be overwritten
    begin_lsn: int = 0  # what the ring holds of before is no part of this log
    applied_lsn: int = 0  # the data volumes are durable up to here
    durable_lsn: int = 0  # log end known durable when this header was written
    leftover_lsn: int = 0  # a Secondary's log was begun anew or cut: records of what it was may lie below this
    leftover_generation: int = ANY_GENERATION  # no record of what it was belongs to a later one
    # Records from applied_lsn on have at least this incarnation (kept by `volrep.log.srl`).
    applied_incarnation: int = 0
    clean: bool = False  # nothing was under way when the worker closed it
    consistent: bool = True
    consistent_after_lsn: int = 0  # not consistent before this has been applied; 0 = not known yet
    salvage: dict[str, Any] = field(default_factory=dict)  # `model.damage.Salvage`: the log was cut; empty: it was not
    distrust: str = ""  # why no copy counts as equal any more; cleared when the links have been told
    volumes: list[dict[str, Any]] = field(default_factory=list)  # index, name, size_bytes, volume_id, stamp
    links: dict[str, dict[str, Any]] = field(default_factory=dict)
    configured: dict[str, Any] = field(default_factory=dict)  # volrep.rvg.configured; {} when too long
    acting_secondary: bool = False  # was Primary, and has been superseded
    primary_primary: bool = False  # holds to its reign although another one is known
    rival: dict[str, Any] = field(default_factory=dict)  # the other reign: `model.status.Rival`; empty: none
    failback: dict[str, Any] = field(default_factory=dict)  # from_lsn, auto: regions are marked; empty: they are not
    kept_tails: list[Tail] = field(default_factory=list)  # `volrep.log.tails`; the newest last
    unknown: dict[str, Any] = field(default_factory=dict)  # fields of a newer version, written back

    def generation_at(self, lsn: int) -> int:
        """The generation that was in force at `lsn`; 0 before the history begins."""
        return max((reign.generation for reign in self.history if reign.start_lsn <= lsn), default=0)

    def leave_behind(self, end_lsn: int) -> None:
        """A Secondary's log up to `end_lsn` is no part of its log any more, but may still lie in the ring."""
        before = self.leftover_generation if self.leftover_lsn else 0
        self.leftover_lsn = max(self.leftover_lsn, end_lsn)
        self.leftover_generation = max(before, self.generation)


_FIELDS = tuple(f.name for f in fields(SrlHeader) if f.name != "unknown")


class BadSlot(Exception):
    """The slot holds no valid header; `str()` says why."""


def encode_slot(header: SrlHeader, counter: int) -> bytes:
    """The slot's bytes, without the zeroes behind them. Raises VR-1505 when they do not fit."""
    body_fields = dict(header.unknown)
    body_fields.update((name, getattr(header, name)) for name in _FIELDS)
    body_fields["history"] = header.history[-HISTORY_MAX:]
    body = _body(body_fields)
    if len(body) > BODY_MAX_BYTES:
        body = _body(body_fields | {"configured": {}})
    if len(body) > BODY_MAX_BYTES:
        raise VolrepError(messages.SRL_HEADER_FULL, rvg=header.rvg, size_bytes=len(body), limit_bytes=BODY_MAX_BYTES)
    crc = crc32c(body, crc32c(_CHECKED.pack(VERSION, counter, len(body))))
    return _FRAME.pack(_MAGIC, VERSION, counter, len(body), crc) + body


def _body(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode_slot(data: bytes | bytearray | memoryview, path: str) -> tuple[int, SrlHeader]:
    """(counter, header) of one slot. Raises BadSlot, or VR-1504 for an intact slot of a newer version."""
    if len(data) < _FRAME.size:
        raise BadSlot("too short")
    magic, version, counter, length, crc = _FRAME.unpack_from(data)
    if magic != _MAGIC:
        raise BadSlot("no header")
    if length > len(data) - _FRAME.size:
        raise BadSlot(f"length {length}")
    body = bytes(data[_FRAME.size:_FRAME.size + length])
    if crc32c(body, crc32c(_CHECKED.pack(version, counter, length))) != crc:
        raise BadSlot("CRC")
    if version > VERSION:
        raise VolrepError(messages.SRL_FORMAT_NEWER, path=path, found=version, known=VERSION)
    return counter, _from_body(body)


def _from_body(body: bytes) -> SrlHeader:
    try:
        found = json.loads(body)
        known = {name: found.pop(name) for name in _FIELDS if name in found}
        known["history"] = [_reign(*said) for said in known.get("history", ())]
        known["kept_tails"] = [Tail(*map(int, said)) for said in known.get("kept_tails", ())]
        known.setdefault("begin_lsn", known.get("tail_lsn", 0))
        return SrlHeader(**known, unknown=found)
    except (ValueError, TypeError, AttributeError) as error:  # intact, so somebody wrote it so
        raise BadSlot(f"body: {error}") from error


def _reign(generation: int, start_lsn: int, reign_id: str = "") -> Reign:
    """A line of history; reigns that began under older versions have no id."""
    return Reign(int(generation), int(start_lsn), str(reign_id))


def choose(slots: Sequence[bytes | bytearray | memoryview], path: str) -> tuple[int, SrlHeader]:
    """The valid slot with the higher counter. Raises VR-1501 when none is valid, VR-1504 when one is newer."""
    found: list[tuple[int, SrlHeader]] = []
    reasons: list[str] = []
    for slot in slots:
        try:
            found.append(decode_slot(slot, path))
        except BadSlot as bad:
            reasons.append(str(bad))
    if not found:
        raise VolrepError(messages.SRL_HEADER_DAMAGED, path=path, reason=", ".join(reasons))
    return max(found, key=lambda pair: pair[0])
