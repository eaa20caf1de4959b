"""Reads of data volumes: from the page cache at once, long ones without a copy; from the disk in a thread."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence

from volrep.nbd import wire
from volrep.nbd.connection import Connection
from volrep.ports.files import BlockFile
from volrep.ports.threads import Background
from volrep.rvg.limits import COLD_READ_MAX_BYTES
from volrep.volume.data import DataVolume

logger = logging.getLogger("volrep.rvg")

FROM_FILE_BYTES = 32 << 10
"""A read so long is sent from the page cache itself: its own two calls then cost less than copying it twice."""
SCRATCH_BYTES = 2 << 20  # answers of one submit; what does not fit gets memory of its own
EXTENTS_MAX = 4096  # of one block status answer; a client asks again from where it ends


class Reads:
    def __init__(self, volumes: Sequence[DataVolume | None], background: Background) -> None:
        self._volumes = volumes
        self._background = background
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._used = 0
        self._cold_bytes = 0
        self.reads = self.read_bytes = self.cold_reads = self.cold_waits = 0

    def read(self, connection: Connection, cookie: bytes, volume: int, offset: int, length: int) -> None:
        """Answer now if the page cache has it. The caller flushes the connection before its submit ends."""
        self.reads += 1
        self.read_bytes += length
        file = self._file(volume)
        try:
            if length >= FROM_FILE_BYTES and file.is_cached(offset, length):
                connection.reply_read_from(cookie, offset, length, file)
                return
            view = self._space(length)
            count = file.read_nowait([view], offset)
            if count != length and self._cold_bytes + length > COLD_READ_MAX_BYTES:
                self.cold_waits += 1
                count = file.read_into([view], offset)
        except OSError as error:
            self._failed(connection, cookie, volume, error)
            return
        if count == length:
            connection.reply_read(cookie, offset, view)
        else:
            self._read_cold(connection, cookie, volume, offset, length)

    def _space(self, length: int) -> memoryview:
        if length > SCRATCH_BYTES:
            return memoryview(bytearray(length))
        if self._used + length > SCRATCH_BYTES:
            self._scratch = memoryview(bytearray(SCRATCH_BYTES))  # the old one lives until its replies are sent
            self._used = 0
        start, self._used = self._used, self._used + length
        return self._scratch[start : self._used]

    def flushed(self) -> None:
        """All answers so far were taken or copied: the scratch may be used again."""
        self._used = 0

    def _read_cold(self, connection: Connection, cookie: bytes, volume: int, offset: int, length: int) -> None:
        self.cold_reads += 1
        self._cold_bytes += length
        file = self._file(volume)
        view = memoryview(bytearray(length))

        def done(count: int | None, error: Exception | None) -> None:
            self._cold_bytes -= length
            if error is not None or count != length:
                self._failed(connection, cookie, volume, error or OSError(errno.EIO, "short read"))
            else:
                connection.reply_read(cookie, offset, view.toreadonly())
            connection.flush_replies()

        self._background.run(lambda: file.read_into([view], offset), done)

    def _failed(self, connection: Connection, cookie: bytes, volume: int, error: Exception) -> None:
        logger.error("data volume %s: read failed: %s", self._file(volume).path, error)
        connection.reply_error(cookie, errno.EIO)

    def block_status(self, connection: Connection, cookie: bytes, volume: int, offset: int, length: int, *,
                     one: bool) -> None:
        """Answer with the extents from `offset` on; only the first when `one` (REQ_ONE)."""
        found: list[tuple[int, int]] = []
        try:
            for _, extent_bytes, is_data in self._file(volume).extents(offset, length):
                found.append((extent_bytes, 0 if is_data else wire.STATE_HOLE | wire.STATE_ZERO))
                if one or len(found) == EXTENTS_MAX:
                    break
        except OSError as error:
            self._failed(connection, cookie, volume, error)
            return
        connection.reply_block_status(cookie, found)

    def _file(self, volume: int) -> BlockFile:
        found = self._volumes[volume]
        assert found is not None
        return found.file
