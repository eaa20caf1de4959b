"""Paths of the state directory: no two objects share one, none is too long for a socket."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from volrep.engine.paths import SOCKET_PATH_MAX_BYTES, StateDir, check_socket_path
from volrep.model.errors import VolrepError

NAMES = ["a", "a.", "a.b", "b", "b.c", "a.b.c", "c", "w-a", "a-b", "a_b", "a.b."]


def test_different_objects_have_different_files() -> None:
    paths = StateDir(Path("/s"))
    pairs = list(itertools.product(NAMES, NAMES))
    for path_of in (paths.worker_socket, paths.nbd_socket, paths.worker_log, paths.attach_dir):
        assert len({path_of(dg, name) for dg, name in pairs}) == len(pairs)


def test_a_path_that_no_socket_can_have_is_refused_with_its_length() -> None:
    fits = Path("/" + "x" * (SOCKET_PATH_MAX_BYTES - 1))
    assert check_socket_path(fits) == fits
    with pytest.raises(VolrepError, match=r"VR-1707.*has 108 bytes"):
        check_socket_path(Path(f"{fits}x"))


def test_a_state_directory_belongs_to_its_user_alone(tmp_path: Path) -> None:
    paths = StateDir(tmp_path / "s")
    paths.create()
    assert (paths.root.stat().st_mode & 0o777, paths.nbd.stat().st_mode & 0o777) == (0o700, 0o700)


def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VolrepError, match="VR-1708"):
        StateDir(tmp_path / "file" / "s").create()
