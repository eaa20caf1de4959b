"""Every stanza of the package: it loads, it draws at 24x80, it makes the command that is written down for it."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from volrep.cli.verbs import TABLE
from volrep.menus.assemble import assemble
from volrep.menus.extract import fill
from volrep.menus.form import Form
from volrep.menus.load import load
from volrep.menus.model import Dialog, Menu, View, placeholders
from volrep.tui.console import Console, screen_text
from volrep.tui.dialog import DialogScreen
from volrep.tui.live import ViewScreen
from volrep.tui.menu import MenuScreen

CATALOGUE = load()
DIALOGS = sorted(screen.id for screen in CATALOGUE.screens.values() if isinstance(screen, Dialog))
SHOWN = sorted(screen.id for screen in CATALOGUE.screens.values()
               if isinstance(screen, Menu | View) or (isinstance(screen, Dialog) and not screen.ghost))
GOLDEN: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("golden.toml").read_text())


def dialog_confirms(name: str) -> bool:
    screen = CATALOGUE.screens[name]
    return isinstance(screen, Dialog) and "-s" in screen.command and bool(screen.confirm)


def test_every_dialog_has_its_golden_command() -> None:
    assert sorted(GOLDEN) == DIALOGS


@pytest.mark.parametrize("name", DIALOGS)
def test_a_dialog_makes_its_golden_command(name: str) -> None:
    form = Form(dialog(name), {})
    for field, value in GOLDEN[name]["values"].items():
        form.set(field, value)
    assert form.problems() == []
    assert form.argv() == GOLDEN[name]["argv"]
    assert assemble(form.dialog, form.values, form.initial) == GOLDEN[name]["argv"]


@pytest.mark.parametrize("name", DIALOGS)
def test_what_a_dialog_mentions_is_a_field_or_comes_from_its_selector(name: str) -> None:
    stanza = dialog(name)
    known = {field.name for field in stanza.fields} | {"primary", "secondary"}
    named = {*placeholders(stanza.confirm), *placeholders(stanza.confirm_name)}
    assert named <= known
    assert "{" not in fill(stanza.confirm, dict.fromkeys(named, "x"))


@pytest.mark.parametrize("name", DIALOGS)
def test_destructive_dialogs_confirm(name: str) -> None:
    """`-s` tells the command not to ask, so the console must."""
    stanza = dialog(name)
    assert ("-s" in stanza.command) == bool(stanza.confirm) or name == "setuprds"


@pytest.mark.parametrize("name", [name for name in DIALOGS if dialog_confirms(name)])
def test_a_name_is_typed_in_the_console_where_the_command_line_asks_for_one(name: str) -> None:
    """What destroys or overwrites is confirmed in the same way on both."""
    said = " ".join(word for word in dialog(name).command if not word.startswith("-"))
    (verb,) = (verb for verb in TABLE if verb.name == said)
    assert bool(dialog(name).confirm_name) == bool(verb.typed)


def test_every_screen_is_reached_from_the_first_menu() -> None:
    assert set(CATALOGUE.parents) | {"volrep"} == set(CATALOGUE.screens)


def test_every_item_and_field_has_help() -> None:
    mute = [f"{screen.id}: {item.text}" for screen in CATALOGUE.screens.values() if isinstance(screen, Menu)
            for item in screen.items if item.next and not item.help]
    mute += [f"{name}: {field.name}" for name in DIALOGS for field in dialog(name).fields
             if field.kind != "heading" and not field.help]
    assert mute == []


async def test_every_screen_draws_at_24x80(console: Callable[..., Console]) -> None:
    """One console shows them all in turn; labels, values and legend are in sight, nothing is wider than the screen."""
    app = console()
    async with app.run_test(size=(80, 24)) as pilot:
        for name in SHOWN:
            screen = CATALOGUE.screens[name]
            app.open(name, {"rvg": "hr_rvg", "dg": "hrdg"})
            async with asyncio.timeout(10):
                while getattr(app.screen, "fastpath", "") != name or "=Exit" not in screen_text(app):
                    await pilot.pause(0.01)
            text = screen_text(app)
            kind = {Menu: MenuScreen, Dialog: DialogScreen, View: ViewScreen}[type(screen)]
            assert isinstance(app.screen, kind)
            assert max(map(len, text.splitlines())) <= 80
            assert f"[{name}]" in text
            labels = [item.text for item in screen.items] if isinstance(screen, Menu) else [
                field.label for field in screen.fields] if isinstance(screen, Dialog) else []
            assert all(label.strip() in text for label in labels), text
            if name != "volrep":
                app.back()
                await pilot.pause()


def dialog(name: str) -> Dialog:
    screen = CATALOGUE.screens[name]
    assert isinstance(screen, Dialog)
    return screen
