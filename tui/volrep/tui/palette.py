"""Ctrl+P: any screen, field or help text of the whole tree, found by what it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from textual import on, work
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.css.query import NoMatches
from textual.markup import escape
from textual.widgets import Input

from volrep.menus.extract import fill
from volrep.menus.load import Catalogue
from volrep.menus.model import Dialog, Menu, Screen, placeholders

if TYPE_CHECKING:
    from volrep.tui.console import Console

DISCOVER_MAX = 30  # shown before anything is typed: the first two levels


@dataclass(frozen=True, slots=True)
class Entry:
    """`found_by` is searched and seen, `shown` explains it. Weight 1: letters in any order of words will do."""

    target: str
    found_by: str
    shown: str
    weight: float = 1.0


def entries(catalogue: Catalogue) -> Iterator[Entry]:
    """Screens first, then fields, then help texts."""
    screens = [screen for screen in catalogue.screens.values() if screen.id in catalogue.parents]
    for screen in screens:
        yield Entry(screen.id, f"{_title(screen)}  [{screen.id}]", _where(catalogue, screen))
    for screen in screens:
        if isinstance(screen, Dialog):
            for field in screen.fields:
                if field.kind != "heading":
                    yield Entry(screen.id, f"{field.label.strip()} ({screen.title})", " ".join(field.help.split()), 0.8)
    for screen in screens:
        items = screen.items if isinstance(screen, Menu) else []
        for target, text in ((screen.id, screen.help), *((item.next, item.help) for item in items)):
            if text and target:
                yield Entry(target, " ".join(text.split())[:110], _title(catalogue.screens[target]), 0.5)


def _title(screen: Screen) -> str:
    """The title; the object of a live view is not known yet."""
    return fill(screen.title, dict.fromkeys(placeholders(screen.title), "…"))


def _where(catalogue: Catalogue, screen: Screen) -> str:
    return " › ".join(_title(each) for each in catalogue.trail(screen.id)[1:-1])


class Everywhere(Provider):
    """Feeds Textual's palette."""

    @property
    def console(self) -> Console:
        return cast("Console", self.app)

    async def discover(self) -> Hits:
        for number, entry in enumerate(entries(self.console.catalogue)):
            if number >= DISCOVER_MAX:
                return
            yield DiscoveryHit(Content(entry.found_by), partial(self.console.open, entry.target, {}),
                               text=entry.found_by, help=escape(entry.shown))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in entries(self.console.catalogue):
            if entry.weight < 1 and query.lower() not in entry.found_by.lower():
                continue  # in prose every letter is somewhere
            score = matcher.match(entry.found_by) * entry.weight
            if score > 0:
                yield Hit(score, _marked(entry.found_by, query), partial(self.console.open, entry.target, {}),
                          text=entry.found_by, help=escape(entry.shown))


def _marked(text: str, query: str) -> Content:
    """The words of the query underlined. (The matcher's own highlighting would read brackets as markup.)"""
    content = Content(text)
    for word in query.lower().split():
        at = text.lower().find(word)
        if at >= 0:
            content = content.stylize("underline", at, at + len(word))
    return content


class GoTo(CommandPalette):
    """The palette, where a fast path typed in full is obeyed at once, as `smitty FASTPATH` is.

    Textual fills the list in the background, and Enter before that does nothing: who knows the way would wait.
    """

    @work(exclusive=True, group=CommandPalette._GATHER_COMMANDS_GROUP)
    async def _gather_commands(self, search_value: str) -> None:
        """As Textual's, which takes it for a mistake when the console is left before the list has been looked at."""
        gather = CommandPalette._gather_commands.__wrapped__  # type: ignore[attr-defined]  # set by functools.wraps
        try:
            await gather(self, search_value)
        except NoMatches:
            if not cast("Console", self.app).leaving:
                raise

    @on(Input.Submitted)
    def _fast_path(self, event: Input.Submitted) -> None:
        console = cast("Console", self.app)
        name = event.value.strip().strip("[]")
        if console.catalogue.knows(name):
            event.prevent_default()
            event.stop()
            self._cancel_gather_commands()
            self.dismiss()
            console.call_later(console.open, name, {})
