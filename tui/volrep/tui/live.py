"""Live views: a command's JSON drawn in place, again and again, without flicker.

Knows layout. What is shown, from which paths, is the stanza's. One picture is asked for at a time, and never more often
than takes a fifth of the time, so that a slow host is not asked faster than it answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rich.segment import Segment
from textual import work
from textual.widget import Widget
from textual.widgets import Static

from volrep.menus.extract import fill, fill_words
from volrep.menus.model import View, Words
from volrep.model.errors import VolrepError
from volrep.tui.drawing import Line, draw
from volrep.tui.frame import CANCEL, COMMAND, EXIT, HELP, IMAGE, PALETTE, REFRESH, SHELL, Frame, Key, bindings
from volrep.tui.lines import Lines

DUTY = 4  # pause at least this many times as long as the last answer took


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
