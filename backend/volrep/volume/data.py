"""Data volumes: what log records do to them.

Knows which record types change a volume and how neighbouring writes become one call. Must not know
when a record may be applied: the RVG decides that. Nothing is synced here; the SRL covers what is
not yet durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from volrep.log.record import CONTINUES, Record, RecordType, Write
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.ports.clock import Clock
from volrep.ports.files import BlockFile
from volrep.ports.streams import IOV_MAX, Buffer
from volrep.volume.writeback import Hurry, write_back_gently

_WRITE, _ZEROES, _TRIM = int(RecordType.WRITE), int(RecordType.ZEROES), int(RecordType.TRIM)


@dataclass(slots=True)
class DataVolume:
    """One data volume of an RVG, open."""

    name: str
    index: int  # within the RVG: what records carry
    volume_id: str
    file: BlockFile

    def sync(self) -> None:
        """Everything applied so far is durable on return (blocking). Raises VR-1510; never try it again."""
        try:
            self.file.sync()
        except OSError as error:
            raise VolrepError(messages.SYNC_FAILED, path=self.file.path, reason=error.strerror or error) from error

    def write_back(self, clock: Clock, hurry: Hurry) -> None:
        """So that `sync` has little to do (blocking). Raises VR-1510, as `sync` does."""
        try:
            write_back_gently(self.file, clock, hurry)
        except OSError as error:
            raise VolrepError(messages.SYNC_FAILED, path=self.file.path, reason=error.strerror or error) from error

    def stamp(self) -> dict[str, Any]:
        """What tells whether somebody else changed the volume; take it after the last sync before closing.

        A device has no times of its own: only its size counts.
        """
        inode, mtime_ns = self.file.identity()
        return {"size_bytes": self.file.size_bytes, "mtime_ns": mtime_ns, "inode": inode}

    def is_another(self, stamp: dict[str, Any]) -> bool:
        """Whether this is not the file that the stamp was taken of, whatever is in it. Devices cannot tell."""
        return bool(stamp.get("inode")) and stamp["inode"] != self.stamp()["inode"]

    def changed_behind(self, stamp: dict[str, Any], *, clean: bool = True) -> str | None:
        """What differs from `stamp`, in words for an event; None when nothing does.

        After a crash (`clean` False) the time proves nothing: the worker's own writes moved it.
        """
        now = self.stamp()
        for key in ("size_bytes", "inode", *(("mtime_ns",) if clean else ())):
            if key in stamp and stamp[key] != now[key]:
                return f"{key} was {stamp[key]}, is {now[key]}"
        return None


def apply_writes(volumes: Sequence[DataVolume | None], writes: Sequence[Write]) -> None:
    """Apply a batch in order, as `BatchEncoder.encode` takes it; None stands for a volume that left the RVG.

    Raises VR-1511, VR-1512, VR-1513; what came before the failing write has then been applied.
    """
    pending: list[Buffer] = []  # neighbouring writes, not yet written
    current, start, end = -1, 0, 0
    for kind, index, offset, length, payload in writes:
        if kind & ~CONTINUES == _WRITE and payload is not None:
            if index == current and offset == end and len(pending) < IOV_MAX:
                pending.append(payload)
            else:
                if pending:
                    _write(volumes, current, pending, start, end)
                pending = [payload]
                current, start = index, offset
            end = offset + length
        elif kind & ~CONTINUES in (_ZEROES, _TRIM):
            if pending:
                _write(volumes, current, pending, start, end)
                pending, current = [], -1
            _zero(volumes, index, offset, length, unmap=kind & ~CONTINUES == _TRIM)
    if pending:
        _write(volumes, current, pending, start, end)


def apply_records(volumes: Sequence[DataVolume | None], view: memoryview, records: Sequence[Record]) -> None:
    """Apply records that `volrep.log.record.cut` found in `view`, in order. As `apply_writes`."""
    apply_writes(volumes, [
        (kind, index, offset, length, view[start:end] if end > start else None)
        for kind, index, offset, length, start, end, _, _, _ in records])


def _write(volumes: Sequence[DataVolume | None], index: int, buffers: list[Buffer], start: int, end: int) -> None:
    volume = _volume(volumes, index, start, end - start)
    if volume is not None:
        try:
            volume.file.write(buffers, start)
        except OSError as error:
            raise _failure(volume, error) from error


def _zero(volumes: Sequence[DataVolume | None], index: int, offset: int, length: int, *, unmap: bool) -> None:
    volume = _volume(volumes, index, offset, length)
    if volume is not None:
        try:
            volume.file.zero(offset, length, unmap=unmap)
        except OSError as error:
            raise _failure(volume, error) from error


def _volume(volumes: Sequence[DataVolume | None], index: int, offset: int, length: int) -> DataVolume | None:
    if index >= len(volumes):
        raise VolrepError(messages.UNKNOWN_VOLUME_INDEX, index=index, count=len(volumes))
    volume = volumes[index]
    if volume is not None and offset + length > volume.file.size_bytes:
        raise VolrepError(messages.BEYOND_VOLUME, name=volume.name, offset=offset, length=length,
                          size_bytes=volume.file.size_bytes)
    return volume


def _failure(volume: DataVolume, error: OSError) -> VolrepError:
    return VolrepError(messages.VOLUME_IO_FAILED, name=volume.name, reason=error.strerror or str(error))
