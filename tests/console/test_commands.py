"""Running commands, keeping logs, asking for lists: the parts of the console without a screen."""

from __future__ import annotations

import asyncio
import io
import json
import os
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.console.conftest import Fake
from tests.console.test_stanzas import GOLDEN
from volrep.cli.grammar import Parsed, build
from volrep.menus.extract import fill_words
from volrep.menus.load import load
from volrep.model.errors import VolrepError
from volrep.tui import journal as journals
from volrep.tui.editline import EditLine
from volrep.tui.journal import Journal
from volrep.tui.output import Splitter
from volrep.tui.palette import entries
from volrep.tui.plain import run
from volrep.tui.runner import Program, capture, start
from volrep.tui.source import Source
from volrep.tui.text import cell_len, clean, columns, set_cell_size

PYTHON = Program((sys.executable, "-c"))


async def test_an_interrupt_reaches_what_the_command_started() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import signal; print(1, flush=True); " \
             "signal.pause()'])"
    running = await start(PYTHON, [script], {}, 80)
    async with asyncio.timeout(20):
        async for _ in running.output():
            running.interrupt()
            running.interrupt()
    assert running.exit != 0


async def test_a_command_that_leaves_something_running_has_ended() -> None:
    script = "import subprocess, sys; subprocess.Popen(['sleep', '5']); print('left')"
    running = await start(PYTHON, [script], {}, 80)
    async with asyncio.timeout(4):  # less than the sleep, which holds our pipe
        chunks = [chunk async for _, chunk in running.output()]
    assert b"".join(chunks) == b"left\n"
    running.kill()


async def test_everything_a_command_says_arrives_in_order() -> None:
    script = "import sys\nfor n in range(50000): print(n)\nsys.stderr.write('end')"
    answer = await capture(PYTHON, [script], 30)
    assert answer.stdout == b"".join(b"%d\n" % n for n in range(50000))
    assert answer.stderr == b"end"


async def test_a_command_that_does_not_answer_is_given_up() -> None:
    with pytest.raises(VolrepError, match="VR-1833"):
        await capture(PYTHON, ["import time; time.sleep(60)"], 0.5)


async def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(VolrepError, match="VR-1841"):
        await capture(Program(("/nonexistent/volrep",)), [], 1)


async def test_lists_that_need_the_same_answer_ask_once(fake: Fake) -> None:
    source, lists = Source(fake.program), load().lists
    names = ("rds", "secondaries", "links_active", "links_paused")
    rows = await asyncio.gather(*(source.rows(lists[name], {}) for name in names))
    assert [len(each) for each in rows] == [1, 1, 1, 0]
    assert len((fake.directory / "called").read_text().splitlines()) == 1
    await source.rows(lists["rds"], {})
    assert len((fake.directory / "called").read_text().splitlines()) == 1
    await source.rows(lists["rds"], {}, fresh=True)
    source.forget()
    await source.rows(lists["rds"], {})
    assert len((fake.directory / "called").read_text().splitlines()) == 3


async def test_an_answer_that_is_not_json_is_told(tmp_path: Path) -> None:
    with pytest.raises(VolrepError, match="VR-1832"):
        await Source(Program((sys.executable, "-c", "print('no')"))).document(["x"], {}, fresh=True)


def test_logs_are_rotated_and_stay_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "ROTATE_BYTES", 200)
    journal = Journal(tmp_path / "s", PYTHON, lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    for number in range(30):
        journal.command(["do", f"number {number}"], "Do")
        journal.ended(["do", f"number {number}"], "Do", "do", 0, 0.5)
    files = sorted(path.name for path in (tmp_path / "s").iterdir())
    assert files == sorted(f"{name}{old}" for name in ("smit.log", "smit.script", "transactions.jsonl")
                           for old in ("", ".1", ".2", ".3"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "s").iterdir()} == {0o600}
    last = (tmp_path / "s" / "smit.script").read_text().splitlines()
    assert last[-4:] == ["#", "# [Jan 02 2026, 03:04:05]  Do", "#", "volrep do 'number 29'"]


def test_logs_that_cannot_be_written_do_not_stop_the_console(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file", PYTHON)
    journal.started()
    assert "smit.log" in journal.problem


def test_lines_of_output_are_as_a_terminal_would_leave_them() -> None:
    splitter = Splitter()
    assert splitter.feed(b"one\r\ntw") == ["one"]
    assert splitter.feed(b"o\n10%\r20%\r3") == ["two"]
    assert splitter.partial == "3"
    assert splitter.feed("0%\rdone ✓\n".encode()[:-3]) == []
    assert splitter.feed("0%\rdone ✓\n".encode()[-3:]) == ["done ✓"]


def test_what_a_terminal_must_not_see_is_made_visible() -> None:
    assert clean("a\x1b[31mb\tc\x9b") == "a␛[31mb c\N{REPLACEMENT CHARACTER}"


def test_columns_line_up_also_with_wide_characters() -> None:
    assert cell_len("東京") == 4
    assert set_cell_size("東京", 3) == "東 "
    first, *lines = columns([["Host", "X"], ["東京", "1"], ["london", "2"]])
    assert [cell_len(line) for line in (first, *lines)] == [9, 9, 9]


def test_a_long_value_is_seen_around_the_cursor() -> None:
    line = EditLine("0123456789", 10)
    assert line.window(5) == (6, "6789")
    line.press("home")
    assert line.window(5) == (0, "01234")
    assert EditLine("abc", 3).window(0) == (3, "")  # a terminal without room must not hang


@pytest.mark.parametrize(("keys", "text"), [
    (["backspace"], "one tw"), (["home", "delete"], "ne two"), (["home", "right", "ctrl+k"], "o"),
    (["ctrl+u"], ""), (["ctrl+w"], "one "), (["left", "ctrl+x"], "one tw"), (["home", "backspace"], "one two"),
])
def test_editing_keys(keys: list[str], text: str) -> None:
    line = EditLine("one two", 7)
    assert all(line.press(key) for key in keys)
    assert line.text == text


def test_the_palette_knows_every_screen_and_field() -> None:
    catalogue = load()
    found = list(entries(catalogue))
    assert {entry.target for entry in found if entry.weight == 1} == set(catalogue.screens) - {"volrep"}
    assert any(entry.found_by == "SRL volume (Create a Primary)" for entry in found)


def parsed(argv: list[str]) -> Parsed:
    """What the grammar of the command line itself makes of words, without running anything."""
    typed: list[Parsed] = []

    def keep(each: Parsed) -> int:
        typed.append(each)
        return 0

    build(keep, lambda *_: []).main(argv, "volrep", standalone_mode=False)
    (only,) = typed
    return only


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_the_command_line_takes_what_dialogs_make(name: str) -> None:
    argv = list(GOLDEN[name]["argv"])
    assert set(parsed(argv).verb.name.split()) <= set(argv)


@pytest.mark.parametrize("name", [each.id for each in load().lists.values() if each.command])
def test_the_command_line_takes_what_lists_ask(name: str) -> None:
    assert parsed(fill_words(load().lists[name].command, {})).options["json"]


async def plain(fake: Fake, tmp_path: Path, fastpath: str, *lines: str) -> str:
    target = io.StringIO()
    journal = Journal(tmp_path / "state", fake.program)
    source = io.StringIO("".join(f"{line}\n" for line in lines))
    assert await run(load(), fake.program, journal, fastpath, source=source, target=target) == 0
    return target.getvalue()


async def test_line_mode_runs_the_same_command(fake: Fake, tmp_path: Path) -> None:
    said = await plain(fake, tmp_path, "volrep", "Display", "1", "1", "long", "yes", "!", "r", "q")
    assert "$ volrep -g hrdg -l repstatus hr_rvg\ndone\nCommand: OK" in said
    assert fake.called() == [["-g", "hrdg", "-l", "repstatus", "hr_rvg"]]
    assert "repstatus" in (tmp_path / "state" / "transactions.jsonl").read_text()


async def test_line_mode_lists_validates_and_confirms(fake: Fake, tmp_path: Path) -> None:
    said = await plain(fake, tmp_path, "delpri_select", "hr_rvg", "r", "yes", "r", "hr_rvg", "<")
    assert "nothing was done" in said
    assert fake.called() == [["-g", "hrdg", "-s", "delpri", "hr_rvg"]]
    said = await plain(fake, tmp_path, "delpri", "1", "hrdg", "2", "hr_rvg", "r", "no", "q")
    assert "hr_rvg (disk group hrdg) will be dissolved on london" in said  # nobody typed the host
    said = await plain(fake, tmp_path, "delpri", "1", "hrdg", "2", "other", "r", "no", "q")
    assert "dissolved on (unknown primary)" in said
    said = await plain(fake, tmp_path, "volume_create", "4", "12q", "r", "1", "+", "tokyo", "q")
    assert "VR-1010" in said
    assert "VR-1820: Disk GROUP" not in said  # the first problem only, one at a time
    assert "1. * HOST: tokyo" in said


def test_entries_of_the_journal_hold_the_exact_words(tmp_path: Path) -> None:
    journal = Journal(tmp_path, PYTHON)
    journal.ended(["volume", "create", "a b"], "T", "t", 3, 1.25)
    entry = json.loads((tmp_path / "transactions.jsonl").read_text())
    assert entry["argv"] == ["volrep", "volume", "create", "a b"]
    assert (entry["exit"], entry["elapsed_s"]) == (3, 1.25)
    assert os.stat(tmp_path / "transactions.jsonl").st_uid == os.getuid()
