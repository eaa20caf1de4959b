"""COMMAND STATUS: runs a command, shows what it says while it says it, and how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from textual import events, on, work
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from volrep.model.errors import VolrepError
from volrep.model.units import format_duration
from volrep.tui.frame import (
    CANCEL,
    COMMAND,
    DO,
    EXIT,
    FIND,
    FIND_NEXT,
    HELP,
    IMAGE,
    REFRESH,
    SHELL,
    Frame,
    Key,
    bindings,
)
from volrep.tui.output import Output
from volrep.tui.popups import ConfirmPopup
from volrep.tui.runner import Running, start

INTERRUPT = Key("Ctrl+C", "Interrupt", "ctrl+c", "interrupt")
READ_FROM_TOP_S = 10.0  # longer commands told their progress; their last lines are the news
HELP_TEXT = """\
Command: running, then OK (exit code 0) or failed. stdout and stderr tell whether anything was written to each.

Ctrl+C interrupts the command: the first time politely (SIGINT), then SIGTERM, then SIGKILL. Work that was handed to an
engine goes on there; its status shows it.

F3 goes back to the dialog, as it was filled in. / finds text, n finds it again."""


@dataclass(frozen=True, slots=True)
class Job:
    """A command and where it came from."""

    words: Sequence[str]
    title: str
    fastpath: str
    environment: Mapping[str, str] = field(default_factory=dict)
    changes: bool = True
    to_menu: bool = False  # F3 after success leads to the menu
    next: str = ""  # what Enter opens after success
    context: Mapping[str, str] = field(default_factory=dict)


class StatusScreen(Frame):
    """While the command runs, F3 asks before it interrupts."""

    KEYS = (HELP, CANCEL, COMMAND, IMAGE, SHELL, EXIT, FIND, FIND_NEXT)
    BINDINGS = bindings((HELP, REFRESH, CANCEL, COMMAND, IMAGE, DO, FIND, FIND_NEXT, INTERRUPT))

    def __init__(self, job: Job, crumbs: str) -> None:
        super().__init__("COMMAND STATUS", crumbs, "")
        self.job = job
        self.fastpath = job.fastpath
        self.output = Output()
        self.exit_code: int | None = None
        self._process: Running | None = None
        self._started_s = 0.0
        self._elapsed_s = 0.0
        self.legend.set_keys((*self.KEYS, INTERRUPT))

    def body(self) -> Iterable[Widget]:
        yield Static(id="state", markup=False)
        yield self.output

    def below(self) -> Iterable[Widget]:
        yield Input(id="find", placeholder="find")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#instructions").display = False
        self.query_one("#find").display = False
        self.output.focus()
        self._started_s = time.monotonic()
        self._clock = self.set_interval(1.0, self._draw_state)
        self._draw_state()
        self.run_command()

    @property
    def running(self) -> bool:
        return self.exit_code is None

    @work(exclusive=True, group="command")
    async def run_command(self) -> None:
        journal = self.console.journal
        journal.command(self.job.words, self.job.title)
        try:
            self._process = await start(self.console.program, self.job.words, self.job.environment,
                                        max(40, self.app.size.width - 2))
        except VolrepError as error:
            self.output.write("stderr", f"{error}\nhint: {error.hint}\n".encode())
            self._ended(127)
            return
        async with aclosing(self._process.output()) as output:
            async for stream, chunk in output:
                self.output.write(stream, chunk)
                journal.output(chunk.decode(errors="replace"))
                self._draw_state()
                await asyncio.sleep(0)  # keys come first, however much a command prints
        self._ended(self._process.exit if self._process.exit is not None else -9)

    def _ended(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self._elapsed_s = time.monotonic() - self._started_s
        self._clock.stop()
        # one reads an answer from its beginning, and errors stand at the end
        self.output.rest(at_top=exit_code == 0 and self._elapsed_s < READ_FROM_TOP_S)
        self.console.journal.ended(self.job.words, self.job.title, self.job.fastpath, exit_code, self._elapsed_s)
        if self.job.changes:
            self.console.source.forget()
        keys: tuple[Key, ...] = self.KEYS
        if exit_code == 0 and self.job.next:
            title = self.console.catalogue.screen(self.job.next).title
            short = "Next" if "{" in title else title
            keys = (*keys, Key("Enter", short, "enter", "do"))
            self.tell(f"Enter opens: {self.console.title_of(self.job.next, self.job.context)}")
        elif exit_code != 0:
            self.tell("F3 returns to the dialog as it was filled in", "warn")
        self.legend.set_keys(keys)
        self._draw_state()

    def _draw_state(self) -> None:
        elapsed = self._elapsed_s if self.exit_code is not None else time.monotonic() - self._started_s
        code = self.exit_code
        word, tone = ("running", "warn") if code is None else ("OK", "good") if code == 0 else ("failed", "bad")
        wrote = {name: "yes" if is_written else "no" for name, is_written in self.output.wrote.items()}
        after = "" if code in (None, 0) else f"     exit code: {code}"
        gone = f"     ({self.output.dropped} earlier lines: smit.log)" if self.output.dropped else ""
        line = Content.assemble(
            "Command: ", (word, f"bold ${_TONES[tone]}"),
            f"{' ' * (8 - len(word))}     stdout: {wrote['stdout']:<3}     stderr: {wrote['stderr']:<3}"
            f"     {format_duration(elapsed) if code is not None else f'{int(elapsed)}s'}{after}{gone}")
        self.query_one("#state", Static).update(line)

    # -- keys

    def action_cancel(self) -> None:
        """Close the find line, go back (at once: F3 pressed twice is two steps back), or ask whether to interrupt."""
        find = self.query_one("#find", Input)
        if find.display:
            find.display = False
            self.output.focus()
        elif not self.running:
            self.console.back(to_menu=self.job.to_menu and self.exit_code == 0)
        else:
            self.leave()

    @work(exclusive=True, group="cancel")
    async def leave(self) -> None:
        """F3 while the command runs."""
        popup = ConfirmPopup("The command is still running. Work that it has handed to an engine goes on there.",
                             title="INTERRUPT THE COMMAND?", proceed="Interrupt",
                             command=self.console.program.show(self.job.words))
        if await self.app.push_screen_wait(popup):
            self.action_interrupt()

    def action_interrupt(self) -> None:
        if self._process is not None and self.running:
            self.tell(f"{self._process.interrupt()} was sent; Ctrl+C again sends a stronger one", "warn")
        else:
            self.app.bell()

    def end_now(self) -> None:
        """The console is leaving."""
        if self._process is not None and self.running:
            self._process.interrupt()

    def action_do(self) -> None:
        if self.exit_code == 0 and self.job.next:
            self.console.open(self.job.next, self.job.context)

    def action_find(self) -> None:
        find = self.query_one("#find", Input)
        find.display = True
        find.value = ""
        find.focus()

    @on(Input.Submitted, "#find")
    def _find(self, event: Input.Submitted) -> None:
        event.input.display = False
        self.output.focus()
        self.output.find = event.value
        self._search(again=False)

    def action_find_next(self) -> None:
        if self.output.find:
            self._search(again=True)
        else:
            self.app.bell()

    def _search(self, *, again: bool) -> None:
        found = bool(self.output.find) and self.output.find_next(again=again)
        self.tell(f"n finds {self.output.find!r} again" if found else f"{self.output.find!r} was not found",
                  "" if found else "warn")

    def action_command(self) -> None:
        self.console.show_command(self.job.words)

    def action_help(self) -> None:
        self.console.show_help(self.heading, HELP_TEXT)

    def action_refresh(self) -> None:
        self.refresh(layout=True)

    def on_unmount(self, _: events.Unmount) -> None:
        self.end_now()


_TONES = {"good": "success", "warn": "warning", "bad": "error"}
