"""Text into lines and columns of terminal cells, wide characters included."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

COLUMN_MAX = 48  # a single long cell must not push the rest out of sight


def cell_len(text: str) -> int:
    """Terminal cells that a text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def set_cell_size(text: str, size: int) -> str:
    """Cut or filled with blanks to exactly `size` cells."""
    length = cell_len(text)
    while length > size:
        length -= _cells(text[-1])
        text = text[:-1]
    return text + " " * (size - length)


def clean(text: str) -> str:
    """What a terminal must not see (control characters, escapes) made visible; tabs become blanks."""
    text = text.expandtabs(8)
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _visible(char) for char in text)


def _visible(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in {"Cc", "Cs"} else char


def wrap(text: str, width: int) -> list[str]:
    """Paragraph by paragraph; lines that fit stay as they are (tables, addresses)."""
    lines: list[str] = []
    for line in text.strip("\n").splitlines():
        shown = clean(line)
        fits = cell_len(shown) <= width
        indent = " " * (len(shown) - len(shown.lstrip()))
        lines += [shown] if fits else textwrap.wrap(
            shown, max(8, width), subsequent_indent=indent, break_on_hyphens=False) or [""]
    return lines or [""]


def column_sizes(rows: Sequence[Sequence[str]]) -> list[int]:
    """Cells that each column takes; 0 of one that is empty below its heading, which is left out."""
    width = max(len(row) for row in rows)
    filled = [[clean(row[column]) if column < len(row) else "" for row in rows] for column in range(width)]
    return [min(COLUMN_MAX, max(cell_len(cell) for cell in cells)) if any(cells[1:]) or len(rows) == 1 else 0
            for cells in filled]


def columns(rows: Sequence[Sequence[str]], gap: int = 2) -> list[str]:
    """Rows of cells as lines with aligned columns. Columns that are empty below the heading are left out."""
    sizes = column_sizes(rows)
    kept = [column for column, size in enumerate(sizes) if size]
    lines = []
    for row in rows:
        texts = [clean(row[column]) if column < len(row) else "" for column in kept]
        cells = [set_cell_size(text, sizes[column]) if column != kept[-1] else text
                 for column, text in zip(kept, texts, strict=True)]
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def fit(text: str, width: int) -> str:
    """Cut with an ellipsis, or filled with blanks."""
    if cell_len(text) > width > 0:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, max(0, width))
