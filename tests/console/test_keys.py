"""Every function key in each of its forms, as bytes through Textual's own parser."""

from __future__ import annotations

import pytest
from textual import events
from textual._xterm_parser import XTermParser

from volrep.tui import keys

DIGITS = "1234567890"


def parsed(text: str) -> list[str]:
    keys.install()
    parser = XTermParser()
    found = [message for message in (*parser.feed(text), *parser.feed("")) if isinstance(message, events.Key)]
    return [message.key for message in found]


@pytest.mark.parametrize("digit", DIGITS)
def test_esc_and_digit_in_one_read_is_the_function_key(digit: str) -> None:
    assert parsed(f"\x1b{digit}") == [keys.function_key(digit)]


@pytest.mark.parametrize(("text", "key"), [("\x1bv", "pageup"), ("\x1b<", "ctrl+home"), ("\x1b>", "ctrl+end")])
def test_emacs_forms_page_and_go_to_the_ends(text: str, key: str) -> None:
    assert parsed(text) == [key]


@pytest.mark.parametrize("character", "£§º¢")
def test_characters_of_other_keyboards_stay_themselves(character: str) -> None:
    keys.install()
    parser = XTermParser()
    found = [message for message in parser.feed(character) if isinstance(message, events.Key)]
    assert [message.character for message in found] == [character]


@pytest.mark.parametrize("digit", DIGITS)
def test_esc_then_a_digit_typed_slowly_is_the_function_key(digit: str) -> None:
    folder = keys.EscFolder()
    assert folder.fold("escape", None, 10.0) is None
    assert folder.fold(digit, digit, 10.0 + keys.ESC_WINDOW_S * 0.9) == keys.function_key(digit)


@pytest.mark.parametrize("digit", DIGITS)
def test_alt_and_digit_is_the_function_key(digit: str) -> None:
    assert keys.EscFolder().fold(f"alt+{digit}", None, 0.0) == keys.function_key(digit)


def test_a_digit_long_after_esc_is_a_digit() -> None:
    folder = keys.EscFolder()
    folder.fold("escape", None, 10.0)
    assert folder.fold("4", "4", 10.0 + keys.ESC_WINDOW_S) == "4"


def test_esc_twice_is_cancel_and_the_second_does_not_wait() -> None:
    folder = keys.EscFolder()
    assert folder.fold("escape", None, 10.0) is None
    assert folder.fold("escape", None, 10.1) == "f3"
    assert folder.fold("4", "4", 10.2) == "4"


def test_another_key_after_esc_is_itself() -> None:
    folder = keys.EscFolder()
    folder.fold("escape", None, 10.0)
    assert folder.fold("down", None, 10.1) == "down"
    assert folder.fold("4", "4", 10.2) == "4"
