"""Volumes come and go, and nothing is touched that somebody else may need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from volrep.model.errors import VolrepError
from volrep.ports.disk import DiskFile
from volrep.volume import provision
from volrep.volume.provision import adopt_volume, check_space, create_volume, destroy_volume


def test_a_new_volume_is_sparse_zeroes_of_exactly_its_size(tmp_path: Path) -> None:
    made = create_volume("dv01", tmp_path / "dv01", (1 << 40) + 512)
    found = (tmp_path / "dv01").stat()
    assert (made.size_bytes, found.st_size, found.st_mode & 0o777) == ((1 << 40) + 512, (1 << 40) + 512, 0o600)
    assert found.st_blocks * 512 < 1 << 20


def test_an_allocated_volume_has_its_space(tmp_path: Path) -> None:
    create_volume("srl", tmp_path / "srl", 1 << 20, allocate=True)
    assert (tmp_path / "srl").stat().st_blocks * 512 >= 1 << 20


@pytest.mark.parametrize("size_bytes", [0, -512, 1, 511, 513])
def test_a_size_that_is_not_whole_sectors_is_refused(tmp_path: Path, size_bytes: int) -> None:
    with pytest.raises(VolrepError, match="VR-1200"):
        create_volume("dv01", tmp_path / "dv01", size_bytes)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "dv01"
    path.write_bytes(b"precious")
    with pytest.raises(VolrepError, match="VR-1201"):
        create_volume("dv01", path, 512)
    assert path.read_bytes() == b"precious"


def test_too_little_space_is_refused_and_nothing_stays_behind(tmp_path: Path) -> None:
    with pytest.raises(VolrepError, match="VR-1202"):
        create_volume("srl", tmp_path / "srl", 1 << 50, allocate=True)
    with pytest.raises(VolrepError, match="VR-1205"):
        create_volume("dv01", tmp_path / "no" / "dv01", 512)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(VolrepError, match=str(1 << 60)):
        check_space("srl", tmp_path, 1 << 60)


def test_an_existing_file_is_adopted_as_it_is(tmp_path: Path) -> None:
    path, link = tmp_path / "dv01", tmp_path / "link"
    path.write_bytes(b"content " * 64)
    link.symlink_to(path)
    found = adopt_volume("dv01", link)
    assert (found.path, found.size_bytes, found.is_device) == (str(path), 512, False)
    assert path.read_bytes() == b"content " * 64


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "odd").write_bytes(b"odd")
    for name, identifier in (("empty", "VR-1203"), ("fifo", "VR-1203"), ("missing", "VR-1203"), ("odd", "VR-1200")):
        with pytest.raises(VolrepError, match=identifier):
            adopt_volume("dv01", tmp_path / name)
    with pytest.raises(VolrepError, match="neither a regular file nor"):
        adopt_volume("dv01", tmp_path)


def test_what_another_worker_holds_is_refused(tmp_path: Path) -> None:
    create_volume("dv01", tmp_path / "dv01", 512)
    holder = DiskFile.open(tmp_path / "dv01", exclusive=True)
    for action in (adopt_volume, destroy_volume):
        with pytest.raises(VolrepError, match="VR-1204"):
            action("dv01", tmp_path / "dv01")
    holder.close()
    adopt_volume("dv01", tmp_path / "dv01")


def test_what_is_mounted_is_refused_and_the_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_volume("dv01", tmp_path / "dv01", 512)
    monkeypatch.setattr(provision, "MOUNTS", tmp_path / "mounts")
    (tmp_path / "mounts").write_text(f"proc /proc proc rw 0 0\n{tmp_path / 'dv01'} /srv/data ext4 rw 0 0\n")
    with pytest.raises(VolrepError, match="mounted on /srv/data"):
        adopt_volume("dv01", tmp_path / "dv01")
    (tmp_path / "mounts").write_text("")
    monkeypatch.setattr(provision, "SWAPS", tmp_path / "swaps")
    (tmp_path / "swaps").write_text(f"Filename Type Size Used Priority\n{tmp_path / 'dv01'} file 8 0 -2\n")
    with pytest.raises(VolrepError, match="swap"):
        adopt_volume("dv01", tmp_path / "dv01")


def test_what_backs_a_loop_device_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_volume("dv01", tmp_path / "dv01", 512)
    monkeypatch.setattr(provision, "LOOP_DEVICES", tmp_path / "block")
    (tmp_path / "block" / "loop7" / "loop").mkdir(parents=True)
    (tmp_path / "block" / "loop7" / "loop" / "backing_file").write_text(f"{tmp_path / 'dv01'}\n")
    with pytest.raises(VolrepError, match="loop device /dev/loop7"):
        adopt_volume("dv01", tmp_path / "dv01")


def test_destroying_twice_is_fine(tmp_path: Path) -> None:
    create_volume("dv01", tmp_path / "dv01", 512)
    destroy_volume("dv01", tmp_path / "dv01")
    assert list(tmp_path.iterdir()) == []
    destroy_volume("dv01", tmp_path / "dv01")
