"""What a log holds beyond a fork, kept in a file: only ever of the log that is there now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tests.unit.log.support import Log, a_header, a_write
from volrep.ports.disk import DiskFile
from volrep.ports.files import Folder
from volrep.ports.threads import Background
from volrep.rvg.divergence import Divergence
from volrep.rvg.limits import REGION_BYTES
from volrep.rvg.maps import MapStore, decode
from volrep.volume.data import DataVolume


class Files(dict[str, bytes]):
    """`Folder` in memory."""

    saves = 0

    def read(self, name: str) -> bytes:
        if name not in self:
            raise FileNotFoundError(name)
        return self[name]

    def save(self, name: str, data: bytes) -> None:
        self[name] = data
        self.saves += 1


class AtOnce:
    """`Background` without a thread."""

    def run(self, work: Callable[[], Any], done: Callable[[Any, Exception | None], None]) -> None:
        done(work(), None)


def found_in(folder: Files, log: Log, fork_lsn: int, volume: DataVolume) -> list[int]:
    """The regions that a process which starts now says were written beyond the fork."""
    background = cast("Background", AtOnce())
    maps = MapStore(cast("Folder", folder), background)
    said: list[bytes | None] = []
    Divergence(log.srl, [volume], maps, background).find(fork_lsn, log.srl.end_lsn, said.append)
    (data,) = said
    assert data is not None
    marked = decode(data)[1][0]
    return [region for region in range(8) if marked.is_marked(region)]


def a_log(path: Path, *regions: int) -> tuple[Log, int]:
    log = Log(path, header=a_header(rvg_id="same"))
    log.append(a_write(0, b"shared"))
    fork_lsn = log.srl.end_lsn
    for region in regions:
        log.append(a_write(region * REGION_BYTES, b"alone"))
    return log, fork_lsn


def test_what_was_kept_of_another_log_of_the_same_length_does_not_count(tmp_path: Path) -> None:
    """The host was put back to an older image and wrote as much again, elsewhere."""
    (tmp_path / "dv0").write_bytes(bytes(8 * REGION_BYTES))
    volume = DataVolume("dv0", 0, "0", DiskFile.open(tmp_path / "dv0"))
    folder = Files()
    first, fork_lsn = a_log(tmp_path / "srl", 1, 2)
    assert found_in(folder, first, fork_lsn, volume) == [1, 2]
    second, _ = a_log(tmp_path / "srl2", 5, 6)
    assert second.srl.end_lsn == first.srl.end_lsn
    assert found_in(folder, second, fork_lsn, volume) == [5, 6]


def test_what_was_kept_of_this_log_is_not_looked_for_again(tmp_path: Path) -> None:
    (tmp_path / "dv0").write_bytes(bytes(8 * REGION_BYTES))
    volume = DataVolume("dv0", 0, "0", DiskFile.open(tmp_path / "dv0"))
    folder = Files()
    log, fork_lsn = a_log(tmp_path / "srl", 3)
    assert found_in(folder, log, fork_lsn, volume) == [3]
    assert found_in(folder, log, fork_lsn, volume) == [3]
    assert folder.saves == 1
