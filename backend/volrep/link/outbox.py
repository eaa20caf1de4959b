"""What a link still has to put on its stream, in order: bytes, and spans of the log that stay in their file.

Memory is bounded by construction: log bytes are never held (a span names them in the SRL), the sender adds a
region only to an empty outbox, and control frames are coalesced by their owners.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from volrep.ports.streams import Buffer, Stream

CONTROL_MAX = 256  # frames waiting: owners add when `idle` or on rare events, so a peer behind more reads nothing


class Outbox:
    def __init__(self, log_fd: int) -> None:
        self._log_fd = log_fd
        self._items: deque[Buffer | tuple[int, int]] = deque()

    @property
    def idle(self) -> bool:
        return not self._items

    @property
    def full(self) -> bool:
        return len(self._items) >= CONTROL_MAX

    def add(self, data: Buffer) -> None:
        assert not self.full, "outbox overrun"
        self._items.append(data)

    def add_spans(self, spans: Sequence[tuple[int, int]]) -> None:
        """(file offset, length) pieces of the SRL."""
        self._items.extend(spans)

    def clear(self) -> None:
        self._items.clear()

    def flush(self, stream: Stream) -> bool:
        """Send as much as the stream takes; whether everything is gone. Raises StreamClosed."""
        items = self._items
        while items:
            item = items[0]
            if isinstance(item, tuple):
                offset, length = item
                sent = stream.send_file(self._log_fd, offset, length)
                rest: Buffer | tuple[int, int] | None = (offset + sent, length - sent) if sent < length else None
            else:
                sent = stream.send([item])
                rest = memoryview(item)[sent:] if sent < len(item) else None
            if rest is None:
                items.popleft()
                continue
            items[0] = rest
            if not sent:
                return False
        return stream.flush()
