"""The console: opens screens, keeps what they share, folds keys.

Knows how screens follow each other. What they are is the stanzas', how they look is console.tcss.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.console import RenderableType
from textual import events, work
from textual.app import App, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.command import CommandPalette

from volrep.menus.extract import Row, fill
from volrep.menus.form import Form
from volrep.menus.load import ROOT, Catalogue
from volrep.menus.model import Dialog, Menu, Selector, View
from volrep.model.errors import VolrepError
from volrep.model.messages import console as messages
from volrep.tui import keys
from volrep.tui.dialog import DialogScreen, confirmed
from volrep.tui.frame import Frame
from volrep.tui.journal import Journal
from volrep.tui.live import ViewScreen
from volrep.tui.menu import MenuScreen
from volrep.tui.palette import Everywhere, GoTo
from volrep.tui.popups import ConfirmPopup, ListPopup, TextPopup
from volrep.tui.runner import Program
from volrep.tui.source import Source
from volrep.tui.status import Job, StatusScreen
from volrep.tui.themes import THEMES

SCREENS_MAX = 64  # a stack deeper than any tree; a circle of `next` must not grow it without end


class Console(App[int]):
    """`fastpath` opens a screen directly; F3 there leaves, as in SMIT."""

    TITLE = "volrep"
    CSS_PATH = "console.tcss"
    COMMANDS = App.COMMANDS | {Everywhere}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "shell", "Shell", show=False),
        Binding("f10", "leave", "Exit", show=False, priority=True),
    ]

    def __init__(self, catalogue: Catalogue, program: Program, journal: Journal, fastpath: str = ROOT) -> None:
        keys.install()
        super().__init__()
        self.catalogue = catalogue
        self.program = program
        self.journal = journal
        self.source = Source(program)
        self.leaving = False
        self._first = catalogue.screen(fastpath).id
        self._folder = keys.EscFolder()
        for theme in THEMES:
            self.register_theme(theme)
        if "TEXTUAL_THEME" not in os.environ:
            self.theme = THEMES[0].name

    def on_mount(self) -> None:
        self.journal.started()
        self.open(self._first, {})
        if self.journal.problem:
            self.notify(f"nothing is logged: {self.journal.problem}", severity="warning")

    async def on_unmount(self) -> None:
        self.journal.exited()
        await self.source.close()

    # -- keys

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded and not isinstance(self.screen, CommandPalette):
            key = self._folder.fold(event.key, event.character, time.monotonic())
            if key is None:
                self._esc_waits()
                return
            if key != event.key:
                event = events.Key(key, None)
        await super().on_event(event)

    def _esc_waits(self) -> None:
        if isinstance(self.screen, Frame):
            self.screen.tell("Esc: now 1 to 9 or 0 for F1 to F10, or Esc again for Cancel")

    def exit(self, result: int | None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        self.leaving = True
        super().exit(result, return_code, message)

    # -- where to go

    def crumbs(self, *more: str) -> str:
        """The menus on the way here; for a screen opened by its fast path: where it belongs."""
        trail = [screen.heading for screen in self.screen_stack if isinstance(screen, MenuScreen)]
        if not trail:
            trail = [screen.title for screen in self.catalogue.trail(self._first)[:-1] if isinstance(screen, Menu)]
        return " › ".join(["volrep", *trail[1:], *more])

    def title_of(self, name: str, context: Mapping[str, str]) -> str:
        screen = self.catalogue.screen(name)
        return fill(screen.title, context) if isinstance(screen, View) else screen.title

    @work(group="open", exclusive=True)
    async def open(self, name: str, context: Mapping[str, str]) -> None:
        """Open a screen, asking what its selectors ask."""
        values = dict(context)
        screen = self.catalogue.screen(name)
        while isinstance(screen, Selector):
            self.journal.visited(screen)
            rows = await self.push_screen_wait(self.list_popup(screen.source, values, title=screen.title,
                                                               skip_only=screen.skip_only, help_text=screen.help))
            if not rows:
                self._left_behind()
                return
            values.update({key: value for key, value in rows[0].carried.items() if value})
            values[screen.name] = rows[0].value
            screen = self.catalogue.screen(_routed(screen, rows[0]))
        if len(self.screen_stack) >= SCREENS_MAX:
            self.back(to_menu=True)
        self.journal.visited(screen)
        await self._show(screen, values)

    async def _show(self, screen: Menu | Dialog | View, values: dict[str, str]) -> None:
        match screen:
            case Menu():
                await self.push_screen(MenuScreen(screen, self.crumbs(), values))
            case Dialog() if screen.ghost:
                await self._run_ghost(Form(screen, values))
            case Dialog():
                await self.push_screen(DialogScreen(screen, self.crumbs(), values))
            case View():
                await self._show_view(screen, values)

    async def _show_view(self, view: View, values: dict[str, str]) -> None:
        """A view that was opened by its fast path asks first which object it is about."""
        asks = next((each for each in self.catalogue.screens.values()
                     if isinstance(each, Selector) and each.next == view.id), None)
        if asks is not None and not values.get(asks.name):
            self.open(asks.id, values)
            return
        await self.push_screen(ViewScreen(view, self.crumbs(), values))

    async def _run_ghost(self, form: Form) -> None:
        if isinstance(self.screen, Frame) and not await confirmed(self.screen, form):
            return
        self.run_dialog(form)

    def _left_behind(self) -> None:
        """A first screen that was only a pop-up and was cancelled: there is nothing to go back to."""
        if not any(isinstance(screen, Frame) for screen in self.screen_stack):
            self.exit(0)

    def back(self, *, to_menu: bool = False) -> None:
        """One screen back; from the first one, out."""
        frames = [screen for screen in self.screen_stack if isinstance(screen, Frame)]
        steps = 1
        if to_menu:
            above = list(reversed(frames))
            steps = next((number for number, screen in enumerate(above) if isinstance(screen, MenuScreen)), len(above))
        if steps >= len(frames):
            self.exit(0)
            return
        for _ in range(steps):
            self.pop_screen()

    # -- what screens ask for

    def list_popup(self, name: str, values: Mapping[str, str], *, title: str, multi: bool = False, current: str = "",
                   join: str = ",", skip_only: bool = False, help_text: str = "") -> ListPopup:
        source = self.catalogue.lists[name]

        async def load_rows(fresh: bool) -> list[Row]:
            return await self.source.rows(source, values, fresh=fresh)

        return ListPopup(title, load_rows, [column.title for column in source.columns], multi=multi,
                         marked=current.split(join) if multi else (), current=current, empty=source.empty,
                         skip_only=skip_only, help_text=help_text or source.help)

    def run_dialog(self, form: Form) -> None:
        dialog = form.dialog
        job = Job(form.argv(), dialog.title, dialog.id, form.environment(), dialog.changes, dialog.done == "menu",
                    dialog.next, form.all_values())
        if dialog.terminal:
            self._run_on_terminal(job)
        else:
            self.push_screen(StatusScreen(job, self.crumbs(dialog.title)))

    def _run_on_terminal(self, job: Job) -> None:
        """The command has the terminal to itself; afterwards the console is there again."""
        self.journal.command(job.words, job.title)
        began_s = time.monotonic()
        environment = {**os.environ, **self.program.environment, **job.environment}
        try:
            with self.suspend():
                done = subprocess.run([*self.program.prefix, *job.words], env=environment, check=False)
                input("Enter returns to the console. ")
        except SuspendNotSupported:
            self.notify("this terminal cannot be lent to a command", severity="error")
            return
        self.journal.ended(job.words, job.title, job.fastpath, done.returncode, time.monotonic() - began_s)
        self.source.forget()

    def show_error(self, error: VolrepError) -> None:
        self.bell()
        self.push_screen(TextPopup("ERROR MESSAGE", f"{error.id}: {error.text}\n\nhint: {error.hint}",
                                   tone="danger"))

    def show_help(self, title: str, text: str) -> None:
        self.push_screen(TextPopup(title, text.strip() or f"{messages.NO_HELP.id}: {messages.NO_HELP.text}\n\n"
                                   f"hint: {messages.NO_HELP.hint}",
                                   "Press Enter or Cancel to return. F1 again explains the keys."))

    def show_command(self, words: Sequence[str]) -> None:
        shown = self.program.show(words)
        self.push_screen(TextPopup("COMMAND", shown, copy=shown))

    def show_image(self, fastpath: str) -> None:
        """F8: the screen as text, into smit.log when Enter says so."""
        image = screen_text(self)
        path = self.journal.directory / "smit.log"
        said = f'Current fast path: "{fastpath}"\n\nvolrep console {fastpath}\n\nopens it directly.' if fastpath else \
            "This pop-up has no fast path of its own."
        self.push_screen(TextPopup("PRINT SCREEN", said, f"Press Enter to save the image of this screen in {path}, "
                                   "or Cancel to return.", done=lambda: self.journal.image(image, fastpath)))

    def _fatal_error(self) -> None:
        """A mistake in the console itself: end; `main` raises it, and nobody reads a traceback on the screen."""
        self._close_messages_no_wait()

    @property
    def mistake(self) -> Exception | None:
        """What ended the console, when it was not the operator."""
        return self._exception

    # -- keys of the whole console

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette) and not self.leaving:
            self.push_screen(GoTo(id="--command-palette"))

    def action_shell(self) -> None:
        shell = os.environ.get("SHELL") or "/bin/sh"
        try:
            with self.suspend():
                print("Type exit to return to the console.", flush=True)  # noqa: T201  # the terminal is the shell's
                subprocess.run([shell], check=False)
        except SuspendNotSupported:
            self.notify("a shell is not possible in this terminal", severity="error")
        self.source.forget()

    @work(exclusive=True, group="leave")
    async def action_leave(self) -> None:
        """At once, as in SMIT, unless a form was filled in or a command is running."""
        if isinstance(self.screen, ConfirmPopup):
            return
        frames = [screen for screen in self.screen_stack if isinstance(screen, Frame)]
        reason = next((said for screen in frames if (said := _why_stay(screen))), "")
        if reason and not await self.push_screen_wait(ConfirmPopup(reason, title="LEAVE THE CONSOLE?",
                                                                   proceed="Leave")):
            return
        for screen in frames:
            if isinstance(screen, StatusScreen):
                screen.end_now()
        self.exit(0)


def _why_stay(screen: Frame) -> str:
    if isinstance(screen, StatusScreen) and screen.running:
        return f"{screen.job.title} is still running. Leaving interrupts the command."
    if isinstance(screen, DialogScreen) and screen.dirty and screen.is_current:
        return f"{screen.heading} was filled in and not done. Leaving gives up what was typed."
    return ""


def _routed(selector: Selector, row: Row) -> str:
    from volrep.menus.extract import value_at
    from volrep.menus.show import text_of

    value = text_of(value_at(row.chain, selector.route_by)) if selector.route_by else row.value
    return selector.routes.get(value, selector.next)


def screen_text(app: App[int]) -> str:
    """What is on the screen, as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)
