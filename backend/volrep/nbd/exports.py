"""What a server offers, as values: one `ExportInfo` per name, found through `Exports`.

Knows what a client may learn of an export and what a request may ask of it; not where the bytes are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from volrep.nbd import wire

# A volume keeps every promise that these flags make: flush covers all connections, because a completed write of any
# connection is already durable in the SRL; that is what CAN_MULTI_CONN asks.
_COMMON_FLAGS = (wire.FLAG_HAS_FLAGS | wire.FLAG_SEND_FLUSH | wire.FLAG_SEND_FUA | wire.FLAG_CAN_MULTI_CONN
                 | wire.FLAG_SEND_CACHE)
_WRITABLE_FLAGS = wire.FLAG_SEND_TRIM | wire.FLAG_SEND_WRITE_ZEROES


@dataclass(frozen=True, slots=True)
class ExportInfo:
    """One export: data volume `volume_index` of the RVG, under the name clients ask for."""

    name: str
    size_bytes: int
    volume_index: int
    read_only: bool = False
    description: str = ""

    def flags(self, structured: bool) -> int:
        """Transmission flags (FLAG_*) for a client; DF has a meaning with structured replies only."""
        return (_COMMON_FLAGS | (wire.FLAG_READ_ONLY if self.read_only else _WRITABLE_FLAGS)
                | (wire.FLAG_SEND_DF if structured else 0))


class Exports(Protocol):
    """The exports that one listener offers; asked at each handshake, so they may change between two."""

    def find(self, name: str) -> ExportInfo | None: ...

    def names(self) -> list[str]: ...


class ExportTable:
    """`Exports` over a dictionary. Names are unique: the last of two wins."""

    def __init__(self, infos: Iterable[ExportInfo] = ()) -> None:
        self._by_name = {info.name: info for info in infos}

    def find(self, name: str) -> ExportInfo | None:
        return self._by_name.get(name)

    def names(self) -> list[str]:
        return list(self._by_name)

    def put(self, info: ExportInfo) -> None:
        self._by_name[info.name] = info

    def remove(self, name: str) -> None:
        self._by_name.pop(name, None)
