"""Copying regions while the log goes on: one machine for every way of choosing the regions.

The sender asks for region frames between log frames. A region is read in the loop at the moment its frame is queued,
so it holds every write whose record went out before it; writes that follow come in the log behind it. The Secondary is
equal again when it has applied the log up to where it was when the last region went out. Nothing of the log
needs to be kept for the copy, however long it takes.

A region that is not in the page cache is first read in a thread, thrown away, and then read again here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import chain

import crc32c

from volrep.link.frames import U64, FrameType, frame, frame_header
from volrep.link.receiver import ZERO_MAX_BYTES
from volrep.ports.clock import Clock
from volrep.ports.streams import Buffer
from volrep.ports.threads import Background
from volrep.rvg.limits import REGION_BYTES, REGION_WINDOW_BYTES
from volrep.volume.data import DataVolume
from volrep.volume.regions import RegionMap

_ZEROES = bytes(REGION_BYTES)
RATE_WINDOW_S = 5.0


class Resync:
    """`link.sender.Regions` for one link. `on_ready`: ask again; `on_copied`: every region is durable there."""

    def __init__(self, volumes: Mapping[int, DataVolume], maps: Mapping[int, RegionMap], background: Background,
                 clock: Clock, on_ready: Callable[[], None], on_copied: Callable[[], None]) -> None:
        self._volumes = volumes
        self.maps = maps
        self._background = background
        self._clock = clock
        self._on_ready = on_ready
        self._on_copied = on_copied
        self.total_bytes = self.left_bytes()
        self.sent_data_bytes = 0
        self._pieces: Iterator[tuple[int, int, int, bool]] = self._walk()
        self._next: tuple[int, int, int, bool] | None = None
        self._exhausted = False
        self._outstanding: deque[tuple[int, int, int]] = deque()
        self._outstanding_bytes = 0
        self.acked_frames = 0  # of the present connection
        self._warming = False
        self._warmed: tuple[int, int] | None = None
        self._unreadable: Exception | None = None
        self._finished = False
        self._buffer = bytearray(REGION_BYTES)
        self._view = memoryview(self._buffer)
        self._progress: deque[tuple[float, int]] = deque([(clock.monotonic_s(), self.left_bytes())], maxlen=64)

    def left_bytes(self) -> int:
        return sum(m.marked_bytes for m in self.maps.values())

    def rate_bytes_per_s(self) -> float:
        now_s, left = self._clock.monotonic_s(), self.left_bytes()
        if now_s - self._progress[-1][0] >= RATE_WINDOW_S / 16:
            self._progress.append((now_s, left))
        while len(self._progress) > 1 and now_s - self._progress[0][0] > RATE_WINDOW_S:
            self._progress.popleft()
        then_s, then_left = self._progress[0]
        return (then_left - left) / (now_s - then_s) if now_s > then_s else 0.0

    def rewind(self) -> None:
        """The connection is new: what was not acknowledged goes again."""
        self._outstanding.clear()
        self._outstanding_bytes = self.acked_frames = 0
        self._pieces = self._walk()
        self._next, self._exhausted = None, False
        self._unreadable = None

    def next_frame(self) -> tuple[Buffer, ...]:
        if self._unreadable is not None:
            raise self._unreadable
        if self._warming or self._outstanding_bytes >= REGION_WINDOW_BYTES or self._finished:
            return ()
        if self._next is None:
            self._next = next(self._pieces, None)
            if self._next is None:
                self._exhausted = True
                self._check_copied()
                return ()
        index, offset, length, is_data = self._next
        if not is_data:
            if not self._still_hole(index, offset, length):
                return self.next_frame()
            return self._queued(frame(FrameType.REGION_ZERO, U64.pack(length), lsn=offset, aux=index))
        view = self._view[:length]
        count = self._volumes[index].file.read_nowait([view], offset)
        if count != length:
            if self._warmed != (index, offset):
                self._warm(index, offset, length)
                return ()
            count = self._volumes[index].file.read_into([view], offset)
            assert count == length, f"volume {index} ends at {offset + count}"
        if _is_zero(self._buffer, length):
            return self._queued(frame(FrameType.REGION_ZERO, U64.pack(length), lsn=offset, aux=index))
        self.sent_data_bytes += length
        header = frame_header(FrameType.REGION, length=length, lsn=offset, aux=index, body_crc=crc32c.crc32c(view))
        return self._queued(header, view)

    def _still_hole(self, index: int, offset: int, length: int) -> bool:
        """A write may have come since the extents were asked, and its record gone out: then it is data."""
        if not any(is_data for _, _, is_data in self._volumes[index].file.extents(offset, length)):
            return True
        self._pieces = chain(((index, *piece) for piece in _data(offset, offset + length)), self._pieces)
        self._next = None
        return False

    def _queued(self, *buffers: Buffer) -> tuple[Buffer, ...]:
        assert self._next is not None
        index, offset, length, is_data = self._next
        self._next = None
        self._outstanding.append((index, offset, length))
        self._outstanding_bytes += length if is_data else 0
        return buffers

    def acked(self, count: int) -> None:
        """The first `count` frames since the connection began are durable on the Secondary."""
        while self.acked_frames < count and self._outstanding:
            index, offset, length = self._outstanding.popleft()
            self.maps[index].clear_range(offset, length)
            self.acked_frames += 1
        self._outstanding_bytes = sum(o[2] for o in self._outstanding if o[2] <= REGION_BYTES)
        self._check_copied()

    def _check_copied(self) -> None:
        if self._exhausted and not self._outstanding and not self._finished:
            self._finished = True
            self._on_copied()

    def _warm(self, index: int, offset: int, length: int) -> None:
        self._warming = True
        file = self._volumes[index].file
        scratch = memoryview(bytearray(length))

        def done(_: int | None, error: Exception | None) -> None:
            self._warming = False
            self._unreadable = error  # `next_frame` says so: the connection ends, and the copy is tried again
            self._warmed = (index, offset)
            self._on_ready()

        self._background.run(lambda: file.read_into([scratch], offset), done)

    def _walk(self) -> Iterator[tuple[int, int, int, bool]]:
        """(volume, offset, length, is_data) of all marked regions, in pieces that fit a frame."""
        for index, marked in self.maps.items():
            at = 0
            while (found := marked.next_marked(at, ZERO_MAX_BYTES)) is not None:
                offset, length = found
                at = offset + length
                for piece in _pieces(self._volumes[index].file.extents(offset, length), offset, at):
                    yield (index, *piece)


def _pieces(extents: Iterator[tuple[int, int, bool]], start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Cut at region boundaries: data in regions of REGION_BYTES, holes whole but only where whole regions are hole."""
    at = start
    for offset, length, is_data in extents:
        stop = min(end, offset + length)
        if is_data:
            continue
        hole_start = min(end, -(-max(offset, at) // REGION_BYTES) * REGION_BYTES)
        hole_end = stop if stop == end else stop // REGION_BYTES * REGION_BYTES
        if hole_end <= hole_start:
            continue
        yield from _data(at, hole_start)
        yield hole_start, hole_end - hole_start, False
        at = hole_end
    yield from _data(at, end)


def _data(start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    for offset in range(start, end, REGION_BYTES):
        yield offset, min(REGION_BYTES, end - offset), True


def _is_zero(buffer: bytearray, length: int) -> bool:
    if buffer[0] or buffer[length - 1]:
        return False
    return buffer == _ZEROES if length == REGION_BYTES else not any(buffer[:length])
