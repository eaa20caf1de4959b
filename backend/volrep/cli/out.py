"""Where words go: results to stdout, progress and errors to stderr. Tables and pairs as text."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from volrep.model.errors import VolrepError


class Out:
    """The two streams of a command line."""

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self.stdout = stdout or sys.stdout
        self.stderr = stderr or sys.stderr

    def print(self, text: str) -> None:
        self.stdout.write(text + "\n")

    def json(self, document: Any, *, indent: int | None = 2) -> None:
        """One document; without an indent, one line (for documents that follow each other)."""
        self.stdout.write(json.dumps(document, indent=indent, ensure_ascii=False) + "\n")
        self.stdout.flush()

    def say(self, text: str) -> None:
        self.stderr.write(text + "\n")
        self.stderr.flush()

    def error(self, error: VolrepError) -> None:
        self.say(f"{error.id}: {error.text}\nhint: {error.hint}")


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their longest cell; the last one is not padded."""
    cells = [[str(cell) for cell in row] for row in (headings, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in cells)


def pairs(rows: Sequence[tuple[str, object]], indent: str = "  ") -> str:
    width = max((len(name) for name, _ in rows), default=0) + 1
    return "\n".join(f"{indent}{name + ':':<{width}}  {value}".rstrip() for name, value in rows)
