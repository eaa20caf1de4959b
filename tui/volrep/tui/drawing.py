"""A document as lines of a picture: facts, tables, things side by side. Pure.

Knows layout. Nothing is cut off: what has no room beside the rest goes on below it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from volrep.menus.extract import rows_at, value_at
from volrep.menus.model import Fact, Table, View
from volrep.menus.show import show
from volrep.tui.text import cell_len, clean, column_sizes, columns, set_cell_size, wrap

BAR_COLUMNS = 30
INDENT, GAP = 2, 2
WRAPPED_MIN = 20  # columns that a text needs to be read as one
ACROSS_MIN = 16  # "acting Secondary"
Line = list[tuple[str, str]]  # pieces of text and their tone


def draw(view: View, document: Any, width: int) -> list[Line]:
    """The lines of a picture, none of them wider than `width`."""
    chain = (document,) if isinstance(document, dict) else ()
    lines: list[Line] = []
    lines += _facts([_fact(view, fact, value_at(chain, fact.path)) for fact in view.facts], width)
    for table in view.tables:
        lines += _table(view, table, document, width)
    while lines and not lines[0]:
        lines.pop(0)
    return lines


def _tone(view: View, text: str) -> str:
    """The first word list with a word that stands in the text: bad before warn before good."""
    for tone, words in (("bad", view.bad), ("warn", view.warn), ("good", view.good)):
        if any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text, re.IGNORECASE) for word in words):
            return tone
    return ""


def _fact(view: View, fact: Fact, value: Any) -> Line:
    text = clean(show(value, fact.form)) or "-"
    line: Line = [(f"{fact.label:<14}", "dim"), (f"{text:<8}", _tone(view, text))]
    if fact.bar and isinstance(value, (int, float)):
        line += bar(value / 100)
    return line


def _facts(facts: Sequence[Line], width: int) -> list[Line]:
    """Two beside each other where both are short: what changes stands further down and needs the room."""
    half = width // 2
    lines: list[Line] = []
    for fact in facts:
        before = _line_len(lines[-1]) if lines else width
        if before < half and _line_len(fact) <= width - half and len(lines[-1]) == 2:
            lines[-1] = [*lines[-1], (" " * (half - before), ""), *fact]
        else:
            lines.append(fact)
    return lines


def _line_len(line: Line) -> int:
    return sum(cell_len(text) for text, _ in line)


def bar(share: float) -> Line:
    """A bar of fixed width; its tone says how near the end it is."""
    done = round(max(0.0, min(1.0, share)) * BAR_COLUMNS)
    return [("━" * done, "good"), ("─" * (BAR_COLUMNS - done), "dim")]


def _table(view: View, table: Table, document: Any, width: int) -> list[Line]:
    chains = list(rows_at(document, table.rows))[-table.last:]
    if not chains and not table.empty:
        return []
    lines: list[Line] = [[], [(table.title, "heading")]] if table.title else [[]]
    if not chains:
        return [*lines, [(f"  {table.empty}", "dim")]]
    cells = [[clean(column.title) for column in table.columns]]
    cells += [[clean(show(value_at(chain, column.path), column.form)) for column in table.columns] for chain in chains]
    if table.across:
        return lines + _across(view, cells, width)
    beside = _beside(cells, width, wraps=table.wrap)
    heading, *rows = columns([row[:beside] for row in cells])
    if heading.strip():
        lines.append([(f"  {heading}", "dim")])
    for chain, row, shown in zip(chains, rows, cells[1:], strict=True):
        lines += _row(view, row, shown[:beside], width, wraps=table.wrap and beside == len(shown))
        lines += _rest(view, cells[0][beside:], shown[beside:], width)
        if table.below and (below := clean(show(value_at(chain, table.below), "text"))):
            indent = cell_len(row) - cell_len(shown[-1]) if beside == len(shown) else GAP
            lines += _wrapped(f"-> {below}", indent + INDENT, width, "dim")
        lines += _progress(table, chain)
    return lines


def _beside(cells: Sequence[Sequence[str]], width: int, *, wraps: bool) -> int:
    """How many columns fit side by side, one at least; the last one of a table that `wraps` needs only some room."""
    sizes = column_sizes(cells)
    longest = max(cell_len(row[-1]) for row in cells)
    sizes[-1] = min(longest, WRAPPED_MIN) if wraps else longest if sizes[-1] else 0
    at = INDENT
    for number, size in enumerate(sizes):
        at += size
        if size and at > width:
            return max(1, number)
        at += GAP if size else 0
    return len(sizes)


def _row(view: View, row: str, shown: list[str], width: int, *, wraps: bool) -> list[Line]:
    last = shown[-1]
    indent = cell_len(row) - cell_len(last)
    pieces = wrap(last, max(WRAPPED_MIN, width - indent - INDENT)) if wraps and last else [last]
    first = row.removesuffix(last) + pieces[0]
    return [[("  ", ""), *_toned(view, first, [*shown[:-1], pieces[0]])],
            *([(" " * (indent + INDENT) + piece, "")] for piece in pieces[1:])]


def _rest(view: View, titles: Sequence[str], shown: Sequence[str], width: int) -> list[Line]:
    """The columns that have no room in the row, below it."""
    said = [f"{title}: {cell}" if title else cell for title, cell in zip(titles, shown, strict=True) if cell]
    indent = INDENT + GAP
    return [[(" " * indent, ""), *_toned(view, piece, list(shown))]
            for piece in (wrap("; ".join(said), width - indent) if said else [])]


def _wrapped(text: str, indent: int, width: int, tone: str) -> list[Line]:
    return [[(" " * indent + piece, tone)] for piece in wrap(text, max(WRAPPED_MIN, width - indent))]


def _across(view: View, cells: Sequence[Sequence[str]], width: int) -> list[Line]:
    """Every row of cells as a column; facts that nobody has are left out.

    When the columns do not fit, what stands in them goes on in further lines; when they would become too narrow for
    that, the rest of them stand below the first ones.
    """
    facts = [list(fact) for fact in zip(*cells, strict=True)]
    kept = [["", *facts[0][1:]], *(fact for fact in facts[1:] if any(fact[1:]))]
    names = max(cell_len(fact[0]) for fact in kept)
    room = width - INDENT - names
    at_once = max(1, room // (ACROSS_MIN + GAP))
    lines: list[Line] = []
    for begin in range(1, len(kept[0]), at_once):
        block = [[fact[0], *fact[begin:begin + at_once]] for fact in kept]
        sizes = column_sizes(block)[1:]
        while sum(sizes) + GAP * len(sizes) > room and max(sizes) > ACROSS_MIN:
            sizes[sizes.index(max(sizes))] -= 1
        lines += [[]] if lines else []
        for number, fact in enumerate(block):
            lines += _fact_across(view, fact, names, sizes, heading=not number)
    return lines


def _fact_across(view: View, fact: Sequence[str], names: int, sizes: Sequence[int], *, heading: bool) -> list[Line]:
    """One fact of all hosts: its name, and beside it what each of them has."""
    pieces = [wrap(cell, size) if cell else [] for cell, size in zip(fact[1:], sizes, strict=True)]
    lines: list[Line] = []
    for number in range(max(1, *(len(each) for each in pieces))):
        line: Line = [("  " + set_cell_size("" if number else fact[0], names), "heading" if heading else "")]
        for whole, each, size in zip(fact[1:], pieces, sizes, strict=True):
            piece = each[number] if number < len(each) else ""
            tone = "heading" if heading else _tone(view, whole)
            line += [("  ", ""), (piece, tone), (" " * (size - cell_len(piece)), "")]
        lines.append(_trimmed(line))
    return lines


def _trimmed(line: Line) -> Line:
    while line and not line[-1][0].strip():
        line.pop()
    return line


def _toned(view: View, row: str, cells: list[str]) -> Line:
    """The row cut where its cells are, so that each has its own tone."""
    line: Line = []
    at = 0
    for cell in cells:
        found = row.find(cell, at) if cell else -1
        if found >= 0 and (tone := _tone(view, cell)) and cell_len(cell) < 40:
            line += [(row[at:found], ""), (cell, tone)]
            at = found + len(cell)
    return [*line, (row[at:], "")]


def _progress(table: Table, chain: tuple[dict[str, Any], ...]) -> list[Line]:
    if not table.bar:
        return []
    done, total = value_at(chain, table.bar), value_at(chain, table.bar_of)
    if not isinstance(done, (int, float)) or not isinstance(total, (int, float)):
        return []
    share = done / total if total else 1.0
    told = "  ".join(f"{column.title} {show(value, column.form)}".strip() for column in table.bar_label
                     if (value := value_at(chain, column.path)) is not None)
    return [[("    ", ""), *bar(share), (f" {share:4.0%}  {told}", "")]]
