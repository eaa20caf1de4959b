"""What a connection owes its client, on real sockets and files: every byte once, in order, however little is taken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from volrep.nbd.replies import Replies
from volrep.ports.disk import DiskFile
from volrep.ports.streams import SocketStream, StreamClosed

SIZE = 1 << 20


class Ends:
    """A stream with the least send buffer there is, its other end, and a volume of random bytes."""

    def __init__(self, folder: Path) -> None:
        self.client, server = socket.socketpair()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        self.client.setblocking(False)
        self.stream = SocketStream(server, "test")
        self.data = Random(1).randbytes(SIZE)
        (folder / "volume").write_bytes(self.data)
        self.file = DiskFile.open(folder / "volume")

    def received(self) -> bytes:
        got = b""
        try:
            while data := self.client.recv(1 << 20):
                got += data
        except BlockingIOError:
            pass
        return got

    def close(self) -> None:
        self.client.close()
        self.stream.close()
        self.file.close()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    ends = Ends(tmp_path)
    yield ends
    ends.close()


@pytest.mark.parametrize("seed", range(20))
def test_bytes_and_ranges_arrive_in_their_order(ends: Ends, seed: int) -> None:
    random, replies, wanted, got = Random(seed), Replies(), b"", b""
    for _ in range(30):
        if random.random() < 0.5:
            offset = random.randrange(SIZE)
            length = random.randint(1, min(200_000, SIZE - offset))
            replies.add_range(ends.file, offset, length)
            wanted += ends.data[offset:offset + length]
        else:
            memory = bytearray(random.randbytes(random.randint(1, 60_000)))
            replies.add(b"header", memoryview(memory))
            wanted += b"header" + memory
            replies.flush(ends.stream)
            memory[:] = bytes(len(memory))  # it was sent, or is the queue's own by now
        if random.random() < 0.7:
            replies.flush(ends.stream)
            got += ends.received()
    while replies.queued_bytes:
        replies.flush(ends.stream)
        got += ends.received()
    assert got + ends.received() == wanted


def test_a_volume_that_was_closed_sends_nothing_of_the_file_that_has_its_descriptor_now(ends: Ends,
                                                                                      tmp_path: Path) -> None:
    replies = Replies()
    replies.add_range(ends.file, 0, 4096)
    ends.file.close()
    (tmp_path / "secret").write_bytes(b"secret" * 1000)
    with (tmp_path / "secret").open("rb"), pytest.raises(StreamClosed):
        replies.flush(ends.stream)
    assert ends.received() == b""


def test_a_file_that_ends_too_early_breaks_the_connection(ends: Ends) -> None:
    replies = Replies()
    replies.add_range(ends.file, SIZE - 100, 200)
    with pytest.raises(StreamClosed, match="ends before"):
        replies.flush(ends.stream)
    assert ends.received() == ends.data[-100:]
