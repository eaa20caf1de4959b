"""The starter of engines: ready means that the engine said so, and a failed start shows why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.system.engines import EngineProcess

_STAND_IN = f"""#!{sys.executable}
import os, signal, socket, sys
print("started with", sys.argv[1:], flush=True)
if os.environ.get("FAIL"):
    sys.exit("no disk")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"STATUS=recovering\\nREADY=1\\n", os.environ["NOTIFY_SOCKET"])
signal.pause()
"""


def _engine(folder: Path, monkeypatch: pytest.MonkeyPatch, **env: str) -> EngineProcess:
    program = folder / "volrep"
    program.write_text(_STAND_IN)
    program.chmod(0o755)
    monkeypatch.setattr("tests.system.engines.PROGRAM", program)
    return EngineProcess("london", folder / "state", folder / "log", env=env)


def test_an_engine_is_started_when_it_says_ready_and_again_after_a_kill(tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    engine = _engine(tmp_path, monkeypatch)
    engine.start("--port", "0")
    first = engine.pid
    engine.kill()
    engine.start()
    assert engine.pid != first
    engine.stop()
    assert "'--name', 'london', '--port', '0'" in engine.log.read_text()


def test_an_engine_that_ends_instead_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = _engine(tmp_path, monkeypatch, FAIL="1")
    with pytest.raises(AssertionError, match="no disk"):
        engine.start()
