"""Regions out of the log, and the maps that carry them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.log.support import Log, a_write
from volrep.log.record import CONTINUES, RecordType
from volrep.model.errors import VolrepError
from volrep.ports.disk import DiskFile
from volrep.rvg.changes import ChangeMap, Stretch, empty_maps, full_maps, read_changes, unite, unknown_changes
from volrep.rvg.limits import REGION_BYTES
from volrep.rvg.maps import decode, encode, encoded_max_bytes
from volrep.volume.data import DataVolume

SIZE = 8 * REGION_BYTES


@pytest.fixture
def volumes(tmp_path: Path) -> list[DataVolume | None]:
    made: list[DataVolume | None] = []
    for index in range(2):
        path = tmp_path / f"dv{index}"
        path.write_bytes(bytes(SIZE))
        made.append(DataVolume(f"dv{index}", index, str(index), DiskFile.open(path)))
    return made


def test_a_stretch_of_the_log_says_what_it_wrote(tmp_path: Path, volumes: list[DataVolume | None]) -> None:
    log = Log(tmp_path / "srl")
    log.append(a_write(0, b"before"))
    fork_lsn = log.append(a_write(REGION_BYTES - 2, b"over an edge"), a_write(3 * REGION_BYTES, b"x", volume=1))
    log.append((int(RecordType.ROLE), 0, 0, 2, memoryview(b"{}")))
    log.append((int(RecordType.TRIM), 0, 5 * REGION_BYTES, 2 * REGION_BYTES, None))
    end_lsn = log.srl.end_lsn
    log.append(a_write(7 * REGION_BYTES, b"behind"))
    found = read_changes(log.srl, volumes, fork_lsn, end_lsn)
    assert [[found.maps[v].is_marked(n) for n in range(8)] for v in (0, 1)] == [
        [True, True, False, False, False, True, True, False], [False, False, False, True, False, False, False, False]]
    assert (found.since.writes, found.since.bytes, found.since.complete) == (3, 12 + 1 + 2 * REGION_BYTES, True)
    assert found.volume_writes == {0: [2, 12 + 2 * REGION_BYTES], 1: [1, 1]}
    about, maps = decode(encode(found.about(), found.maps))
    again = Stretch.of(about, maps)
    assert (again.from_lsn, again.end_lsn, again.since, again.volume_writes) == (
        fork_lsn, end_lsn, found.since, found.volume_writes)
    assert {i: m.to_bytes() for i, m in again.maps.items()} == {i: m.to_bytes() for i, m in found.maps.items()}


def test_a_stretch_that_is_not_whole_is_an_error(tmp_path: Path, volumes: list[DataVolume | None]) -> None:
    log = Log(tmp_path / "srl")
    lsn = log.append(a_write(0, b"one"))
    log.append(a_write(0, b"two"))
    for end_lsn in (log.srl.end_lsn - 8, log.srl.end_lsn + 64):
        with pytest.raises(VolrepError, match="VR-1502"):
            read_changes(log.srl, volumes, lsn, end_lsn)
    log.flip(lsn + 70)
    with pytest.raises(VolrepError, match="VR-1502"):
        read_changes(log.srl, volumes, lsn, log.srl.end_lsn)


def test_what_is_not_known_counts_as_written(volumes: list[DataVolume | None]) -> None:
    found = unknown_changes(volumes, 4096, 8192)
    assert not found.since.complete
    assert sum(m.marked_bytes for m in found.maps.values()) == 2 * SIZE


def test_marks_of_batches_and_their_union(volumes: list[DataVolume | None]) -> None:
    changes = ChangeMap(4096, empty_maps(volumes))
    changes.mark([a_write(0, b"x"), (int(RecordType.WRITE) | CONTINUES, 1, REGION_BYTES, 4, memoryview(b"more")),
                  (int(RecordType.ROLE), 0, 0, 2, memoryview(b"{}"))])
    other = empty_maps(volumes)
    other[0].mark(7 * REGION_BYTES, 1)
    unite(changes.maps, other)
    assert [m.count for m in changes.maps.values()] == [2, 1]
    with pytest.raises(ValueError, match="volume 5"):
        unite(changes.maps, {5: other[0]})


def test_maps_from_a_peer_are_bounded_and_checked(volumes: list[DataVolume | None]) -> None:
    whole = encode({"from_lsn": 1}, full_maps(volumes))
    assert len(whole) <= encoded_max_bytes([SIZE, SIZE])
    for at in range(0, len(whole), 7):
        with pytest.raises(ValueError, match=r"\w"):
            decode(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for said in (b"[]", b"{}", b'{"volumes": 3}', b'{"volumes": {"0": -1}}', b'{"volumes": {"x": 0}}',
                 b'{"volumes": {"0": 9}}', b"nonsense", b"[" * 50_000):
        with pytest.raises(ValueError, match=r"\w"):
            decode(_framed(said))


def _framed(text: bytes) -> bytes:
    """A file whose checksum is right, whatever it says."""
    from crc32c import crc32c

    body = len(text).to_bytes(4, "little") + text
    return b"VRC1" + crc32c(body).to_bytes(4, "little") + body
