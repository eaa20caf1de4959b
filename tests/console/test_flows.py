"""What an operator does, driven with Textual's pilot; the commands run are real processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from tests.console.conftest import Fake
from tests.console.fake_volrep import ANSWERS, REVIEWS
from tests.console.test_commands import plain
from volrep.tui.console import Console, screen_text
from volrep.tui.dialog import DialogScreen
from volrep.tui.live import ViewScreen
from volrep.tui.menu import MenuScreen
from volrep.tui.popups import ConfirmPopup, ListPopup, TextPopup
from volrep.tui.review import ReviewScreen
from volrep.tui.status import StatusScreen

Make = Callable[..., Console]
DEADLINE_S = 10.0


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Wait for something to become true on the screen."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await pilot.pause(0.01)


def shows(app: Console, text: str) -> Callable[[], bool]:
    return lambda: text in screen_text(app)


def on(app: Console, kind: type) -> Callable[[], bool]:
    return lambda: isinstance(app.screen, kind)


async def test_from_the_first_menu_to_a_running_command(console: Make, fake: Fake) -> None:
    app = console()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, MenuScreen))
        await pilot.press("down", "enter")
        await until(pilot, shows(app, "Display Configuration"))
        await pilot.press("enter")
        await until(pilot, shows(app, "Replication Status"))
        await until(pilot, on(app, DialogScreen))
        await pilot.press("enter")
        await until(pilot, shows(app, "Command: OK"))
        assert fake.called() == [["-g", "hrdg", "repstatus", "hr_rvg"]]
        await pilot.press("f3")
        assert isinstance(app.screen, DialogScreen)
        assert app.screen.form.values["rvg"] == "hr_rvg"
        await pilot.press("f3", "f3")
        assert screen_text(app).count("Volume Replication") == 1


async def test_lists_fill_the_field_and_what_the_row_carries(console: Make, fake: Fake) -> None:
    app = console("setuprds")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press("f4")
        await until(pilot, shows(app, "192.0.2.1"))
        await pilot.press("enter", "down", "f4")
        await until(pilot, shows(app, "192.0.2.2"))
        assert "192.0.2.1" not in screen_text(app)  # the Primary cannot be its own Secondary
        await pilot.press("enter", "down", "down", *"hr_rvg", "down", "f4")
        await until(pilot, shows(app, "hr_dv02"))
        assert screen_text(app).count("tokyo") == 1  # only volumes of the Primary
        await pilot.press("f7", "f7", "enter", "down", "f4")
        await until(pilot, shows(app, "hr_srl"))
        await pilot.press("enter", "down", "tab", "enter")
        await until(pilot, on(app, ConfirmPopup))
        assert "london" in screen_text(app)
        await pilot.press("tab", "enter")
        await until(pilot, shows(app, "Command: OK"))
    assert fake.called() == [["-g", "hrdg", "setup", "hr_rvg", "hr_dv01,hr_dv02", "hr_srl", "london", "tokyo",
                              "synchronous=override"]]


async def test_only_what_was_changed_is_sent(console: Make, fake: Fake) -> None:
    app = console("set_select")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shows(app, "override"))  # the current value, asked for
        await pilot.press("down", "down", "down", "tab")
        await until(pilot, shows(app, "$ volrep -g hrdg set hr_rvg tokyo synchronous=off"))
        await pilot.press("f5")
        await until(pilot, shows(app, "$ volrep -g hrdg set hr_rvg tokyo\n"))
        await pilot.press("tab", "f6")
        await until(pilot, on(app, TextPopup))
        await pilot.press("enter", "enter")
        await until(pilot, shows(app, "Command: OK"))
    assert fake.called() == [["-g", "hrdg", "set", "hr_rvg", "tokyo", "synchronous=off"]]


async def test_a_wrong_value_is_refused_before_anything_runs(console: Make, fake: Fake) -> None:
    app = console("volume_create")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press(*"london", "down", *"hrdg", "down", *"new.vol", "down", *"12q")
        await until(pilot, shows(app, "'12q' is not a size"))
        await pilot.press("enter")
        await until(pilot, shows(app, "VR-1010"))
        await pilot.press("enter", "backspace", "g", "enter")
        await until(pilot, shows(app, "Command: OK"))
    assert fake.called() == [["-H", "london", "-g", "hrdg", "volume", "create", "new.vol", "12g"]]


async def test_enter_on_a_question_cancels_and_destruction_wants_the_name(console: Make, fake: Fake) -> None:
    app = console("delpri_select")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shows(app, "hr_rvg  hrdg"))
        await pilot.press("enter")
        await until(pilot, on(app, DialogScreen))
        await pilot.press("enter")
        await until(pilot, on(app, ConfirmPopup))
        await pilot.press("enter", "enter")  # from the empty field to Cancel, and Cancel
        await until(pilot, on(app, DialogScreen))
        assert fake.called() == []
        await pilot.press("enter")
        await until(pilot, on(app, ConfirmPopup))
        await pilot.press(*"hr_rvg", "enter", "enter")
        await until(pilot, shows(app, "Command: OK"))
    assert fake.called() == [["-g", "hrdg", "-s", "delpri", "hr_rvg"]]


async def test_items_that_cannot_work_say_why(console: Make, fake: Fake) -> None:
    app = console("admin")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shows(app, "not now: every Secondary is started already"))
        await pilot.press("enter")
        await until(pilot, shows(app, "VR-1834"))
        await pilot.press("enter", "down", "down", "enter")
        await until(pilot, shows(app, "Pause Replication"))


async def test_an_unreachable_engine_is_told_and_dims_nothing(console: Make, fake: Fake) -> None:
    fake.answer("printrvg", {"error": "VR-1101: london does not answer\nhint: host check"})
    app = console("admin")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shows(app, "VR-1101"))
        assert isinstance(app.screen, MenuScreen)
        assert all(not pick.reason for pick in app.screen.picker.picks)


async def test_a_failed_command_shows_its_error_and_the_form_is_kept(console: Make, fake: Fake) -> None:
    app = console("printrvg")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press("down", *"fails", "enter")
        await until(pilot, shows(app, "exit code: 3"))
        assert "VR-1301" in screen_text(app)
        await pilot.press("f3")
        assert isinstance(app.screen, DialogScreen)
        assert app.screen.form.values["rvg"] == "fails"


async def test_a_running_command_can_be_interrupted(console: Make, fake: Fake) -> None:
    app = console("printrvg")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press("down", *"slow", "enter")
        await until(pilot, shows(app, "working"))
        await pilot.press("f3")
        await until(pilot, on(app, ConfirmPopup))
        await pilot.press("enter")  # Cancel: go on
        assert isinstance(app.screen, StatusScreen)
        assert app.screen.running
        await pilot.press("ctrl+c")
        await until(pilot, shows(app, "failed"))
        assert "interrupted" in screen_text(app)


async def test_output_scrolls_and_is_searched(console: Make) -> None:
    app = console("printrvg")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press("down", *"lines", "enter")
        await until(pilot, shows(app, "Command: OK"))
        await until(pilot, shows(app, "[TOP]"))
        await pilot.press("end")
        await until(pilot, shows(app, "[BOTTOM]"))
        await pilot.press("slash", *"line 5", "enter")
        await until(pilot, shows(app, "line 5\n"))
        await pilot.press("n")
        await until(pilot, shows(app, "line 50\n"))


async def test_long_lines_of_output_go_on_below_and_are_found(console: Make, fake: Fake) -> None:
    app = console("printrvg")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press("down", *"long", "enter")
        await until(pilot, shows(app, "Command: OK"))
        assert "the end of the hint" in " ".join(screen_text(app).split())
        await pilot.press("slash", *"word 14 word 15", "enter")
        await until(pilot, shows(app, "n finds"))
        await pilot.resize_terminal(200, 40)
        await until(pilot, shows(app, "word 29 the end of the hint"))
        screen = app.screen
        assert isinstance(screen, StatusScreen)
        assert screen.output.text().splitlines()[-1] == "x" * 10_000
        assert screen.output.count() == 2 + -(-10_000 // screen.output.size.width)


async def test_a_long_answer_of_a_list_after_the_screen_was_left_harms_nothing(console: Make) -> None:
    app = console("simple")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, MenuScreen))
        for _ in range(5):
            app.source.forget()
            app.open("setuprds", {})
            await until(pilot, on(app, DialogScreen))
            app.back()
            await until(pilot, on(app, MenuScreen))
        await until(pilot, lambda: not app.source.busy)


async def test_a_terminal_that_is_much_too_small_is_survived(console: Make) -> None:
    app = console("setuprds")
    async with app.run_test(size=(12, 4)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press(*"london", "down", "f4")
        await pilot.resize_terminal(80, 24)
        await until(pilot, shows(app, "SECONDARY host"))


@pytest.mark.parametrize("form", [["escape", "4"], ["alt+4"], ["f4"]])
async def test_the_list_opens_by_every_form_of_f4(console: Make, form: list[str]) -> None:
    app = console("printrvg")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press(*form)
        await until(pilot, on(app, ListPopup))
        await pilot.press("escape", "escape")
        await until(pilot, on(app, DialogScreen))


async def test_typing_filters_and_cancel_gives_the_filter_up_first(console: Make) -> None:
    app = console()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, MenuScreen))
        await pilot.press(*"host")
        await until(pilot, shows(app, "Filter: host"))
        assert "Monitor" not in screen_text(app)
        await pilot.press("f3")
        await until(pilot, shows(app, "Monitor"))
        await pilot.press("slash", *"mon", "enter", "enter")
        await until(pilot, shows(app, "Follow the events"))


async def test_the_palette_finds_screens_by_name(console: Make) -> None:
    app = console()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, MenuScreen))
        await pilot.press("ctrl+p")
        await pilot.press(*"create a volume")
        await until(pilot, shows(app, "[volume_create]"))
        await pilot.press("enter")
        await until(pilot, on(app, DialogScreen))
        assert app.screen.heading == "Create a Volume"  # type: ignore[attr-defined]  # it is a DialogScreen


async def test_a_fast_path_typed_into_the_palette_is_obeyed_before_its_list_is_there(console: Make) -> None:
    app = console()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, MenuScreen))
        await pilot.press("ctrl+p", *"createpri", "enter")
        await until(pilot, on(app, DialogScreen))
        assert app.screen.heading == "Create a Primary"  # type: ignore[attr-defined]  # it is a DialogScreen


async def test_the_overview_follows_what_the_engine_says(console: Make, fake: Fake) -> None:
    app = console("overview")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, on(app, ViewScreen))
        await until(pilot, shows(app, "consistent, up-to-date"))
        fake.answer("repstatus", {"dg": "hrdg", "rvg": "hr_rvg", "primary": {"host": "tokyo"}, "secondaries": []})
        await until(pilot, shows(app, "no Secondary yet"))
        fake.answer("repstatus", {"error": "VR-1101: london does not answer"})
        await until(pilot, shows(app, "VR-1101"))
        assert "no Secondary yet" in screen_text(app)  # the last picture stays


async def test_leaving_a_filled_form_asks_and_an_untouched_one_does_not(console: Make) -> None:
    app = console("volume_create")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press("x", "f10")
        await until(pilot, on(app, ConfirmPopup))
        await pilot.press("enter")
        await until(pilot, on(app, DialogScreen))
        await pilot.press("backspace", "f10")
        await until(pilot, lambda: app.return_code == 0 or not app.is_running)


async def test_everything_that_was_done_is_in_the_logs(console: Make, tmp_path: Path) -> None:
    app = console("printrvg")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await pilot.press("enter")
        await until(pilot, shows(app, "Command: OK"))
        await pilot.press("f8")
        await until(pilot, shows(app, 'Current fast path: "printrvg"'))
        await pilot.press("enter")
    state = tmp_path / "state"
    log = (state / "smit.log").read_text()
    assert ">> volrep printrvg" in log
    assert "---- end ---- exit code 0" in log
    assert log.count("COMMAND STATUS") == 1  # the image
    assert (state / "smit.script").read_text().splitlines()[-1] == "volrep printrvg"
    entry = json.loads((state / "transactions.jsonl").read_text())
    assert (entry["argv"], entry["exit"], entry["fastpath"]) == (["volrep", "printrvg"], 0, "printrvg")
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}


async def test_before_the_role_moves_all_hosts_are_shown_and_the_name_is_typed(console: Make, fake: Fake) -> None:
    ready = REVIEWS["takeover"] | {"problem": None, "steps": [{"title": "tokyo: become the Primary, open for I/O"}]}
    fake.answer("takeover", ready)
    app = console("takeover_select")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shows(app, "hr_rvg"))
        await pilot.press("enter")
        await until(pilot, on(app, DialogScreen))
        await pilot.press("enter")
        await until(pilot, on(app, ReviewScreen))
        await until(pilot, shows(app, "3 writes, 12k"))
        assert fake.called() == []
        await pilot.press("f6")  # what was asked is the dialog's own command, as a dry run
        await until(pilot, shows(app, "volrep --json --dry-run -g hrdg -s takeover hr_rvg tokyo"))
        await pilot.press("enter", "enter")
        await until(pilot, on(app, ConfirmPopup))
        await pilot.press("enter")  # the name is not there yet: Enter leads to Cancel
        assert isinstance(app.screen, ConfirmPopup)
        await pilot.press("enter")
        await until(pilot, on(app, ReviewScreen))
        assert fake.called() == []
        await pilot.press("enter")
        await until(pilot, on(app, ConfirmPopup))
        await pilot.press(*"tokyo", "enter", "enter")
        await until(pilot, shows(app, "Command: OK"))
        assert fake.called() == [["-g", "hrdg", "-s", "takeover", "hr_rvg", "tokyo"]]
        await pilot.press("f3")
        assert isinstance(app.screen, DialogScreen)


async def test_what_is_not_possible_is_told_and_not_run(console: Make, fake: Fake) -> None:
    app = console("takeover_select")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shows(app, "hr_rvg"))
        await pilot.press("enter")
        await until(pilot, on(app, DialogScreen))
        await pilot.press("enter")
        await until(pilot, shows(app, "not possible now"))
        await pilot.press("enter", "pagedown")
        await until(pilot, shows(app, "-> `volrep -g hrdg migrate hr_rvg tokyo`"))
        await pilot.resize_terminal(120, 40)  # what wraps is drawn anew
        await until(pilot, shows(app, "lost; what the Primary did"))
        await pilot.press("f3")
        assert isinstance(app.screen, DialogScreen)
    assert fake.called() == []


async def test_line_mode_shows_the_review_as_text_first(fake: Fake, tmp_path: Path) -> None:
    said = await plain(fake, tmp_path, "migrate_select", "tokyo", "r", "yes", "<")
    assert said.index("$ volrep --dry-run -g hrdg -s migrate hr_rvg tokyo") < said.index("type yes to go on")
    assert [words[0] for words in fake.called()] == ["--dry-run", "-g"]


async def test_an_old_primary_that_is_to_be_started_is_led_to_fail_back(console: Make, fake: Fake) -> None:
    answer = json.loads(json.dumps(ANSWERS["printrvg"]))
    (rds,) = answer["rds"]
    rds["primary"]["links"][0] |= {"state": "STALE", "remote_role": "acting Secondary", "fails_back": True}
    rds["hosts"][1] |= {"role": "acting Secondary", "fails_back": True}
    fake.answer("printrvg", answer)
    app = console("startrep_select")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, DialogScreen))
        await until(pilot, shows(app, "fbsync hr_rvg tokyo"))
        assert "[fbsync]" in screen_text(app)
        assert app.catalogue.parents["fbsync"] == "fbsync_select"  # its place in the tree stays
    app = console("startrep")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, shows(app, "startrep hr_rvg"))
        await pilot.press("down", "down", "f4")
        await until(pilot, shows(app, "is brought back by fail back"))
    assert fake.called() == []


async def test_the_palette_asked_for_while_leaving_does_no_harm(console: Make) -> None:
    app = console("display")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, MenuScreen))
        await pilot.press("enter")
        await until(pilot, shows(app, "repstatus hr_rvg"))
        await pilot.press("enter")
        await until(pilot, shows(app, "Command: OK"))
        for key in ("f10", "ctrl+p"):  # faster than a screen is removed
            app.post_message(events.Key(key, None))
        await until(pilot, lambda: app.leaving)
        await pilot.pause()
    assert app.mistake is None


async def test_f3_pressed_twice_goes_two_screens_back(console: Make) -> None:
    app = console("display")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, on(app, MenuScreen))
        await pilot.press("enter")
        await until(pilot, on(app, DialogScreen))
        await until(pilot, shows(app, "repstatus hr_rvg"))
        await pilot.press("enter")
        await until(pilot, shows(app, "Command: OK"))
        app.screen.action_cancel()  # type: ignore[attr-defined]  # a StatusScreen, as the answer shows
        app.screen.action_cancel()  # type: ignore[attr-defined]  # before anything else could happen
        await pilot.pause()
        assert isinstance(app.screen, MenuScreen)
