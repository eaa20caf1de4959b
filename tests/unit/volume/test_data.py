"""What records do to data volumes, on real files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.log.support import a_write, stream
from volrep.log.record import CONTINUES, Cursor, Record, RecordType, Write, cut
from volrep.model.errors import VolrepError
from volrep.ports.disk import DiskFile
from volrep.ports.streams import IOV_MAX, Buffer
from volrep.volume.data import DataVolume, apply_records, apply_writes

SIZE = 1 << 20


class Counting(DiskFile):
    """Remembers the calls, to see what was joined."""

    calls: list[tuple[int, int]]

    def write(self, buffers: Sequence[Buffer], offset: int, *, durable: bool = False) -> None:
        self.calls.append((offset, sum(map(len, buffers))))
        super().write(buffers, offset, durable=durable)


@pytest.fixture
def volumes(tmp_path: Path) -> list[DataVolume]:
    made = []
    for index in range(2):
        path = tmp_path / f"dv0{index}"
        path.write_bytes(b"\xee" * SIZE)
        file = Counting.open(path)
        assert isinstance(file, Counting)
        file.calls = []
        made.append(DataVolume(f"dv0{index}", index, f"id{index}", file))
    return made


def content(volume: DataVolume) -> bytes:
    return Path(volume.file.path).read_bytes()


def calls(volume: DataVolume) -> list[tuple[int, int]]:
    assert isinstance(volume.file, Counting)
    return volume.file.calls


MIXED: list[Write] = [
    a_write(0, b"a" * 4096),
    a_write(4096, b"b" * 4096),
    a_write(8192, b"c" * 512, volume=1),
    a_write(100, b"d" * 50),
    a_write(4000, b"f" * 100),
    (RecordType.ZEROES, 0, 4000, 200, None),
    a_write(4200, b"e" * 10),
    (RecordType.TRIM, 1, 0, 65536, None),
    (RecordType.CHECKPOINT, 0, 0, 0, None),
    (RecordType.IBC, 0, 0, 3, memoryview(b"ibc")),
    (RecordType.WRITE | CONTINUES, 1, 4096, 3, memoryview(b"xyz")),
    a_write(4099, b"w" * 3, volume=1),
]


def expected() -> list[bytes]:
    first, second = bytearray(b"\xee" * SIZE), bytearray(b"\xee" * SIZE)
    first[:8192] = b"a" * 4096 + b"b" * 4096
    first[100:150] = b"d" * 50
    first[4000:4200] = bytes(200)
    first[4200:4210] = b"e" * 10
    second[:65536] = bytes(65536)
    second[4096:4102] = b"xyzwww"
    return [bytes(first), bytes(second)]


def test_a_batch_is_applied_in_order(volumes: list[DataVolume]) -> None:
    apply_writes(volumes, MIXED)
    assert [content(volume) for volume in volumes] == expected()


def test_records_do_what_the_writes_do(volumes: list[DataVolume]) -> None:
    data, records = stream(MIXED), list[Record]()
    cut(memoryview(data), 0, len(data), Cursor(4096), records)
    apply_records(volumes, memoryview(data), records)
    assert [content(volume) for volume in volumes] == expected()


def test_neighbouring_writes_become_one_call(volumes: list[DataVolume]) -> None:
    apply_writes(volumes, [a_write(n * 100, bytes([n]) * 100) for n in range(50)])
    assert calls(volumes[0]) == [(0, 5000)]
    apply_writes(volumes, [a_write(0, b"1"), a_write(1, b"2", volume=1), a_write(3, b"3", volume=1)])
    assert calls(volumes[0])[1:] == [(0, 1)]
    assert calls(volumes[1]) == [(1, 1), (3, 1)]


def test_joined_calls_are_bounded(volumes: list[DataVolume]) -> None:
    apply_writes(volumes, [a_write(n, bytes([n & 255])) for n in range(IOV_MAX + 1)])
    assert calls(volumes[0]) == [(0, IOV_MAX), (IOV_MAX, 1)]
    assert content(volumes[0])[:IOV_MAX + 1] == bytes(n & 255 for n in range(IOV_MAX + 1))


def test_nothing_reaches_beyond_a_volume(volumes: list[DataVolume]) -> None:
    for write in (a_write(SIZE - 1, b"xx"), (int(RecordType.ZEROES), 0, SIZE, 1, None),
                  (int(RecordType.TRIM), 0, 0, SIZE + 1, None)):
        with pytest.raises(VolrepError) as caught:
            apply_writes(volumes, [a_write(5, b"before"), write])
        assert caught.value.id == "VR-1513"
    assert content(volumes[0]) == b"\xee" * 5 + b"before" + b"\xee" * (SIZE - 11)


def test_a_volume_that_left_is_passed_over_one_that_never_was_is_an_error(volumes: list[DataVolume]) -> None:
    apply_writes([None, volumes[1]], [a_write(0, b"gone"), a_write(0, b"here", volume=1)])
    assert content(volumes[1])[:4] == b"here"
    with pytest.raises(VolrepError) as caught:
        apply_writes(volumes, [a_write(0, b"?", volume=2)])
    assert caught.value.id == "VR-1512"


def test_a_failing_disk_is_named(tmp_path: Path) -> None:
    file = DiskFile(os.open("/dev/full", os.O_RDWR), "/dev/full", SIZE, is_device=False)
    for write in (a_write(0, b"x"), (int(RecordType.ZEROES), 0, 0, 512, None)):
        with pytest.raises(VolrepError, match="data volume dv01") as caught:
            apply_writes([DataVolume("dv01", 0, "id", file)], [write])
        assert caught.value.id == "VR-1511"
    file.close()


def test_a_volume_changed_behind_the_workers_back_is_noticed(volumes: list[DataVolume]) -> None:
    volume = volumes[0]
    stamp = volume.stamp()
    assert volume.changed_behind(stamp) is None
    found = os.stat(volume.file.path)
    os.utime(volume.file.path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))
    assert "mtime_ns" in (volume.changed_behind(stamp) or "")
    assert volume.changed_behind(stamp, clean=False) is None
    assert "inode" in (volumes[1].changed_behind(stamp, clean=False) or "")
