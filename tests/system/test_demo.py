"""`volrep demo` without a terminal: it proves that both sides are equal, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.system.waiting import wait_for
from volrep.cli.demo_pair import first_difference

DEADLINE_S = 120


def _demo(folder: Path, *argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "volrep.cli.main", "demo", "--headless", *argv],
                            env=dict(os.environ, TMPDIR=str(folder)), stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _processes_in(folder: Path) -> list[str]:
    """Command lines that name the folder: engines, workers, helpers."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if str(folder).encode() in line:
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.fixture
def short_dir() -> Generator[Path]:
    """A folder whose path leaves room for the sockets below it."""
    with tempfile.TemporaryDirectory(prefix="vd-", dir="/tmp") as name:
        yield Path(name)


def test_a_headless_demo_finds_both_sides_equal_and_cleans_up(short_dir: Path) -> None:
    demo = _demo(short_dir, "--seconds", "3")
    out, err = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 0, err
    report = {name: value.strip() for name, _, value in (line.partition(":") for line in out.splitlines())}
    assert report["equal"] == "yes"
    assert all(int(report[volume].split()[0]) > 0 for volume in ("demo_dv01", "demo_dv02")), out
    assert list(short_dir.iterdir()) == []
    assert _processes_in(short_dir) == []


def test_an_interrupted_demo_ends_its_engines_and_removes_its_files(short_dir: Path) -> None:
    demo = _demo(short_dir, "--seconds", "60")
    try:
        wait_for(lambda: len(_processes_in(short_dir)) >= 4, DEADLINE_S, "two engines and two workers")
    finally:
        demo.send_signal(signal.SIGTERM)
        _, err = demo.communicate(timeout=DEADLINE_S)
    assert demo.returncode == 1, err
    assert list(short_dir.iterdir()) == [], err
    assert _processes_in(short_dir) == []


def test_one_differing_byte_is_found(tmp_path: Path) -> None:
    data = bytearray(os.urandom(3 << 20))
    left, right = tmp_path / "left", tmp_path / "right"
    left.write_bytes(data)
    right.write_bytes(data)
    assert first_difference(left, right) is None
    data[2_500_000] ^= 1
    right.write_bytes(data)
    assert first_difference(left, right) == 2_500_000
