"""The demo: what `make run` does, with and without a terminal; nothing of it is left, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.engines import PROGRAM
from tests.system.hosts import TestBed
from tests.system.terminal import Terminal
from tests.system.waiting import wait_for
from volrep.cli.demo_pair import first_difference

START_DEADLINE_S = 60
END_DEADLINE_S = 60


class Demo:
    """A demo whose files go to `folder`, so that what it leaves can be seen."""

    def __init__(self, folder: Path, *argv: str) -> None:
        self.folder = folder
        self.log = folder.with_name(f"{folder.name}.log")
        env = dict(os.environ, TMPDIR=str(folder))
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([PROGRAM, "demo", *argv], env=env, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)

    def said(self, words: str) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return words in self.log.read_text()

    def engines(self) -> list[int]:
        """Engines and workers, the primary's engine first."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                argv = entry.read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if any(os.fsencode(self.folder) in word for word in argv):
                found.append((b"--name" not in argv, b"london" not in argv, int(entry.parent.name)))
        return [pid for *_, pid in sorted(found)]

    def mounts(self) -> list[str]:
        return [line for line in Path("/proc/mounts").read_text().splitlines() if str(self.folder) in line]

    def assert_nothing_left(self) -> None:
        assert self.engines() == []
        assert self.mounts() == []
        assert list(self.folder.iterdir()) == []


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: those of unix sockets end at 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="vd") as made:
        path = Path(made) / "t"
        path.mkdir()
        yield path


def test_without_a_terminal_it_compares_both_sides_and_says_what_it_saw(folder: Path) -> None:
    demo = Demo(folder, "--seconds", "3")
    assert demo.process.wait(120) == 0, demo.log.read_text()
    report = demo.log.read_text()
    for pattern in (r"^demo_dv01: +[1-9]\d* writes", r"^demo_dv02: +[1-9]\d* writes", r"^equal: +yes$"):
        assert re.search(pattern, report, re.MULTILINE), report
    demo.assert_nothing_left()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing_behind(folder: Path, how: signal.Signals) -> None:
    demo = Demo(folder, "--seconds", "100")
    wait_for(lambda: demo.said("synchronizing"), START_DEADLINE_S, "the writers to run")
    demo.process.send_signal(how)
    assert demo.process.wait(END_DEADLINE_S) == 1
    demo.assert_nothing_left()


def test_a_killed_engine_fails_the_demo_and_leaves_nothing_behind(folder: Path) -> None:
    demo = Demo(folder, "--seconds", "100")
    wait_for(lambda: demo.said("synchronizing"), START_DEADLINE_S, "the writers to run")
    os.kill(demo.engines()[0], signal.SIGKILL)
    assert demo.process.wait(END_DEADLINE_S) == 1
    assert "VR-1340" in demo.log.read_text()
    demo.assert_nothing_left()


def test_on_a_terminal_it_opens_the_console_on_the_pair_and_ends_with_it(bed: TestBed, folder: Path) -> None:
    script = f"TMPDIR={folder} {PROGRAM} demo"
    with Terminal(bed.operator, bed.folder, ["sh", "-c", script], columns=100, lines=30) as terminal:
        terminal.until("F10", START_DEADLINE_S)
        terminal.keys("F10")
        assert terminal.exit_code(END_DEADLINE_S) == 0
    assert list(folder.iterdir()) == []


def test_a_terminal_that_goes_away_leaves_nothing_behind(bed: TestBed, folder: Path) -> None:
    terminal = Terminal(bed.operator, bed.folder, ["sh", "-c", f"TMPDIR={folder} {PROGRAM} demo"], columns=100)
    with terminal:
        terminal.until("F10", START_DEADLINE_S)
    wait_for(lambda: not list(folder.iterdir()), END_DEADLINE_S, "the demo to end")


def test_the_first_byte_that_differs_is_found(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(bytes(3 << 20))
    other.write_bytes(bytes(3 << 20))
    assert first_difference(one, other) is None
    with other.open("r+b") as file:
        file.seek((2 << 20) + 5)
        file.write(b"x")
    assert first_difference(one, other) == (2 << 20) + 5
    other.write_bytes(bytes(1 << 20))
    assert first_difference(one, other) == 1 << 20
