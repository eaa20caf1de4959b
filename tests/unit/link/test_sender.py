"""The Primary's end: in which order log and regions leave."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

from tests.unit.link.test_session import Hand
from volrep.link.frames import U64, FrameType, frame, json_frame, parse_header
from volrep.link.negotiate import Detach, Hello, Refuse, Start, StartMode, Welcome
from volrep.link.sender import GATHER_BYTES, GATHER_DELAY_S, Sender
from volrep.model.units import Reign
from volrep.ports.reactor import Reactor
from volrep.ports.streams import Buffer

FIRST = 4096
HELLO = Hello(protocol=1, rds_id="r", link_id="l", host="london", rvg="rvg", history=[Reign(1, FIRST)],
              durable_lsn=FIRST, incarnation=1, volumes=[], sync_ack="network")


class Log:
    """`LogSource` whose positions the test moves."""

    def __init__(self) -> None:
        self.end_lsn = self.durable_lsn = self.applied_lsn = FIRST
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the test
        self.file.write(bytes(1 << 16))
        self.file.flush()

    def writes_since(self, lsn: int) -> int:
        return (self.end_lsn - lsn) // 8

    def log_fd(self) -> int:
        return self.file.fileno()

    def spans(self, lsn: int, length: int) -> Sequence[tuple[int, int]]:
        return [(lsn, length)]


class Owner:
    def welcomed(self, _: Welcome) -> Start | Detach:
        return Start(mode=StartMode.BEGIN, lsn=FIRST, order_id="o", consistent=False, history=[Reign(1, FIRST)],
                     sync_ack="network")

    def diverged(self, maps: bytes) -> None: ...

    def diverged_max_bytes(self) -> int:
        return 1 << 20

    def acked(self) -> None: ...

    def consistent(self, lsn: int) -> None: ...

    def refused(self, refuse: Refuse) -> None: ...

    def mismatch(self, reason: str) -> None:
        raise AssertionError(reason)

    def verify(self, lsn: int, length: int, crc: int) -> None:
        raise AssertionError(lsn)

    def verdict(self, lsn: int, length: int, damaged_lsn: int) -> None:
        raise AssertionError(lsn)

    def lost(self, reason: str, *, detach: bool) -> None: ...


class Regions:
    """There is always one more region."""

    def next_frame(self) -> tuple[Buffer, ...]:
        return (frame(FrameType.REGION_ZERO, U64.pack(4096)),)

    def acked(self, count: int) -> None: ...


class Wire:
    """A stream that takes everything, `room` sends at a time, and notes the frames."""

    name = "wire"

    def __init__(self) -> None:
        self.room = 0
        self.kinds: list[FrameType] = []

    def fileno(self) -> int:
        return 0

    def pending(self) -> bool:
        return False

    def flush(self) -> bool:
        return True

    def recv_into(self, view: memoryview) -> int:
        return -1

    def send(self, buffers: Sequence[Buffer]) -> int:
        if not self.room:
            return 0
        self.room -= 1
        self.kinds.append(FrameType(parse_header(memoryview(buffers[0])[:32])[0]))
        return sum(map(len, buffers))

    def send_file(self, _: int, __: int, length: int) -> int:
        return length

    def close(self) -> None: ...


class NoSockets(Reactor):
    """The wire of this test is no file descriptor."""

    def register(self, fd: int, handler: object, *, reading: bool = True, writing: bool = False) -> None: ...

    def modify(self, fd: int, *, reading: bool, writing: bool) -> None: ...

    def unregister(self, fd: int) -> None: ...


def streaming(log: Log, wire: Wire, clock: Hand) -> tuple[Sender, NoSockets]:
    """A sender that has said HELLO and START."""
    loop = NoSockets(clock)
    wire.room = 2
    sender = Sender(wire, loop, log, Owner(), HELLO)
    welcome = Welcome(protocol=1, host="tokyo", order_id="", history=[], end_lsn=0, applied_lsn=0, consistent=False)
    said = json_frame(FrameType.WELCOME, welcome.data())
    sender.handle((FrameType.WELCOME, 0, 0, memoryview(said)[32:]))
    assert wire.kinds == [FrameType.HELLO, FrameType.START]
    wire.kinds.clear()
    wire.room = 100
    return sender, loop


def append(log: Log, sender: Sender, length: int) -> None:
    """As `Primary` does with each batch."""
    start_lsn = log.end_lsn
    sender.offer([bytes(length)], start_lsn, start_lsn + length)
    log.end_lsn = log.durable_lsn = log.applied_lsn = start_lsn + length
    sender.committed()


def test_small_batches_for_a_secondary_that_nobody_waits_for_gather_for_a_moment() -> None:
    log, wire, clock = Log(), Wire(), Hand()
    sender, loop = streaming(log, wire, clock)
    sender.gathers = True
    for _ in range(3):
        append(log, sender, 4096)
    assert not wire.kinds
    clock.now_s += GATHER_DELAY_S
    loop.turn()
    assert wire.kinds == [FrameType.LOG]  # one frame, which says that all of it is durable: no COMMIT follows
    assert sender.sent_lsn == log.end_lsn == FIRST + 3 * 4096
    log.file.close()


def test_what_gathers_leaves_at_once_when_it_is_worth_a_frame() -> None:
    log, wire, clock = Log(), Wire(), Hand()
    sender, _ = streaming(log, wire, clock)
    sender.gathers = True
    for _ in range(GATHER_BYTES // 4096 - 1):
        append(log, sender, 4096)
    assert not wire.kinds
    append(log, sender, 4096)
    assert wire.kinds == [FrameType.LOG]
    append(log, sender, GATHER_BYTES)
    assert (wire.kinds, sender.sent_lsn) == ([FrameType.LOG] * 2, log.end_lsn)
    log.file.close()


def test_a_secondary_that_applications_wait_for_gets_every_batch_before_its_sync() -> None:
    log, wire, clock = Log(), Wire(), Hand()
    sender, _ = streaming(log, wire, clock)
    sender.offer([bytes(4096)], FIRST, FIRST + 4096)
    assert wire.kinds == [FrameType.LOG]
    log.file.close()


def test_a_region_is_read_only_when_the_volumes_hold_all_that_was_sent() -> None:
    """Otherwise the Secondary would write an older content over what it has applied from the log already."""
    log, wire = Log(), Wire()
    sender, _ = streaming(log, wire, Hand())
    sender.regions = Regions()
    log.end_lsn = log.durable_lsn = FIRST + 4096  # appended and durable, not yet in the volumes
    wire.room = 4
    sender.committed()
    assert wire.kinds == [FrameType.LOG]
    log.applied_lsn = log.end_lsn
    wire.room = 4
    sender.pump()
    assert wire.kinds[1:] == [FrameType.REGION_ZERO] * 4
    log.file.close()
