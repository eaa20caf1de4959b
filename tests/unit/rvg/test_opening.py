"""Opening an RVG after a crash, on real files: what is replayed, what is durable before it serves, and what a second
crash finds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.log.support import a_write
from volrep.log.record import BatchEncoder
from volrep.log.ring import SRL_MIN_BYTES
from volrep.model.config import RvgConfig
from volrep.ports.disk import DiskFile
from volrep.ports.streams import Buffer
from volrep.rvg.opening import Opened, create_srl, open_rvg

BLOCK = 4096
VOLUME_BYTES = 1 << 20


class Site:
    """One RVG of one volume; `open` begins a run, `crash` ends it as SIGKILL does."""

    def __init__(self, folder: Path, role: str = "primary") -> None:
        self.syncs = 0
        self.volume, self.srl = folder / "dv", folder / "srl"
        for path, size in ((self.volume, VOLUME_BYTES), (self.srl, SRL_MIN_BYTES)):
            path.write_bytes(bytes(size))
        self.config = RvgConfig.from_data({
            "rds_id": "rds", "rvg_id": "rvg", "dg": "dg", "name": "rvg", "host": "london", "role": role,
            "srl": {"index": -1, "name": "srl", "path": str(self.srl), "size_bytes": SRL_MIN_BYTES, "volume_id": "s"},
            "volumes": [{"index": 0, "name": "dv", "path": str(self.volume), "size_bytes": VOLUME_BYTES,
                         "volume_id": "v"}], "certificate_path": "", "private_key_path": ""})
        create_srl(self.config, DiskFile.open, "0" * 16)
        self.opened = self.open()

    def open(self) -> Opened:
        self.syncs = 0
        self.opened = open_rvg(self.config, self._file)
        return self.opened

    def _file(self, path: str, *, exclusive: bool = False) -> DiskFile:
        site = self

        class Counted(DiskFile):
            def sync(self) -> None:
                site.syncs += path == str(site.volume)
                super().sync()

        return Counted.open(path, exclusive=exclusive)

    def append(self, block: int, data: bytes) -> int:
        """One durable batch of one write, not applied; the LSN where it begins."""
        srl = self.opened.srl
        header, lsn = srl.header, srl.end_lsn
        buffers, end = BatchEncoder().encode(
            [a_write(block * BLOCK, data)], lsn=lsn, generation=header.generation, incarnation=header.incarnation,
            timestamp_ns=1, durable_lsn=lsn)
        srl.append(buffers, end - lsn, durable=True)
        return lsn

    def crash(self) -> None:
        for file in (self.opened.srl.file, *(v.file for v in self.opened.volumes if v is not None)):
            file.close()

    def block(self, number: int) -> bytes:
        return self.volume.read_bytes()[number * BLOCK:(number + 1) * BLOCK]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_was_replayed_is_left_to_the_first_checkpoint_and_replayed_again_until_then(site: Site) -> None:
    first_lsn = site.append(0, b"a" * BLOCK)
    site.crash()
    opened = site.open()
    assert (site.block(0), site.syncs) == (b"a" * BLOCK, 0)
    assert opened.srl.header.applied_lsn == first_lsn < opened.end.end_lsn == opened.srl.header.durable_lsn
    site.append(1, b"b" * BLOCK)
    site.crash()
    site.volume.write_bytes(bytes(VOLUME_BYTES))  # power: nothing of the volume had been synced
    assert site.open().end.records == 2
    assert (site.block(0), site.block(1)) == (b"a" * BLOCK, b"b" * BLOCK)


def test_what_lay_behind_the_end_of_an_earlier_recovery_never_comes_back(site: Site) -> None:
    """A record that could not be read then and can be now: it was not there when the last run began to serve."""
    site.append(0, b"a" * BLOCK)
    torn_lsn = site.append(1, b"b" * BLOCK)
    at = site.opened.srl.ring.offset(torn_lsn)
    site.crash()
    whole = site.srl.read_bytes()
    poke(site.srl, at + 2000, b"torn")
    assert site.open().end.end_lsn == torn_lsn
    site.crash()
    poke(site.srl, at + 2000, whole[at + 2000:at + 2004])
    assert site.open().end.end_lsn == torn_lsn
    assert site.block(1) == bytes(BLOCK)


def test_a_second_pass_over_the_log_reads_what_the_first_one_has_read(site: Site, monkeypatch: pytest.MonkeyPatch
                                                                       ) -> None:
    site.append(0, b"a" * BLOCK)
    site.crash()
    dropped = []
    monkeypatch.setattr(DiskFile, "drop_cache", lambda file: dropped.append(file.path))
    site.open()
    assert dropped == [str(site.srl)]


def test_a_short_write_to_the_page_cache_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(BLOCK))
    file = DiskFile.open(path)
    real = os.pwritev

    def short(fd: int, buffers: Sequence[Buffer], offset: int, flags: int) -> int:
        return real(fd, [memoryview(buffers[0])[:100]], offset, flags)

    monkeypatch.setattr(os, "pwritev", short)
    buffers: Sequence[Buffer] = (b"x" * 300,)
    file.write(buffers, 50)
    assert path.read_bytes()[:400] == bytes(50) + b"x" * 300 + bytes(50)


def poke(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
