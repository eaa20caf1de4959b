"""The entry point: errors have an id and a hint, an exit code, and never a traceback."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from volrep.cli import command as entry
from volrep.cli.run import Run
from volrep.model.errors import VolrepError
from volrep.model.messages import CATALOGUE, usage


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir()  # as an engine leaves it; without one, reports go among temporary files
    monkeypatch.setenv("VOLREP_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("VOLREP_CONFIG_DIR", str(tmp_path / "config"))


def test_results_go_to_stdout_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["help", "startrep"]) == 0
    said = capsys.readouterr()
    assert "startrep RVG [SECONDARY]" in " ".join(said.out.split())
    assert said.err == ""


def test_help_explains_the_attributes_of_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["addsec", "--help"]) == 0
    assert "sync_ack=network|data" in capsys.readouterr().out


def test_an_error_is_an_id_a_text_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["volum", "list"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first == "VR-1000: volum is not a verb"
    assert second.startswith("hint: closest: volume")


def test_the_end_of_input_at_a_question_is_a_no_on_a_line_of_its_own() -> None:
    assert entry.main(["host", "add", "london", "local=/nowhere"]) == 0
    ours, theirs = os.openpty()
    with subprocess.Popen([sys.executable, "-m", "volrep.cli.main", "-f", "host", "remove", "london"], stdin=theirs,
                          stdout=theirs, stderr=theirs, start_new_session=True) as asking:
        os.close(theirs)
        said = b""
        while b"[y/N] " not in said:
            said += os.read(ours, 4096)
        os.write(ours, b"\x04")
        with contextlib.suppress(OSError):  # EIO: nobody holds the other end any more
            while data := os.read(ours, 4096):
                said += data
    os.close(ours)
    assert asking.returncode == 1
    assert "[y/N] \r\nVR-1031: " in said.decode().replace("^D\b\b", "")


@pytest.mark.parametrize("number", [n for n in CATALOGUE if n in (1000, 1110, 1310, 1330, 1700)])
def test_the_exit_code_is_that_of_the_message(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    message = CATALOGUE[number]
    values = {name: "x" for name in ("verb", "closest", "host", "address", "reason", "ssh", "volume", "dg", "size",
                                     "step", "problem", "undone", "left", "state_dir")}

    def refuse(_run: Run) -> int:
        raise VolrepError(message, **values)

    monkeypatch.setattr("volrep.cli.volume_verbs.list_volumes", refuse)
    assert entry.main(["volume", "list"]) == int(message.exit)


@pytest.mark.parametrize("words", [["--bogus", "volume", "list"], ["volume", "list", "--bogus"], ["-g"]])
def test_what_click_refuses_is_worded_like_everything_else(words: list[str],
                                                           capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(words) == 2
    assert capsys.readouterr().err.startswith(f"{usage.USAGE.id}: ")


def test_a_bug_becomes_a_report_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_run: Run) -> int:
        raise ZeroDivisionError("seven by nothing")

    monkeypatch.setattr("volrep.cli.volume_verbs.list_volumes", broken)
    assert entry.main(["-g", "hrdg", "volume", "list"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("VR-1090: ")
    assert "Traceback" not in said
    (report,) = (tmp_path / "state" / "crash").iterdir()
    assert str(report) in said
    assert "volrep -g hrdg volume list" in report.read_text()
    assert "ZeroDivisionError: seven by nothing" in report.read_text()
    assert report.stat().st_mode & 0o077 == 0


def test_reports_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_run: Run) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("volrep.cli.volume_verbs.list_volumes", broken)
    for _ in range(entry.REPORTS_MAX + 3):
        entry.main(["volume", "list"])
    assert len(list((tmp_path / "state" / "crash").iterdir())) == entry.REPORTS_MAX


def test_without_arguments_and_without_a_terminal_the_verbs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main([]) == 0
    assert "addsec" in capsys.readouterr().out


def test_a_confirmation_is_not_given_by_a_pipe(capsys: pytest.CaptureFixture[str],
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(run: Run) -> int:
        run.confirm(volume="v", dg="d", host="h", what="for good")
        return 0

    monkeypatch.setattr("volrep.cli.volume_verbs.destroy", ask)
    assert entry.main(["volume", "destroy", "v"]) == 3
    assert capsys.readouterr().err.startswith("VR-1030: ")
    assert entry.main(["-s", "volume", "destroy", "v"]) == 0
