"""What the fingers of a SMIT administrator do, for tests that work by the console alone."""

from __future__ import annotations

from tests.system.terminal import Terminal

SLOW_S = 60  # a verb that asks two hosts over SSH, on a machine that is busy


def form(screen: Terminal, *values: str) -> None:
    """Type over the fields of a form from the first one down; an empty text leaves a field as it is."""
    screen.keys("Escape", "<")
    for value in values:
        if value:
            screen.keys("C-e", "C-u")
            screen.text(value)
        screen.keys("Down")


def go_to(screen: Terminal, fastpath: str) -> None:
    """By the palette, from anywhere."""
    screen.keys("C-p")
    screen.until("Search for commands|🔎")
    screen.text(fastpath)
    screen.keys("Enter")
    screen.until(rf"\A.*\[{fastpath}\]$")  # the title


def run(screen: Terminal) -> str:
    """Run the form; what COMMAND STATUS shows then."""
    screen.keys("Enter")
    return screen.until("^ Command: OK", SLOW_S)


def done(screen: Terminal) -> None:
    """Run the form, and back to it."""
    run(screen)
    screen.keys("F3")
    screen.until("Entry Fields")


def pick_both_volumes(screen: Terminal) -> None:
    """The cursor stands on a list of volumes: F4, both marked with F7, and down to the next field."""
    screen.keys("F4")
    screen.until("hr_dv02", SLOW_S)
    screen.keys("F7", "F7", "Enter")
    screen.until(r"\[hr_dv01,hr_dv02 ")
    screen.keys("Down")
