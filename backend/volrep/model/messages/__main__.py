"""Prints docs/messages.md from the catalogue: `python -m volrep.model.messages > docs/messages.md`.

Knows the shape of the page; the texts stand in the subject modules. A test compares the page with
the code, so a message cannot be added, changed or lost without its documentation.
"""

from __future__ import annotations

import string
import sys
from types import ModuleType

import volrep.model.messages as package
from volrep.model.errors import Exit, Message

_EXITS = {
    Exit.DONE: "done",
    Exit.FAILED: "failed",
    Exit.USAGE: "wrong usage or invalid value",
    Exit.REFUSED: "refused in the present state",
    Exit.UNREACHABLE: "a host cannot be reached",
    Exit.PARTIAL: "done in part; what was undone and what was not is listed",
}

_INTRODUCTION = """\
# Messages

Every error has an id that never changes its meaning, a text with the values involved, and a hint that names the next
move. Scripts match on the id or on the exit code, never on the text. `{so}` marks where a value stands. This page is
made from the code (`make docs`).

## Exit codes

| code | meaning |
|---|---|
"""


def page() -> str:
    """The whole of docs/messages.md."""
    parts = [_INTRODUCTION, *(f"| {int(code)} | {meaning} |\n" for code, meaning in _EXITS.items())]
    for module in package.MODULES:
        entries = sorted((v for v in vars(module).values() if isinstance(v, Message)), key=lambda m: m.number)
        if entries:
            parts.append(f"\n## {_subject(module)}\n\n| id | exit | text | hint |\n|---|---|---|---|\n")
            parts.extend(_row(entry) for entry in entries)
    return "".join(parts)


def _subject(module: ModuleType) -> str:
    """The subject as the package's own table of ranges words it, its range included."""
    name = module.__name__.rpartition(".")[2]
    for line in (package.__doc__ or "").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[1] == name:
            return f"{cells[0]}: {cells[2]}"
    raise AssertionError(f"volrep.model.messages names no range for {name}")


def _row(message: Message) -> str:
    cells = (message.id, str(int(message.exit)), _shown(message.text), _shown(message.hint))
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


def _shown(template: str) -> str:
    """The template with its values as `{name}`: without format specifications, with escapes undone."""
    parts = []
    for literal, field, _, _ in string.Formatter().parse(template):
        parts.append(literal + ("" if field is None else "{" + field + "}"))
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
