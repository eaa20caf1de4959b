"""The output of a command: lines as they arrive, errors told apart, bounded, searchable.

Knows text and streams. Must not know processes.
"""

from __future__ import annotations

import codecs
from collections import deque
from itertools import islice

from rich.segment import Segment
from textual import events

from volrep.tui.lines import Lines
from volrep.tui.text import clean

LINES_MAX = 20_000  # of 100 bytes: 2 MB kept; all of it (up to 1 MiB) is in smit.log


class Splitter:
    """Bytes of one stream into lines. A carriage return starts the line anew, as a terminal would."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.partial = ""

    def feed(self, chunk: bytes) -> list[str]:
        """The complete lines; what follows the last newline stays in `partial`."""
        *lines, rest = (self.partial + self._decoder.decode(chunk)).replace("\r\n", "\n").split("\n")
        self.partial = rest[rest.rfind("\r", 0, -1) + 1:] if "\r" in rest[:-1] else rest
        return [line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines]


class Output(Lines):
    """Follows the end while one has not scrolled away from it."""

    def __init__(self) -> None:
        super().__init__(id="body")
        self.wrote: dict[str, bool] = {"stdout": False, "stderr": False}
        self.dropped = 0
        self.scrolled = False  # by the operator
        self.find = ""
        self.found: int | None = None
        self._rows: deque[tuple[str, str]] = deque(maxlen=LINES_MAX)
        self._splitters = {"stdout": Splitter(), "stderr": Splitter()}

    @property
    def follows_cursor(self) -> bool:
        return False

    def _partials(self) -> list[tuple[str, str]]:
        return [(name, each.partial) for name, each in self._splitters.items() if each.partial]

    def count(self) -> int:
        return len(self._rows) + len(self._partials())

    def row(self, index: int) -> tuple[str, str]:
        kept = len(self._rows)
        return self._rows[index] if index < kept else self._partials()[index - kept]

    def text(self) -> str:
        return "\n".join(clean(line) for _, line in (*self._rows, *self._partials()))

    def write(self, stream: str, chunk: bytes) -> None:
        """A chunk of a stream, drawn once however many lines it has."""
        at_end = self.top + self.page_rows >= self.count()
        lines = self._splitters[stream].feed(chunk)
        self.wrote[stream] = True
        self.dropped += max(0, len(self._rows) + len(lines) - LINES_MAX)
        self._rows.extend((stream, line) for line in lines)
        if at_end:
            super().scroll_rows(self.count())
        self.refresh()

    def rest(self, *, at_top: bool) -> None:
        """The command has ended: show the beginning or the end, unless the operator is somewhere already."""
        if not self.scrolled:
            super().scroll_rows(-self.count() if at_top else self.count())

    def draw(self, row: int, width: int) -> list[Segment]:
        stream, line = self.row(row)
        style = self.rich_style
        if stream == "stderr":
            style += self.style("error")
        if row == self.found:
            style += self.style("match")
        return [Segment(clean(line), style)]

    def find_next(self, *, again: bool) -> bool:
        """Scroll to the next line with the text; wraps round."""
        total, begin = self.count(), 0 if self.found is None else self.found + (1 if again else 0)
        wanted = self.find.lower()
        order = [*range(begin, total), *range(min(begin, total))]
        lines = list(islice(((index, self.row(index)[1].lower()) for index in order), LINES_MAX))
        self.found = next((index for index, line in lines if wanted in line), None)
        if self.found is not None:
            self.top = self.found - self.page_rows // 2
            self._clamp()
        self.refresh()
        return self.found is not None

    def scroll_rows(self, step: int) -> None:
        self.scrolled = True
        super().scroll_rows(step)

    def on_key(self, event: events.Key) -> None:
        if self.navigate({"home": "ctrl+home", "end": "ctrl+end"}.get(event.key, event.key)):
            event.stop()
