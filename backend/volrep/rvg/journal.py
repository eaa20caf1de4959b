"""The SRL and the data volumes of one RVG, as one thing: what is logged, what is applied, what is durable where.

Both roles use it. It keeps four positions in one stream:

    tail ... checkpoint ............ applied ......... durable ... end
             volumes durable,        written to        SRL synced  appended
             in the header           the volumes

and one rule: no byte of the ring is overwritten before the volumes are durable beyond it, every link has it
(`retain_lsn`), and the header says that it is given up. A checkpoint syncs the volumes in a thread, then writes the
header.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from volrep.log.header import SrlHeader
from volrep.log.record import Record, Write
from volrep.log.srl import Srl
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.ports.reactor import Loop
from volrep.ports.streams import Buffer
from volrep.ports.threads import Background
from volrep.rvg.limits import (
    CHECKPOINT_BYTES_MAX,
    CHECKPOINT_INTERVAL_S,
    CHECKPOINT_USED_PART,
    HEADER_INTERVAL_S,
    MARKS_MAX,
)
from volrep.volume.data import DataVolume, apply_records, apply_writes

logger = logging.getLogger("volrep.rvg")


class Journal:
    """Shell over Srl and DataVolumes; created by `rvg.opening.open_journal` after recovery."""

    def __init__(self, srl: Srl, volumes: Sequence[DataVolume | None], end_lsn: int, loop: Loop,
                 background: Background) -> None:
        self.srl = srl
        self.volumes = volumes
        self.end_lsn = self.durable_lsn = self.applied_lsn = end_lsn
        self.loop = loop
        self.background = background
        self.failure: VolrepError | None = None
        self.on_failure: Callable[[VolrepError], None] = _ignore
        self.on_room: Callable[[], None] = _nothing
        self.fill_header: Callable[[SrlHeader], None] = _ignore
        self.retain_lsn: Callable[[], int] = lambda: self.end_lsn
        self._checkpointing = False
        self._hurry = threading.Event()  # somebody waits for the checkpoint that is under way
        self._closed = False
        self._stream = 0  # raised when the log begins anew
        self._marks: deque[int] = deque([self.header.applied_lsn], maxlen=MARKS_MAX)
        self._header_due_s = loop.clock.monotonic_s() + HEADER_INTERVAL_S
        self._header_dirty = False
        loop.call_at(loop.clock.monotonic_s() + CHECKPOINT_INTERVAL_S, self._tick)
        if self.applied_lsn > self.checkpoint_lsn:  # what recovery has replayed: the ring may be full of it
            loop.call_at(loop.clock.monotonic_s(), self.checkpoint)

    @property
    def header(self) -> SrlHeader:
        return self.srl.header

    @property
    def capacity_bytes(self) -> int:
        return self.srl.ring.capacity_bytes

    @property
    def checkpoint_lsn(self) -> int:
        return self.header.applied_lsn

    def floor_lsn(self) -> int:
        """Nothing below it is needed any more."""
        return min(self.checkpoint_lsn, self.retain_lsn())

    def retained_lsn(self) -> int:
        """The oldest LSN whose bytes are still in the ring."""
        return self.header.tail_lsn

    def release_role(self) -> None:
        """Whoever had the role has it no more; the next one sets its own."""
        self.on_failure, self.on_room, self.fill_header = _ignore, _nothing, _ignore
        self.retain_lsn = lambda: self.end_lsn

    # room

    def has_room(self, length: int) -> bool:
        """Whether `length` bytes can be appended; moves the tail when that is all it takes. Raises VolrepError."""
        if self.srl.free_bytes >= length:
            return True
        if self.end_lsn + length - self.floor_lsn() > self.capacity_bytes:
            return False
        self._move_tail(self.floor_lsn())
        self.save_header()
        return self.srl.free_bytes >= length

    def _move_tail(self, lsn: int) -> None:
        self.header.tail_lsn = max(self.header.tail_lsn, min(lsn, self.floor_lsn()))

    def _keep_history(self) -> None:
        """At a checkpoint: give up what lies more than half a ring back, so that room is there before it is needed.

        What is kept beyond need lets a Secondary or a later Primary go on without a copy. The tail lies on an old
        checkpoint, hence on a record's beginning.
        """
        wanted_lsn = self.end_lsn - self.capacity_bytes // 2
        while len(self._marks) > 1 and self._marks[1] <= wanted_lsn:
            self._marks.popleft()
        if self._marks and self._marks[0] <= wanted_lsn:
            self._move_tail(self._marks[0])

    # appending

    def append(self, buffers: Sequence[Buffer], length: int) -> None:
        """Append and make durable. The caller has checked `room_bytes`. Raises VolrepError; the RVG is in FAIL then."""
        try:
            self.srl.append(buffers, length, durable=True)
        except VolrepError as error:
            self.fail(error)
            raise
        self.end_lsn += length
        self.durable_lsn = self.end_lsn

    def apply_writes(self, writes: Sequence[Write]) -> None:
        """Write what was just appended to the volumes (page cache: the SRL covers it)."""
        try:
            apply_writes(self.volumes, writes)
        except VolrepError as error:
            self.fail(error)
            raise
        self._applied()

    def apply_records(self, view: memoryview, records: Sequence[Record]) -> None:
        """The same for records as received."""
        try:
            apply_records(self.volumes, view, records)
        except VolrepError as error:
            self.fail(error)
            raise
        self._applied()

    def _applied(self) -> None:
        self.applied_lsn = self.end_lsn
        unsafe_bytes = self.applied_lsn - self.checkpoint_lsn
        if unsafe_bytes > min(self.capacity_bytes // CHECKPOINT_USED_PART, CHECKPOINT_BYTES_MAX):
            self.checkpoint()

    def fail(self, error: VolrepError) -> None:
        """The first failure decides; there is no way back but a restart after repair."""
        if self.failure is None:
            self.failure = error
            logger.error("%s: %s (%s)", error.id, error.text, error.hint)
            self.on_failure(error)

    # checkpoints

    def _tick(self) -> None:
        if self._closed or self.failure is not None:
            return
        now_s = self.loop.clock.monotonic_s()
        if self.applied_lsn > self.checkpoint_lsn:
            self.checkpoint()
        elif self._header_dirty and now_s >= self._header_due_s and not self.try_save_header():
            return
        self.loop.call_at(now_s + CHECKPOINT_INTERVAL_S, self._tick)

    def touch_header(self) -> None:
        """Something in the header changed that may wait for the next checkpoint or HEADER_INTERVAL_S."""
        self._header_dirty = True

    def save_header(self) -> None:
        """Write the header now. Raises VolrepError; the RVG is in FAIL then."""
        self.header.durable_lsn = self.durable_lsn
        self.fill_header(self.header)
        try:
            self.srl.write_header()
        except VolrepError as error:
            self.fail(error)
            raise
        self._header_dirty = False
        self._header_due_s = self.loop.clock.monotonic_s() + HEADER_INTERVAL_S

    def try_save_header(self) -> bool:
        """`save_header` for what no operator asked for: a failure has been told to everybody already."""
        try:
            self.save_header()
        except VolrepError:
            return False
        return True

    def checkpoint(self, *, hurry: bool = False) -> None:
        """Start one unless one is under way; `on_room` is called when it is done. `hurry`: somebody waits for that."""
        if hurry:
            self._hurry.set()
        if self._checkpointing or self._closed or self.failure is not None:
            return
        self._checkpointing = True
        reached_lsn, stream = self.applied_lsn, self._stream

        def done(_: None, error: Exception | None) -> None:
            self._checkpointing = False
            self._hurry.clear()
            if self._closed or self.failure is not None:
                return
            if error is not None:
                self.fail(error if isinstance(error, VolrepError) else _sync_failed(error))
                return
            if stream != self._stream:
                return  # the log began anew meanwhile: positions of the old one mean nothing in it
            self.header.applied_lsn = max(self.header.applied_lsn, reached_lsn)
            self._marks.append(reached_lsn)
            self._keep_history()
            if self.try_save_header():
                self.on_room()

        self.background.run(self._sync_gently, done)

    def _sync_gently(self) -> None:
        """`sync_volumes`, with little left to write when it comes to that. Raises VolrepError."""
        for volume in self.volumes:
            if volume is not None:
                volume.write_back(self.loop.clock, self._hurry)
        self.sync_volumes()

    def checkpoint_now(self) -> None:
        """A checkpoint while the caller waits (blocking). Raises VolrepError; the RVG is in FAIL then."""
        reached_lsn = self.applied_lsn
        try:
            self.sync_volumes()
        except VolrepError as error:
            self.fail(error)
            raise
        self.header.applied_lsn = max(self.header.applied_lsn, reached_lsn)
        self.save_header()

    def sync_volumes(self) -> None:
        """Everything applied so far is durable on return (blocking). Raises VolrepError."""
        for volume in self.volumes:
            if volume is not None:
                volume.sync()

    def restart_at(self, lsn: int) -> None:
        """A Secondary begins anew at `lsn`, whatever the ring holds. The caller saves the header."""
        self.srl.restart(lsn)
        self.end_lsn = self.durable_lsn = self.applied_lsn = lsn
        self._marks.clear()
        self._stream += 1

    def close(self, *, clean: bool) -> None:
        """Last checkpoint and header (blocking) when `clean`; then close all files."""
        if self._closed:
            return
        self._closed = True
        self._hurry.set()
        if clean and self.failure is None:
            self.sync_volumes()
            self.header.applied_lsn = self.applied_lsn
            self.header.clean = True
            for said in self.header.volumes:
                volume = self.volumes[said["index"]]
                if volume is not None:
                    said["stamp"] = volume.stamp()
            self.save_header()
        for volume in self.volumes:
            if volume is not None:
                volume.file.close()
        self.srl.file.close()


def _sync_failed(error: Exception) -> VolrepError:
    return VolrepError(messages.SYNC_FAILED, path="data volumes", reason=error)


def _ignore(_: object) -> None:
    """Until the role sets its own."""


def _nothing() -> None:
    """Until the role sets its own."""
