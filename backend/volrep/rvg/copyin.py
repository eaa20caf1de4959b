"""The Secondary's side of a copy: regions written as they come, acknowledged when they are durable."""

from __future__ import annotations

from collections.abc import Callable

from volrep.link.frames import BadFrame
from volrep.link.receiver import Receiver
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.ports.reactor import Timer
from volrep.rvg.journal import Journal
from volrep.rvg.limits import REGION_SYNC_BYTES, REGION_SYNC_INTERVAL_S
from volrep.volume.data import DataVolume


class CopyIn:
    """`receiver` gives the connection in use, whose Primary waits for the acknowledgements; `keep` remembers how many
    region frames of the copy are durable, and says whether it could.
    """

    def __init__(self, journal: Journal, receiver: Callable[[], Receiver | None], keep: Callable[[int], bool]) -> None:
        self._journal = journal
        self._receiver = receiver
        self._keep = keep
        self._before = 0  # frames of the copy that came over earlier connections
        self._received = 0
        self._unsynced_bytes = 0
        self._syncing = False
        self._timer: Timer | None = None

    def begin(self, before_frames: int) -> None:
        """A connection has started: frames are counted from here, `before_frames` have come before."""
        self._before = before_frames
        self._received = self._unsynced_bytes = 0

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def region(self, volume: int, offset: int, data: memoryview | None, length: int) -> None:
        target = self._target(volume, offset, length)
        if self._journal.header.consistent:
            raise BadFrame("a region for volumes that are consistent")
        try:
            if data is not None:
                target.file.write([data], offset)
            elif any(is_data for _, _, is_data in target.file.extents(offset, length)):
                target.file.zero(offset, length, unmap=True)
        except OSError as error:
            self._journal.fail(VolrepError(messages.VOLUME_IO_FAILED, name=target.name, reason=error))
            return
        self._received += 1
        self._unsynced_bytes += length if data is not None else 0
        if self._unsynced_bytes >= REGION_SYNC_BYTES:
            self._sync()
        elif self._timer is None:
            self._sync_later()

    def _target(self, volume: int, offset: int, length: int) -> DataVolume:
        volumes = self._journal.volumes
        target = volumes[volume] if volume < len(volumes) else None
        if target is None or offset + length > target.file.size_bytes:
            raise BadFrame(f"a region of {length} bytes at {offset} of volume {volume} does not exist here")
        return target

    def _sync_later(self) -> None:
        loop = self._journal.loop
        self._timer = loop.call_at(loop.clock.monotonic_s() + REGION_SYNC_INTERVAL_S, self._sync)

    def _sync(self) -> None:
        """Acknowledge what is written so far as soon as it is durable."""
        self.stop()
        if self._syncing:
            return
        self._syncing = True
        self._unsynced_bytes = 0
        receiver, count = self._receiver(), self._received

        def done(_: None, error: Exception | None) -> None:
            self._syncing = False
            if error is not None:
                assert isinstance(error, VolrepError), error
                self._journal.fail(error)
                return
            acked = 0  # of a connection that has come since, whose frames have waited for this
            if receiver is self._receiver():
                if receiver is None or not self._keep(self._before + count):
                    return
                receiver.acknowledge_regions(count)
                acked = count
            if self._received > acked and self._timer is None:
                self._sync_later()

        self._journal.background.run(self._journal.sync_volumes, done)
