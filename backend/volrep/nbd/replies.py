"""What a connection still has to send, in order: bytes, and ranges of volumes that stay in their file.

A range goes from the page cache to the client without a copy in between (sendfile). What the kernel does not take now
is taken from the file later: its bytes may then be newer, which no client can tell from a read that took longer.
"""

from __future__ import annotations

from typing import NamedTuple

from volrep.ports.files import BlockFile
from volrep.ports.streams import Buffer, Stream


class FileRange(NamedTuple):
    """The file itself, not its descriptor: once it is closed, nothing of another one can be sent in its place."""

    file: BlockFile
    offset: int
    length: int


class Replies:
    def __init__(self) -> None:
        self.queued_bytes = 0
        self._out: list[Buffer | FileRange] = []
        self._ranges = 0  # how many of _out are of files

    def add(self, *buffers: Buffer) -> None:
        """Memory that does not change until `flush` returns; nor later, if it is read-only."""
        for buffer in buffers:
            self._out.append(buffer)
            self.queued_bytes += len(buffer)

    def add_range(self, file: BlockFile, offset: int, length: int) -> None:
        self._out.append(FileRange(file, offset, length))
        self._ranges += 1
        self.queued_bytes += length

    def flush(self, stream: Stream) -> None:
        """Send what the kernel takes; what memory may change is copied from then on. Raises StreamClosed."""
        while self.queued_bytes:
            sent_bytes = self._send(stream)
            if sent_bytes == self.queued_bytes:
                self.clear()
            elif sent_bytes:
                self._drop(sent_bytes)
            else:
                self._out = [bytes(b) if isinstance(b, memoryview) and not b.readonly else b for b in self._out]
                return

    def clear(self) -> None:
        self._out.clear()
        self.queued_bytes = self._ranges = 0

    def _send(self, stream: Stream) -> int:
        """One call: all buffers up to the first range, or that range."""
        first = self._out[0]
        if isinstance(first, FileRange):
            return stream.send_file(first.file.fileno(), first.offset, first.length)
        if self._ranges:
            return stream.send(self._buffers())
        return stream.send(self._out)  # type: ignore[arg-type] # no range is among them

    def _buffers(self) -> list[Buffer]:
        found: list[Buffer] = []
        for item in self._out:
            if isinstance(item, FileRange):
                break
            found.append(item)
        return found

    def _drop(self, sent_bytes: int) -> None:
        """Take the first `sent_bytes` off the queue."""
        self.queued_bytes -= sent_bytes
        for index, item in enumerate(self._out):
            length = item.length if isinstance(item, FileRange) else len(item)
            if sent_bytes < length:
                del self._out[:index]
                if sent_bytes:
                    self._out[0] = _behind(item, sent_bytes)
                return
            self._ranges -= isinstance(item, FileRange)
            sent_bytes -= length
        raise AssertionError("more was sent than was queued")


def _behind(item: Buffer | FileRange, count: int) -> Buffer | FileRange:
    if isinstance(item, FileRange):
        return FileRange(item.file, item.offset + count, item.length - count)
    return memoryview(item)[count:]
