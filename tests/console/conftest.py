"""The console under test talks to fake_volrep.py, a small real program that answers with canned JSON."""

from __future__ import annotations

import os

# Both change every picture, and Textual reads them at import.
for _name in ("NO_COLOR", "TEXTUAL_THEME"):
    os.environ.pop(_name, None)
os.environ["TZ"] = "UTC"

import json  # noqa: E402  # after the environment is what Textual may see
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from textual.widgets import Input  # noqa: E402

from volrep.menus.load import load  # noqa: E402
from volrep.tui.console import Console  # noqa: E402
from volrep.tui.journal import Journal  # noqa: E402
from volrep.tui.runner import Program  # noqa: E402

time.tzset()
FAKE = Path(__file__).with_name("fake_volrep.py")


class Fake:
    """The program, what it was called with, and what it shall do differently."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.program = Program((sys.executable, str(FAKE)), environment={"FAKE_VOLREP_DIR": str(directory)})

    def called(self) -> list[list[str]]:
        """Commands that were run, without those that only ask (--json)."""
        path = self.directory / "called"
        lines = path.read_text().splitlines() if path.exists() else []
        return [words for line in lines if "--json" not in (words := json.loads(line))]

    def answer(self, verb: str, document: object) -> None:
        """What `--json VERB` says from now on."""
        (self.directory / f"{verb.replace(' ', '_')}.json").write_text(json.dumps(document))


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


@pytest.fixture
def console(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Console]:
    """Makes a console that opens at a fast path."""
    monkeypatch.setattr(Input, "cursor_blink", False)
    journal = Journal(tmp_path / "state", fake.program)

    def make(fastpath: str = "volrep") -> Console:
        return Console(load(), fake.program, journal, fastpath)

    return make
