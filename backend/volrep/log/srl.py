"""The SRL: one file or device with two header slots and a ring of records.

Knows how bytes get into the ring and become durable, and which header slot is next. Must not know
what the records say, nor when anything should be synced: the RVG decides that.

The order of a run, which the asserts hold to: `open`, `volrep.log.recovery.scan`, `resume_at` the end
it found, raise the header's incarnation, `write_header`, then append.

Two things keep what an earlier run or lap left behind from passing for records:
- Behind every append the rest of the page is zeroed, at least one header's length. That costs
  nothing, as the page is written anyway (a partly written page would even have to be read first).
- The header says from which incarnation on records count behind `applied_lsn`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from volrep.log.header import SrlHeader, choose, encode_slot
from volrep.log.record import HEADER_BYTES
from volrep.log.ring import HEADER_AREA_BYTES, PAGE_BYTES, SLOT_BYTES, Ring, check_size
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.model.units import FIRST_LSN, MIB, Reign
from volrep.ports.files import BlockFile
from volrep.ports.streams import Buffer

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""

_FILL_BLOCK = memoryview(bytes(4 * MIB))  # some 1.6 ms of writing for one progress call
_PAGE_ZEROES = memoryview(bytes(2 * PAGE_BYTES))
_NEVER = 1 << 64  # above every LSN


class Srl:
    """An open SRL. Every method raises VolrepError when the disk fails; then nothing is appended any more."""

    def __init__(self, file: BlockFile, header: SrlHeader, counter: int) -> None:
        self.file = file
        self.header = header
        self.ring = Ring(HEADER_AREA_BYTES + header.capacity_bytes)
        self.end_lsn = -1  # not known before `resume_at`
        self.failed = False
        self._counter = counter
        self._written_tail_lsn = header.tail_lsn
        self._run = (header.role, header.incarnation)
        self._run_start_lsn = _NEVER

    @classmethod
    def create(cls, file: BlockFile, header: SrlHeader, on_progress: Progress | None = None, *,
               first_lsn: int = FIRST_LSN, over: Srl | None = None) -> Srl:
        """Prepare the whole file and open it at `first_lsn`.

        `over`: the log that is in this file now. Its header stays good until the new one takes its place, so that a
        crash leaves one of them; without it whatever the file holds is wiped first.
        Zeroes are really written: a later durable write then changes data only, and no extent of the
        file system has to be allocated or converted with it. Raises VR-1500, VR-1506.
        """
        check_size(file.size_bytes, name=file.path, dg=header.dg)
        header.capacity_bytes = Ring(file.size_bytes).capacity_bytes
        header.begin_lsn = header.tail_lsn = header.applied_lsn = header.durable_lsn = first_lsn
        if not header.history:
            header.history = [Reign(header.generation, first_lsn)]
        try:
            _fill(file, 0 if over is None else HEADER_AREA_BYTES, HEADER_AREA_BYTES + header.capacity_bytes,
                  on_progress)
        except OSError as error:
            raise VolrepError(messages.SRL_CREATE_FAILED, path=file.path, reason=_reason(error)) from error
        srl = cls(file, header, counter=0 if over is None else over._counter)
        srl.resume_at(first_lsn)
        srl._run_start_lsn = first_lsn
        srl.write_header()
        return srl

    @classmethod
    def open(cls, file: BlockFile) -> Srl:
        """Read the header. Raises VR-1501, VR-1504, VR-1507."""
        counter, header = choose(_read_slots(file), file.path)
        if not 0 < header.capacity_bytes <= file.size_bytes - HEADER_AREA_BYTES:
            raise VolrepError(messages.SRL_HEADER_DAMAGED, path=file.path,
                              reason=f"a ring of {header.capacity_bytes} bytes in {file.size_bytes} bytes")
        return cls(file, header, counter)

    def resume_at(self, lsn: int) -> None:
        """Append from `lsn` on: the end that recovery found, or where a Secondary's new stream starts."""
        assert lsn % 8 == 0, f"no record can start at LSN {lsn}"
        assert 0 <= lsn - self._written_tail_lsn <= self.ring.capacity_bytes, f"LSN {lsn} is not in the log"
        self.end_lsn = lsn

    def restart(self, lsn: int) -> None:
        """A Secondary's stream begins anew at `lsn`: nothing the ring holds counts any more.

        The caller writes the header (with the positions as set here) before it appends. Raises VR-1510.
        """
        assert lsn % 8 == 0, f"no record can start at LSN {lsn}"
        header = self.header
        header.leave_behind(self.end_lsn)
        self.cut_at(lsn)
        header.begin_lsn = header.tail_lsn = header.applied_lsn = header.durable_lsn = lsn
        self._written_tail_lsn = self.end_lsn = lsn

    def cut_at(self, lsn: int) -> None:
        """The log ends at `lsn`, whatever the ring holds there. Raises VR-1510."""
        # First give up what is proved durable: a crash between the next two writes must leave a log that
        # ends early, not one that looks damaged.
        self.header.durable_lsn = self.header.applied_lsn
        self.write_header()
        self._blank(lsn, HEADER_BYTES)

    def end_here(self) -> None:
        """What an earlier run left behind the end passes for no record any more. Raises VR-1510.

        Needed where the header's `applied_lsn` stays before the end, and with it the incarnation from which records
        count.
        """
        self._blank(self.end_lsn, min(self.free_bytes, HEADER_BYTES))

    def _blank(self, lsn: int, length: int) -> None:
        try:
            for offset, part in self.ring.spans(lsn, length):
                self.file.write((_PAGE_ZEROES[:part],), offset, durable=True)
        except OSError as error:
            raise self._failure(error) from error

    @property
    def free_bytes(self) -> int:
        """What can be appended without overwriting what the written header still counts on."""
        return self.ring.capacity_bytes - (self.end_lsn - self._written_tail_lsn)

    def append(self, buffers: Sequence[Buffer], length: int, *, durable: bool) -> None:
        """Write `length` bytes of records behind the end. Raises VR-1510.

        The caller keeps `length` within `free_bytes`.
        """
        assert self.end_lsn >= 0, "append before resume_at"
        self._check_alive()
        after = self.end_lsn + length
        free = self.free_bytes - length
        assert free >= 0, f"{length} bytes at LSN {self.end_lsn} would overwrite the log's tail"
        zeroes = min(free, HEADER_BYTES + -(after + HEADER_BYTES) % PAGE_BYTES)
        page = (*buffers, _PAGE_ZEROES[:zeroes])
        edge = self.ring.to_edge(self.end_lsn)
        try:
            if length + zeroes <= edge:
                self.file.write(page, self.ring.offset(self.end_lsn), durable=durable)
            else:
                head, rest = split(page, edge)
                self.file.write(head, self.ring.offset(self.end_lsn), durable=durable)
                self.file.write(rest, HEADER_AREA_BYTES, durable=durable)
        except OSError as error:
            raise self._failure(error) from error
        self.end_lsn = after

    def sync(self) -> None:
        """Everything appended so far is durable on return. Raises VR-1510. Safe in another thread."""
        self._check_alive()
        try:
            self.file.sync()
        except OSError as error:
            raise self._failure(error) from error

    def sync_and_forget(self) -> None:
        """`sync`, and read from the disk from now on: what a failed write left in the cache does not count.

        Linux takes pages whose writing failed for clean, and a later sync succeeds. Raises VR-1510.
        """
        self.sync()
        self.file.drop_cache()

    @property
    def shown_lsn(self) -> int:
        """As `shown_of`, of a log whose end is known."""
        assert self.end_lsn >= 0, "the end is not known yet"
        return self.shown_of(self.end_lsn)

    def shown_of(self, end_lsn: int) -> int:
        """From here on the ring still has this log, which ends at `end_lsn`: what is needed, and half a ring at least
        of what is not.

        Half: nothing that is appended next comes near.
        """
        half_lsn = end_lsn - self.ring.capacity_bytes // 2
        return max(self.header.begin_lsn, min(self.header.tail_lsn, half_lsn))

    def read_into(self, view: memoryview, lsn: int) -> None:
        """Fill `view` with the stream's bytes from `lsn` on. Raises VR-1507."""
        done = 0
        for offset, length in self.ring.spans(lsn, len(view)):
            try:
                got = self.file.read_into([view[done:done + length]], offset)
                reason = "the file ends there"
            except OSError as error:
                got, reason = -1, _reason(error)
            if got != length:
                raise VolrepError(messages.SRL_READ_FAILED, path=self.file.path, length=length, lsn=lsn + done,
                                  reason=reason)
            done += length

    def prefetch(self, lsn: int, length: int) -> None:
        """These bytes of the stream are read next: the disk may work while the ones before are looked at."""
        for offset, part in self.ring.spans(lsn, length):
            self.file.prefetch(offset, part)

    def spans(self, lsn: int, length: int) -> list[tuple[int, int]]:
        """(file offset, length) of the stream's bytes [lsn, lsn + length), for sendfile."""
        return self.ring.spans(lsn, length)

    def write_header(self) -> None:
        """Write `header` to both slots, one after the other, durably. Raises VR-1505 (nothing written), VR-1510.

        What lies before its `tail_lsn` may be overwritten from now on. Both, because everything that follows relies on
        this header and none before it: a slot that rots later must leave one that says the same.
        """
        self._check_alive()
        header = self.header
        assert self.end_lsn >= 0, "write_header before resume_at"
        assert header.tail_lsn <= header.applied_lsn, "recovery starts at applied_lsn, which must still be there"
        self._note_run()
        for _ in range(2):
            slot = encode_slot(header, self._counter + 1)
            try:
                self.file.write((slot, _PAGE_ZEROES[:-len(slot) % PAGE_BYTES]), (self._counter + 1) % 2 * SLOT_BYTES,
                                durable=True)
            except OSError as error:
                raise self._failure(error) from error
            self._counter += 1
        self._written_tail_lsn = header.tail_lsn

    def _note_run(self) -> None:
        """Keep `applied_incarnation`: only a Primary's own records carry its header's incarnation."""
        header = self.header
        run = (header.role, header.incarnation)
        if run != self._run:
            self._run, self._run_start_lsn = run, self.end_lsn
        if header.role != "primary":
            header.applied_incarnation = 0
        elif header.applied_lsn >= self._run_start_lsn:
            header.applied_incarnation = header.incarnation

    def close(self) -> None:
        self.file.close()

    def _check_alive(self) -> None:
        if self.failed:
            raise VolrepError(messages.SYNC_FAILED, path=self.file.path, reason="it failed before")

    def _failure(self, error: OSError) -> VolrepError:
        """After a failed write or sync nobody knows what the disk holds: only recovery may look."""
        self.failed = True
        return VolrepError(messages.SYNC_FAILED, path=self.file.path, reason=_reason(error))


def _read_slots(file: BlockFile) -> list[bytearray]:
    """Both header slots, "" for one that the disk cannot read: the other one says the same. Raises VR-1507."""
    slots: list[bytearray] = []
    failures: list[OSError] = []
    for offset in (0, SLOT_BYTES):
        slot = bytearray(SLOT_BYTES)
        try:
            got = file.read_into([memoryview(slot)], offset)
        except OSError as error:
            failures.append(error)
            got = 0
        slots.append(slot[:got])
    if len(failures) == len(slots):
        raise VolrepError(messages.SRL_READ_FAILED, path=file.path, length=HEADER_AREA_BYTES, lsn=0,
                          reason=_reason(failures[0])) from failures[0]
    return slots


def split(buffers: Sequence[Buffer], at: int) -> tuple[list[Buffer], list[Buffer]]:
    """The buffers cut in two behind `at` bytes, without a copy."""
    for index, buffer in enumerate(buffers):
        if at < len(buffer):
            view = memoryview(buffer)
            return [*buffers[:index], view[:at]], [view[at:], *buffers[index + 1:]]
        at -= len(buffer)
    return list(buffers), []


def _fill(file: BlockFile, begin: int, size_bytes: int, on_progress: Progress | None) -> None:
    for offset in range(begin, size_bytes, len(_FILL_BLOCK)):
        step = min(len(_FILL_BLOCK), size_bytes - offset)
        file.write((_FILL_BLOCK[:step],), offset)
        if on_progress is not None:
            on_progress(offset + step, size_bytes)
    file.sync()


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
