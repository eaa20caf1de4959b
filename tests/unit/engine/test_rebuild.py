"""A rebuilding that is broken off leaves everything that it was built from."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.unit.engine.test_seal import fill
from volrep.engine.api import RestoreRequest
from volrep.engine.identity import ensure_certificate
from volrep.engine.paths import StateDir
from volrep.engine.rebuild import Rescue
from volrep.engine.seal import COPY_NAME, Copy, load_copy, save_copy
from volrep.engine.store import Store
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.ports.clock import SystemClock


@pytest.fixture
def paths(tmp_path: Path) -> StateDir:
    """Of an engine whose database is damaged and whose copy is whole."""
    made = StateDir(tmp_path)
    made.create()
    store = Store(made.store, SystemClock())
    fill(store)
    store.close()
    made.store.write_bytes(b"no database")
    return made


def rescue(paths: StateDir) -> Rescue:
    identity = ensure_certificate(paths.certificate, paths.private_key, "london")
    return Rescue(paths, VolrepError(messages.STORE_DAMAGED, path=paths.store, reason="a test"), name="london",
                  version="1", certificate=identity, listen="::", port=4145, clock=SystemClock(),
                  stopping=asyncio.Event())


def restore(paths: StateDir) -> None:
    asyncio.run(rescue(paths).restore(RestoreRequest(from_copy=True), "a test"))


def test_no_copy_that_is_written_on_the_way_lacks_anything(paths: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_copy(paths.store.with_name(COPY_NAME))
    assert before is not None
    saved: list[Copy] = []

    def save(path: Path, copy: Copy) -> None:
        saved.append(copy)
        save_copy(path, copy)

    monkeypatch.setattr("volrep.engine.store.save_copy", save)
    restore(paths)
    assert saved
    assert all(copy.tables == before.tables for copy in saved)
    store = Store(paths.store, SystemClock())
    assert [rvg.name for rvg in store.rvgs()] == ["r"]
    store.close()
