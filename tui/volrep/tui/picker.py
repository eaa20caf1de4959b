"""Rows to choose from: the body of menus and lists. Filters while one types, finds, marks several.

Knows rows and the keys that belong to them. Must not know where rows come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message

from volrep.tui.lines import Lines

FILTER_MAX_CHARS = 64  # as wide as fits beside the count of matches at 80 columns


@dataclass(frozen=True, slots=True)
class Pick:
    """One row. Without `key` it is a heading. A `reason` dims it: it cannot be chosen now, and this is why."""

    text: str
    key: Any = None
    reason: str = ""


class Picker(Lines):
    """Posts Chosen when Enter, a second click or a double click means a row; Moved when the cursor moves."""

    class Chosen(Message):
        def __init__(self, pick: Pick) -> None:
            super().__init__()
            self.pick = pick

    class Filtered(Message):
        """The filter or the find text changed; `note` is what to tell."""

        def __init__(self, note: str) -> None:
            super().__init__()
            self.note = note

    def __init__(self, picks: list[Pick] | None = None, *, multi: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.multi = multi
        self.marked: dict[Any, None] = {}  # keys in the order of marking
        self.filter = ""
        self.find = ""
        self.finding = False  # after "/": typed characters go to `find`
        self._picks: list[Pick] = picks or []
        self._shown: list[Pick] = self._picks

    @property
    def picks(self) -> list[Pick]:
        return self._picks

    def set_picks(self, picks: list[Pick]) -> None:
        """New rows; the cursor stays on the same key where it still exists."""
        current = self.current
        self._picks = picks
        self._refilter()
        if current is not None:
            same = (row for row, pick in enumerate(self._shown) if pick.key == current.key and pick.key is not None)
            self.cursor = next(same, self.cursor)
        self.reveal(self.cursor)
        self.refresh()

    @property
    def current(self) -> Pick | None:
        shown = self._shown
        return shown[self.cursor] if self.cursor < len(shown) and shown[self.cursor].key is not None else None

    # -- rows

    def count(self) -> int:
        return len(self._shown)

    def selectable(self, row: int) -> bool:
        return self._shown[row].key is not None

    def draw(self, row: int, width: int) -> list[Segment]:
        pick = self._shown[row]
        base = self.rich_style
        if pick.key is None:
            return [Segment(f"  {pick.text}", base + self.style("heading"))]
        style = base + self.style("dim") if pick.reason else base
        if row == self.cursor:
            style += self.style("cursor")
        mark = "> " if pick.key in self.marked else "  "
        text = f"{mark}{pick.text}"
        at = text.lower().find(self.filter.lower(), 2) if self.filter else -1
        end = at + len(self.filter)
        tail = " " * max(0, width - len(text) - 1)
        if at < 0:
            return [Segment(text + tail, style)]
        # on the cursor the match keeps the cursor's colours
        match = style + (Style(underline=True) if row == self.cursor else self.style("match"))
        return [Segment(text[:at], style), Segment(text[at:end], match),
                Segment(text[end:] + tail, style)]

    def _refilter(self) -> None:
        words = self.filter.lower().split()
        if words:
            self._shown = [pick for pick in self._picks
                           if pick.key is not None and all(word in pick.text.lower() for word in words)]
        else:
            self._shown = self._picks
        self.cursor = min(self.cursor, max(0, self.count() - 1))
        if self.count() and not self.selectable(self.cursor):
            self.cursor = next((row for row in range(self.count()) if self.selectable(row)), 0)
        self.top = 0
        self.reveal(self.cursor)
        self.refresh()

    # -- keys

    def on_key(self, event: events.Key) -> None:
        if self._handle(event):
            event.stop()
            event.prevent_default()

    def _handle(self, event: events.Key) -> bool:
        if self.finding:
            return self._type_find(event)
        if event.key in {"home", "end"}:
            self.go_end(-1 if event.key == "home" else 1)
            return True
        if event.key == "backspace" and self.filter:
            self.set_filter(self.filter[:-1])
            return True
        if event.key == "space" and self.multi and not self.filter:
            self.toggle()
            return True
        if event.character == "/":
            self.finding, self.find = True, ""
            self._tell()
            return True
        if event.character == "n" and self.find and not self.filter:
            self.find_next()
            return True
        if event.is_printable and event.character and len(self.filter) < FILTER_MAX_CHARS:
            self.set_filter(self.filter + event.character)
            return True
        return self.navigate(event.key)

    def _type_find(self, event: events.Key) -> bool:
        if event.key == "enter":
            self.finding = False
            self.find_next(start=self.cursor)
        elif event.key == "backspace":
            self.find = self.find[:-1]
        elif event.is_printable and event.character and len(self.find) < FILTER_MAX_CHARS:
            self.find += event.character
        else:
            self.finding = False
            self._tell()
            return False
        self._tell()
        return True

    def set_filter(self, text: str) -> None:
        self.filter = text.lstrip()
        self._refilter()
        self._tell()
        self.post_message(self.Moved())

    def cancel_typing(self) -> bool:
        """Give up a filter or find text. False when there was none: Cancel then means the screen."""
        if not (self.filter or self.finding):
            return False
        self.finding = False
        self.set_filter("")
        return True

    def find_next(self, start: int | None = None) -> None:
        """The next row with the text, from the one below the cursor; wraps round."""
        begin = self.cursor + 1 if start is None else start
        rows = [*range(begin, self.count()), *range(min(begin, self.count()))]
        wanted = self.find.lower()
        found = next((row for row in rows if self.selectable(row) and wanted in self._shown[row].text.lower()), None)
        if found is None:
            self.app.bell()
            self.post_message(self.Filtered(f"{self.find!r} was not found"))
        else:
            self.go(found)

    def _tell(self) -> None:
        note = ""
        if self.finding:
            note = f"Find: {self.find}_"
        elif self.filter:
            total = sum(pick.key is not None for pick in self._picks)
            note = f"Filter: {self.filter}_   {self.count()} of {total}"
        elif self.find:
            note = f"n finds {self.find!r} again"
        self.post_message(self.Filtered(note))

    # -- choosing

    def toggle(self) -> None:
        """Mark or unmark the row of the cursor, and go on to the next."""
        current = self.current
        if not self.multi or current is None:
            self.app.bell()
            return
        if current.key in self.marked:
            del self.marked[current.key]
        else:
            self.marked[current.key] = None
        self.move(1)
        self.refresh()

    def choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self.current))

    def on_click(self, event: events.Click) -> None:
        row = self.row_at(event.y)
        if row is None or not self.selectable(row):
            return
        again = row == self.cursor and event.chain >= 2
        self.go(row)
        if self.multi:
            self.toggle()
        elif again:
            self.choose()
