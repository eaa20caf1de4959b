"""The base of everything that scrolls: rows drawn one by one, a cursor, SMIT's [TOP] [MORE...n] [BOTTOM].

Knows drawing and moving. Draws only the rows in sight, so ten thousand rows cost what twenty cost.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

WHEEL_ROWS = 3


class Lines(Widget, can_focus=True):
    """Subclasses say how many rows there are, draw one, and which ones the cursor may stand on."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--cursor", "lines--dim", "lines--heading", "lines--match", "lines--marker", "lines--error",
        "lines--changed", "lines--value", "lines--edit", "lines--caret", "lines--good", "lines--warn", "lines--bad",
    }

    class Moved(Message):
        """The cursor stands on another row."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor = 0
        self.top = 0  # first row in sight

    # -- for subclasses

    def count(self) -> int:
        raise AssertionError("each kind of rows has its own")

    def draw(self, row: int, width: int) -> list[Segment]:
        raise AssertionError("each kind of rows has its own")

    def selectable(self, row: int) -> bool:
        return True

    @property
    def follows_cursor(self) -> bool:
        """False: arrows scroll, there is no cursor to see."""
        return True

    # -- drawing

    def style(self, name: str) -> Style:
        return self.get_component_rich_style(f"lines--{name}")

    @property
    def page_rows(self) -> int:
        """Rows in sight: two lines belong to the markers when not everything fits."""
        height = self.size.height
        return height if self.count() <= height else max(1, height - 2)

    def render_line(self, y: int) -> Strip:
        width, total = self.size.width, self.count()
        if total <= self.size.height:
            segments = self.draw(y, width) if y < total else []
        elif y == 0:
            segments = [self._marker("TOP", self.top)]
        elif y == self.size.height - 1:
            segments = [self._marker("BOTTOM", total - self.top - self.page_rows)]
        else:
            row = self.top + y - 1
            segments = self.draw(row, width) if row < total else []
        return Strip(segments).adjust_cell_length(width, self.rich_style).apply_style(Style.null())

    def _marker(self, end: str, hidden: int) -> Segment:
        return Segment(f"[MORE...{hidden}]" if hidden > 0 else f"[{end}]", self.rich_style + self.style("marker"))

    # -- moving

    def move(self, step: int) -> None:
        """The next selectable row in a direction; stays where there is none."""
        if not self.follows_cursor:
            self.scroll_rows(step)
            return
        row = self.cursor + step
        while 0 <= row < self.count() and not self.selectable(row):
            row += 1 if step > 0 else -1
        if 0 <= row < self.count():
            self.go(row)
        elif abs(step) > 1:
            self.go_end(1 if step > 0 else -1)
        else:
            self.scroll_rows(step)  # a heading above the first item comes into sight again

    def go(self, row: int) -> None:
        self.cursor = row
        self.reveal(row)
        self.refresh()
        self.post_message(self.Moved())

    def go_end(self, direction: int) -> None:
        """The first or last selectable row."""
        if not self.follows_cursor:
            self.scroll_rows(direction * self.count())
            return
        rows = range(self.count()) if direction < 0 else range(self.count() - 1, -1, -1)
        found = next((row for row in rows if self.selectable(row)), None)
        if found is not None:
            self.go(found)

    def reveal(self, row: int) -> None:
        self.top = min(self.top, row)
        self.top = max(self.top, row - self.page_rows + 1)
        self._clamp()

    def scroll_rows(self, step: int) -> None:
        self.top += step
        self._clamp()
        self.refresh()

    def _clamp(self) -> None:
        self.top = max(0, min(self.top, self.count() - self.page_rows))

    def on_resize(self) -> None:
        self.reveal(self.cursor) if self.follows_cursor else self._clamp()
        self.refresh()

    def navigate(self, key: str) -> bool:
        """Keys that every kind of rows understands. False: not one of them."""
        page = max(1, self.page_rows - 1)
        match key:
            case "up" | "down":
                self.move(1 if key == "down" else -1)
            case "pageup" | "pagedown" | "ctrl+v":
                self.move(-page if key == "pageup" else page)
            case "ctrl+home" | "ctrl+end":
                self.go_end(-1 if key == "ctrl+home" else 1)
            case _:
                return False
        return True

    # -- mouse

    def row_at(self, y: int) -> int | None:
        """The row under a line of the widget."""
        row = y if self.count() <= self.size.height else self.top + y - 1
        marker = self.count() > self.size.height and y in (0, self.size.height - 1)
        return None if marker or not 0 <= row < self.count() else row

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-WHEEL_ROWS)
