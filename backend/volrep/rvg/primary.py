"""The Primary of an RVG: writes of all its volumes become one order.

    NBD connections --submit--> batch --commit--> links (live) + SRL (durable) --> replies --> volumes
                                                                                     ^
                     synchronous links in force must have acknowledged, too ---------'

A batch is whatever all connections brought in one turn of the loop; it is committed at the end of the turn with one
write and one sync. While that is under way the next batch gathers in the sockets. The replies leave before the volumes
are written, so that applications go on meanwhile; every read is answered in a later turn, so none can miss a write that
was completed before it (docs/decisions/0007-reply-before-apply.md).
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from volrep.link.negotiate import Claim
from volrep.log.record import BATCH_RECORDS_MAX, CONTINUES, HEADER_BYTES, BatchEncoder, RecordType, Write, record_bytes
from volrep.model.errors import VolrepError
from volrep.nbd import wire
from volrep.nbd.connection import Connection
from volrep.nbd.transmission import Request
from volrep.ports.clock import Clock
from volrep.rvg.journal import Journal
from volrep.rvg.lag import LagMeter
from volrep.rvg.limits import BATCH_COMMIT_BYTES, BATCH_COMMIT_RECORDS
from volrep.rvg.maps import MapStore
from volrep.rvg.outlink import OutLink
from volrep.rvg.reads import Reads
from volrep.rvg.tracking import Tracking

_WRITE, _WRITE_PART = int(RecordType.WRITE), int(RecordType.WRITE) | CONTINUES
_CMD_WRITE, _CMD_READ = wire.CMD_WRITE, wire.CMD_READ
_ZEROING = {wire.CMD_WRITE_ZEROES: int(RecordType.ZEROES), wire.CMD_TRIM: int(RecordType.TRIM)}


class Primary:
    """`nbd.connection.Service` and `link.sender.LogSource` of one RVG."""

    def __init__(self, journal: Journal, clock: Clock, reads: Reads, maps: MapStore,
                 emit: Callable[[str, str], None]) -> None:
        self.journal = journal
        self.clock = clock
        self.reads = reads
        self.emit = emit
        self.links: dict[str, OutLink] = {}
        self.lag = LagMeter(journal.end_lsn, clock.wall_ns())
        self.writes = self.written_bytes = self.batches = 0
        self.room_waits = 0
        self.heard: Callable[[Claim], None] = _unheard
        self.answered: Callable[[OutLink], None] = _unheard
        self.yielded: Callable[[str], None] = _unheard
        self.claim: Callable[[], Claim] = _no_claim
        self.tracking = Tracking(journal, maps)
        self.opened_lsn = journal.end_lsn  # what lies behind it was written by the applications of this run
        self._encoder = BatchEncoder()
        self._batch: list[Write] = []
        self._batch_bytes = 0
        self._owners: list[tuple[Connection, list[bytes]]] = []
        self._holding: list[Connection] = []
        self._behind: deque[tuple[Connection, list[Request]]] = deque()  # came while a full batch waits for room
        self._waiting: deque[tuple[int, Connection, list[bytes]]] = deque()
        self._last_time_ns = 0
        journal.on_room = self._on_room
        journal.retain_lsn = self._retain_lsn
        journal.on_failure = self._failed

    # the log as links see it

    @property
    def end_lsn(self) -> int:
        return self.journal.end_lsn

    @property
    def durable_lsn(self) -> int:
        return self.journal.durable_lsn

    @property
    def applied_lsn(self) -> int:
        return self.journal.applied_lsn

    def log_fd(self) -> int:
        return self.journal.srl.file.fileno()

    def spans(self, lsn: int, length: int) -> Sequence[tuple[int, int]]:
        return self.journal.srl.spans(lsn, length)

    def writes_since(self, lsn: int) -> int:
        return self.lag.behind(lsn, 0)[0]

    def _retain_lsn(self) -> int:
        return min((link.retain_lsn for link in self.links.values()), default=self.journal.end_lsn)

    # requests

    def submit(self, connection: Connection, requests: list[Request]) -> None:
        """Requests of one receive; see `nbd.connection.Service`."""
        assert connection.export is not None
        if self.journal.failure is not None:
            self._refuse(connection, requests)
            return
        if (self._behind or self._is_full()) and any(r[0] == _CMD_WRITE or r[0] in _ZEROING for r in requests):
            self._behind.append((connection, requests))
            return
        self._take(connection, requests)

    def _take(self, connection: Connection, requests: list[Request]) -> None:
        assert connection.export is not None
        volume = connection.export.volume_index
        batch, cookies = self._batch, []
        held = read = False
        for command, flags, cookie, offset, length, payload, last in requests:
            if command == _CMD_WRITE:
                batch.append((_WRITE if last else _WRITE_PART, volume, offset, length, payload))
                self._batch_bytes += record_bytes(length)
                held = True
                if last:
                    cookies.append(cookie)
            elif command == _CMD_READ:
                self.reads.read(connection, cookie, volume, offset, length)
                read = True
            elif command in _ZEROING:
                batch.append((_ZEROING[command], volume, offset, length, None))
                self._batch_bytes += HEADER_BYTES
                cookies.append(cookie)
            else:
                self._inform(connection, command, flags, cookie, offset, length)
        if read:
            connection.flush_replies()
            self.reads.flushed()
        self._gather(connection, cookies, held=held)

    def _gather(self, connection: Connection, cookies: list[bytes], *, held: bool) -> None:
        """Remember whom to answer for what joined the batch; commit at once when it is large."""
        if cookies:
            self._owners.append((connection, cookies))
        if held:
            self._holding.append(connection)
        if self._is_full():
            self.commit()

    def _is_full(self) -> bool:
        """A batch that large is committed at once; while it waits for room, none may grow beyond what a ring takes."""
        return self._batch_bytes >= BATCH_COMMIT_BYTES or len(self._batch) >= BATCH_COMMIT_RECORDS

    def _go_on(self) -> None:
        """What came while a full batch waited for room, in its order, up to the next full batch."""
        while self._behind and not self._is_full():
            self._take(*self._behind.popleft())

    def _inform(self, connection: Connection, command: int, flags: int, cookie: bytes, offset: int,
                length: int) -> None:
        """Requests that change nothing."""
        if command == wire.CMD_BLOCK_STATUS:
            assert connection.export is not None
            self.reads.block_status(connection, cookie, connection.export.volume_index, offset, length,
                                    one=bool(flags & wire.CMD_FLAG_REQ_ONE))
        else:  # FLUSH: every completed write is durable already; CACHE: nothing to promise
            connection.reply_writes([cookie])

    def _refuse(self, connection: Connection, requests: list[Request]) -> None:
        for _, _, cookie, _, _, _, last in requests:
            if last:
                connection.reply_error(cookie, errno.EIO)
        connection.release()
        connection.flush_replies()

    # the batch

    def commit(self) -> None:
        """Log, ship, apply and answer what has gathered. Called at the end of each turn, and when room appears."""
        if not self._batch or self.journal.failure is not None:
            return
        if not self.make_room(self._batch_bytes):
            self.room_waits += 1
            return
        batch, owners, holding = self._batch, self._owners, self._holding
        self._batch, self._owners, self._holding, self._batch_bytes = [], [], [], 0
        journal, header = self.journal, self.journal.header
        start_lsn = journal.end_lsn
        self._last_time_ns = time_ns = max(self.clock.wall_ns(), self._last_time_ns)
        buffers, end_lsn = self._encoder.encode(
            batch, lsn=start_lsn, generation=header.generation, incarnation=header.incarnation,
            timestamp_ns=time_ns, durable_lsn=journal.durable_lsn)
        self.tracking.mark(batch)
        for link in self.links.values():
            link.offer(buffers, start_lsn, end_lsn)
        try:
            journal.append(buffers, end_lsn - start_lsn)
            self.lag.add(end_lsn, len(batch), time_ns)
            self.writes += len(batch)
            self.written_bytes += end_lsn - start_lsn
            self.batches += 1
            for link in self.links.values():
                link.committed()
        except VolrepError:
            self._fail_batch(owners, holding)
            return
        self._complete(owners, end_lsn)
        if self._waiting:  # the Secondary has answered during the sync, as a rule: do not make it wait for the volumes
            for link in list(self.links.values()):
                link.listen()
        with suppress(VolrepError):  # in FAIL now, which `_failed` has dealt with; the log keeps the writes
            journal.apply_writes(batch)
        for link in self.links.values():
            link.applied()
        self._give_back(holding)

    def _give_back(self, holding: list[Connection]) -> None:
        for connection in holding:
            connection.release()
        if self._behind:
            self.journal.loop.call_soon(self._go_on)

    def log(self, writes: list[Write]) -> None:
        """Writes of no connection: what a takeover found in memory. Durable and applied on return.

        Raises VolrepError; the RVG is in FAIL then.
        """
        for start in range(0, len(writes), BATCH_RECORDS_MAX):
            self._batch = writes[start : start + BATCH_RECORDS_MAX]
            self._batch_bytes = sum(record_bytes(len(w[4]) if w[4] is not None else 0) for w in self._batch)
            if not self.make_room(self._batch_bytes):
                self.journal.checkpoint_now()
            self.commit()
            if self.journal.failure is not None:
                raise self.journal.failure
            assert not self._batch, "an SRL takes the tail of a log buffer once its volumes are synced"

    def _on_room(self) -> None:
        """A checkpoint was made."""
        self.tracking.save()
        self.commit()

    def make_room(self, length: int) -> bool:
        """Whether the SRL takes `length` bytes; links that stand in the way go STALE, a checkpoint is awaited."""
        journal = self.journal
        try:
            if journal.has_room(length):
                return True
            needed_lsn = journal.end_lsn + length - journal.capacity_bytes
            for link in self.links.values():
                if link.retain_lsn < needed_lsn:
                    link.overflow()
            if journal.has_room(length):
                return True
        except VolrepError:
            return False  # the journal has failed and told `_failed`, which has answered the batch
        journal.checkpoint(hurry=True)
        return False

    def _complete(self, owners: list[tuple[Connection, list[bytes]]], end_lsn: int) -> None:
        if self._waiting or self._sync_floor_lsn() < end_lsn:
            self._waiting.extend((end_lsn, connection, cookies) for connection, cookies in owners)
            self.release_waiting()
            return
        for connection, cookies in owners:
            connection.reply_writes(cookies)
            connection.flush_replies()

    def _sync_floor_lsn(self) -> int:
        """What every synchronous link in force has acknowledged."""
        return min((link.sync_acked_lsn for link in self.links.values() if link.in_force), default=1 << 63)

    def release_waiting(self) -> None:
        """Acknowledgements came, or a link fell out of force: complete what no longer waits."""
        waiting = self._waiting
        if not waiting:
            return
        floor_lsn = self._sync_floor_lsn()
        answered: dict[Connection, None] = {}
        while waiting and waiting[0][0] <= floor_lsn:
            _, connection, cookies = waiting.popleft()
            connection.reply_writes(cookies)
            answered[connection] = None
        for connection in answered:
            connection.flush_replies()

    @property
    def busy(self) -> bool:
        """Whether writes wait for room in the log."""
        return bool(self._batch or self._behind)

    def look_equal(self) -> None:
        """When every Secondary goes on with the log, there is nothing left to fail back."""
        if self.tracking.on and all(link.connected and link.mind.consistent and not link.mind.syncing
                                    for link in self.links.values()):
            self.tracking.stop()
            self.journal.try_save_header()

    def retire(self, reason: str) -> None:
        """The role ends here, or the worker: log what fits, forget what waits for room (it was never answered)."""
        self.commit()
        for link in self.links.values():
            link.close(reason)
        owners, holding = self._owners, self._holding
        self._batch, self._owners, self._holding, self._batch_bytes = [], [], [], 0
        self._waiting.clear()
        self._fail_batch(owners, holding)
        self._refuse_behind()

    # failure

    def _failed(self, _: VolrepError) -> None:
        for link in self.links.values():
            link.rvg_failed()
        owners, holding = self._owners, self._holding
        self._batch, self._owners, self._holding, self._batch_bytes = [], [], [], 0
        self._fail_batch(owners, holding)
        self._refuse_behind()

    def _refuse_behind(self) -> None:
        behind, self._behind = self._behind, deque()
        for connection, requests in behind:
            self._refuse(connection, requests)

    def _fail_batch(self, owners: list[tuple[Connection, list[bytes]]], holding: list[Connection]) -> None:
        for connection, cookies in owners:
            for cookie in cookies:
                connection.reply_error(cookie, errno.EIO)
        for connection in holding:
            connection.release()
        for connection, _ in owners:
            connection.flush_replies()


def _unheard(_: object) -> None:
    """Until the roles listen."""


def _no_claim() -> Claim:
    raise AssertionError("a Primary's claim is set before its links dial")
