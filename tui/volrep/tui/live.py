"""Live views: a command's JSON drawn in place, again and again, without flicker.

Knows layout. What is shown, from which paths, is the stanza's. One picture is asked for at a time, and never more often
than takes a fifth of the time, so that a slow host is not asked faster than it answers.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rich.segment import Segment
from textual import work
from textual.widget import Widget
from textual.widgets import Static

from volrep.menus.extract import fill, fill_words, rows_at, value_at
from volrep.menus.model import Fact, Table, View, Words
from volrep.menus.show import show
from volrep.model.errors import VolrepError
from volrep.tui.frame import CANCEL, COMMAND, EXIT, HELP, IMAGE, PALETTE, REFRESH, SHELL, Frame, Key, bindings
from volrep.tui.lines import Lines
from volrep.tui.text import cell_len, clean, columns, wrap

BAR_COLUMNS = 30
DUTY = 4  # pause at least this many times as long as the last answer took
Line = list[tuple[str, str]]  # pieces of text and their tone


class Picture(Lines):
    """Lines of toned text; scrolls when they do not fit."""

    def __init__(self) -> None:
        super().__init__(id="body")
        self._lines: list[Line] = []

    @property
    def follows_cursor(self) -> bool:
        return False

    def show(self, lines: list[Line]) -> None:
        """Draw, but only when something is different."""
        if lines != self._lines:
            self._lines = lines
            self._clamp()
            self.refresh()

    def count(self) -> int:
        return len(self._lines)

    def draw(self, row: int, width: int) -> list[Segment]:
        base = self.rich_style
        return [Segment(text, base + self.style(tone) if tone else base) for text, tone in self._lines[row]]

    def on_key(self, event: Any) -> None:
        if self.navigate({"home": "ctrl+home", "end": "ctrl+end"}.get(event.key, event.key)):
            event.stop()


class ViewScreen(Frame):
    """F2 asks at once; F3 leaves."""

    KEYS: ClassVar[tuple[Key, ...]] = (HELP, REFRESH, CANCEL, COMMAND, IMAGE, SHELL, EXIT, PALETTE)
    BINDINGS = bindings((HELP, REFRESH, CANCEL, COMMAND, IMAGE))

    def __init__(self, view: View, crumbs: str, context: Mapping[str, str]) -> None:
        self.context = dict(context)
        super().__init__(fill(view.title, self.context), crumbs, "")
        self.view = view
        self.fastpath = view.id
        self.picture = Picture()
        self.document: Any = None  # what is drawn
        self._now = asyncio.Event()

    @property
    def words(self) -> Words:
        """The command whose answer is drawn."""
        return self.view.command

    def body(self) -> Iterable[Widget]:
        yield self.picture

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#instructions", Static).display = False
        self.picture.focus()
        self.tell("asking …")
        self.watch_picture()

    @work(exclusive=True, group="view")
    async def watch_picture(self) -> None:
        while True:
            began_s = time.monotonic()
            try:
                self.document = await self.console.source.picture(self.words, self.context)
            except VolrepError as error:
                self.tell(f"{time.strftime('%H:%M:%S')}  {error.text.splitlines()[0]}", "error")
            else:
                self._draw()
                self.told()
            took_s = time.monotonic() - began_s
            self._now.clear()
            try:
                async with asyncio.timeout(max(self.view.every_s - took_s, DUTY * took_s if took_s > 1 else 0.05)):
                    await self._now.wait()
            except TimeoutError:
                continue

    def _draw(self) -> None:
        self.picture.show(draw(self.view, self.document, self.picture.size.width or 80))

    def told(self) -> None:
        """The line below a picture that has just been drawn."""
        self.tell(f"{time.strftime('%H:%M:%S')}  every {self.view.every_s:g} s")

    def on_resize(self) -> None:
        super().on_resize()
        if self.document is not None:
            self.call_after_refresh(self._draw)  # the picture has its new width then

    def action_refresh(self) -> None:
        self._now.set()

    def action_command(self) -> None:
        self.console.show_command(fill_words(self.words, self.context))

    def action_help(self) -> None:
        self.console.show_help(self.heading, self.view.help)


def draw(view: View, document: Any, width: int) -> list[Line]:
    """The lines of a picture; only what wraps depends on the width."""
    chain = (document,) if isinstance(document, dict) else ()
    lines: list[Line] = []
    for fact in view.facts:
        lines += _fact(view, fact, value_at(chain, fact.path))
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


def _fact(view: View, fact: Fact, value: Any) -> list[Line]:
    text = clean(show(value, fact.form))
    line: Line = [(f"{fact.label:<14}", "dim"), (f"{text:<8}", _tone(view, text))]
    if fact.bar and isinstance(value, (int, float)):
        line += bar(value / 100)
    return [line]


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
    cells = [[column.title for column in table.columns]]
    cells += [[show(value_at(chain, column.path), column.form) for column in table.columns] for chain in chains]
    if table.across:
        return lines + _across(view, cells)
    heading, *rows = columns(cells)
    if heading.strip():
        lines.append([(f"  {heading}", "dim")])
    for chain, row, shown in zip(chains, rows, cells[1:], strict=True):
        last = clean(shown[-1])
        indent = cell_len(row) - cell_len(last)
        pieces = wrap(last, max(20, width - indent - 2)) if table.wrap and last else [last]
        first = row.removesuffix(last) + pieces[0]
        lines.append([("  ", ""), *_toned(view, first, [*(clean(cell) for cell in shown[:-1]), pieces[0]])])
        lines += [[(" " * (indent + 2) + piece, "")] for piece in pieces[1:]]
        if table.below and (below := clean(show(value_at(chain, table.below), "text"))):
            pieces = wrap(f"-> {below}", max(20, width - indent - 2))
            lines += [[(" " * (indent + 2) + piece, "dim")] for piece in pieces]
        lines += _progress(table, chain)
    return lines


def _across(view: View, cells: list[list[str]]) -> list[Line]:
    """Every row of cells as a column; facts that nobody has are left out."""
    facts = [list(fact) for fact in zip(*cells, strict=True)]
    heading, *rows = columns([["", *facts[0][1:]], *(fact for fact in facts[1:] if any(fact[1:]))])
    kept = [fact for fact in facts[1:] if any(fact[1:])]
    return [[(f"  {heading}", "heading")],
            *([("  ", ""), *_toned(view, row, [clean(cell) for cell in fact])] for row, fact in
              zip(rows, kept, strict=True))]


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
