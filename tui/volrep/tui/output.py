"""The output of a command: lines as they arrive, errors told apart, bounded, searchable.

Knows text and streams. Must not know processes.
"""

from __future__ import annotations

import codecs
from collections import deque
from dataclasses import dataclass

from rich.segment import Segment
from textual import events

from volrep.tui.lines import Lines
from volrep.tui.text import clean, wrap

LINES_MAX = 20_000  # of 100 bytes: 2 MB kept; all of it (up to 1 MiB) is in smit.log

WORDS_MAX = 4096  # characters; a longer line is no prose, and is cut wherever the screen ends


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


@dataclass(frozen=True, slots=True)
class Shown:
    """One row on the screen. `line` is the whole line on its first row, "" on those where it goes on."""

    stream: str
    text: str
    line: str


class Output(Lines):
    """Follows the end while one has not scrolled away from it. Lines longer than the screen go on in further rows."""

    def __init__(self) -> None:
        super().__init__(id="body")
        self.wrote: dict[str, bool] = {"stdout": False, "stderr": False}
        self.dropped = 0
        self.scrolled = False  # by the operator
        self.find = ""
        self.found: int | None = None
        self._lines: deque[tuple[str, str]] = deque()
        self._rows: deque[Shown] = deque()  # of all `_lines`, as the width has it
        self._partials: list[Shown] = []  # of lines that are not complete yet
        self._width = 0
        self._splitters = {"stdout": Splitter(), "stderr": Splitter()}

    @property
    def follows_cursor(self) -> bool:
        return False

    def _cut(self, stream: str, line: str) -> list[Shown]:
        width = self._width
        if not width:
            pieces = [clean(line)]
        elif len(line) <= WORDS_MAX:
            pieces = wrap(line, width)
        else:
            shown = clean(line)
            pieces = [shown[at:at + width] for at in range(0, len(shown), width)]
        return [Shown(stream, piece, "" if number else line) for number, piece in enumerate(pieces)]

    def _cut_partials(self) -> None:
        self._partials = [row for name, each in self._splitters.items() if each.partial
                          for row in self._cut(name, each.partial)]

    def count(self) -> int:
        return len(self._rows) + len(self._partials)

    def row(self, index: int) -> Shown:
        kept = len(self._rows)
        return self._rows[index] if index < kept else self._partials[index - kept]

    def text(self) -> str:
        partial = [each.partial for each in self._splitters.values() if each.partial]
        return "\n".join(clean(line) for line in (*(line for _, line in self._lines), *partial))

    def write(self, stream: str, chunk: bytes) -> None:
        """A chunk of a stream, drawn once however many lines it has."""
        at_end = self.top + self.page_rows >= self.count()
        lines = self._splitters[stream].feed(chunk)
        self.wrote[stream] = True
        self._lines.extend((stream, line) for line in lines)
        for line in lines:
            self._rows.extend(self._cut(stream, line))
        while len(self._lines) > LINES_MAX:
            self._forget_first()
        self._cut_partials()
        if at_end:
            super().scroll_rows(self.count())
        self.refresh()

    def _forget_first(self) -> None:
        self.dropped += 1
        for _ in self._cut(*self._lines.popleft()):
            self._rows.popleft()

    def on_resize(self) -> None:
        if self.size.width != self._width:
            self._width = self.size.width
            at_end = self.top + self.page_rows >= self.count()
            self._rows = deque(row for stream, line in self._lines for row in self._cut(stream, line))
            self._cut_partials()
            self.found = None
            if at_end and not self.scrolled:
                self.top = self.count()
        super().on_resize()

    def rest(self, *, at_top: bool) -> None:
        """The command has ended: show the beginning or the end, unless the operator is somewhere already."""
        if not self.scrolled:
            super().scroll_rows(-self.count() if at_top else self.count())

    def draw(self, row: int, width: int) -> list[Segment]:
        shown = self.row(row)
        style = self.rich_style
        if shown.stream == "stderr":
            style += self.style("error")
        if row == self.found:
            style += self.style("match")
        return [Segment(shown.text, style)]

    def find_next(self, *, again: bool) -> bool:
        """Scroll to the next line with the text; wraps round."""
        total, begin = self.count(), 0 if self.found is None else self.found + (1 if again else 0)
        wanted = self.find.lower()
        order = [*range(begin, total), *range(min(begin, total))]
        self.found = next((index for index in order if self._has(self.row(index), wanted)), None)
        if self.found is not None:
            self.top = self.found - self.page_rows // 2
            self._clamp()
        self.refresh()
        return self.found is not None

    def _has(self, row: Shown, wanted: str) -> bool:
        """Whether the text stands in this row, or begins a line that has it across two rows."""
        if wanted in row.text.lower():
            return True
        return wanted in row.line.lower() and not any(wanted in each.text.lower()
                                                      for each in self._cut(row.stream, row.line))

    def scroll_rows(self, step: int) -> None:
        self.scrolled = True
        super().scroll_rows(step)

    def on_key(self, event: events.Key) -> None:
        if self.navigate({"home": "ctrl+home", "end": "ctrl+end"}.get(event.key, event.key)):
            event.stop()
