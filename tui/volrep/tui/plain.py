"""The console in plain lines: numbered choices, one question at a time. For screen readers and dumb terminals.

Knows the same stanzas, forms and answers as the full screen; only asking and telling differ. Reads lines from stdin, so
it can also be driven by a program. Words that work everywhere: ? help, ! the command, < back, q leave.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from volrep.menus.extract import Row, fill_words, value_at
from volrep.menus.form import Form
from volrep.menus.load import Catalogue
from volrep.menus.model import Dialog, FieldStanza, Menu, Selector, View
from volrep.menus.show import text_of
from volrep.model.errors import VolrepError
from volrep.model.messages import console as messages
from volrep.tui.journal import Journal
from volrep.tui.runner import Program, start
from volrep.tui.source import Source
from volrep.tui.text import clean, columns

HELP = "number or text: choose   ?: help   <: back   q: leave"
FORM_HELP = "number: change that field   r: run   !: show the command   ?: help   <: back   q: leave"


class Leave(Exception):
    """The operator is done."""


class Lines:
    """Asks and tells on two text streams."""

    def __init__(self, source: TextIO, target: TextIO) -> None:
        self._source = source
        self._target = target

    def say(self, text: str = "") -> None:
        self.write(text + "\n")

    def write(self, text: str) -> None:
        self._target.write(text)
        self._target.flush()

    def ask(self, prompt: str) -> str:
        """A line. Raises Leave at the end of input or for q."""
        self.write(f"{prompt}> ")
        line = self._source.readline()
        if not line or line.strip() == "q":
            raise Leave
        return line.strip()


class PlainConsole:
    """One per run."""

    def __init__(self, catalogue: Catalogue, program: Program, journal: Journal, lines: Lines) -> None:
        self.catalogue = catalogue
        self.program = program
        self.journal = journal
        self.source = Source(program)
        self.lines = lines

    async def open(self, name: str, context: Mapping[str, str]) -> None:
        """A screen and everything below it; returns when the operator goes back."""
        screen = self.catalogue.screen(name)
        self.journal.visited(screen)
        match screen:
            case Menu():
                await self._menu(screen, context)
            case Selector():
                await self._selector(screen, context)
            case Dialog():
                await self._dialog(screen, context)
            case View():
                await self._run_words(fill_words([w for w in screen.command if w != "--json"], context), screen.title,
                                      screen.id, {})

    # -- menus and lists

    async def _menu(self, menu: Menu, context: Mapping[str, str]) -> None:
        items = [item for item in menu.items if item.next]
        while True:
            self.lines.say(f"\n{menu.title}  [{menu.id}]")
            for number, item in enumerate(items, 1):
                self.lines.say(f"{number:>3}. {item.text.strip()}")
            answer = self.lines.ask("choice")
            if answer == "<":
                return
            if answer in {"", "?"}:
                self.lines.say(f"{menu.help.strip()}\n{HELP}".strip())
                for item in items if answer == "?" else []:
                    self.lines.say(f"{item.text.strip()}: {' '.join(item.help.split())}")
                continue
            chosen = pick(answer, [item.text for item in items])
            if chosen is not None:
                await self.open(items[chosen].next, context)
            elif answer in self.catalogue.screens or answer in self.catalogue.aliases:
                await self.open(answer, context)
            else:
                self.lines.say(f"{answer!r} is not one of them. {HELP}")

    async def _rows(self, name: str, values: Mapping[str, str]) -> list[Row]:
        source = self.catalogue.lists[name]
        try:
            rows = await self.source.rows(source, values)
        except VolrepError as error:
            self._error(error)
            return []
        if not rows:
            self._error(VolrepError(messages.LIST_EMPTY, reason=source.empty))
        return rows

    async def _choose(self, title: str, name: str, values: Mapping[str, str], *, multi: bool) -> list[Row]:
        rows = await self._rows(name, values)
        if not rows:
            return []
        heading, *texts = columns([[column.title for column in self.catalogue.lists[name].columns],
                                   *(row.cells for row in rows)])
        self.lines.say(f"\n{title}\n     {heading}")
        for number, text in enumerate(texts, 1):
            self.lines.say(f"{number:>3}. {text}")
        answer = self.lines.ask("choices, with commas" if multi else "choice")
        parts = answer.split(",") if multi else [answer]
        chosen = [pick(part.strip(), [row.value for row in rows]) for part in parts]
        return [rows[index] for index in chosen if index is not None]

    async def _selector(self, selector: Selector, context: Mapping[str, str]) -> None:
        chosen = await self._choose(selector.title, selector.source, context, multi=False)
        if not chosen:
            return
        row = chosen[0]
        by = text_of(value_at(row.chain, selector.route_by)) if selector.route_by else row.value
        carried = {key: value for key, value in row.carried.items() if value}
        await self.open(selector.routes.get(by, selector.next), {**context, **carried, selector.name: row.value})

    # -- dialogs

    async def _dialog(self, dialog: Dialog, context: Mapping[str, str]) -> None:
        form = Form(dialog, context)
        if dialog.discover is not None and form.can_discover:
            try:
                form.discovered(await self.source.discovered(dialog.discover, form.all_values()))
            except VolrepError as error:
                self._error(error)
        if dialog.ghost:
            await self._run(form)
            return
        fields = [field for field in dialog.fields if field.kind != "heading"]
        going_on = True
        while going_on:
            self._show_form(form, fields)
            going_on = await self._answered(form, fields, self.lines.ask("field"))

    async def _answered(self, form: Form, fields: Sequence[FieldStanza], answer: str) -> bool:
        """Do what was answered to a form. False: done with it."""
        if answer == "<":
            return False
        if answer == "?":
            self.lines.say(f"{form.dialog.help.strip()}\n{FORM_HELP}")
        elif answer == "!":
            self.lines.say(self.program.show(form.argv()))
        elif answer in {"r", "run"}:
            return not (await self._run(form) and form.dialog.done == "menu")
        elif (at := pick(answer, [field.label.strip() for field in fields])) is not None:
            await self._edit(form, fields[at])
        else:
            self.lines.say(FORM_HELP)
        return True

    def _show_form(self, form: Form, fields: Sequence[FieldStanza]) -> None:
        self.lines.say(f"\n{form.dialog.title}  [{form.dialog.id}]")
        for number, field in enumerate(fields, 1):
            shown = "(secret)" if field.kind == "secret" and form.values[field.name] else form.shown(field)
            self.lines.say(f"{number:>3}. {'* ' if field.required else ''}{field.label.strip()}: {clean(shown)}")

    async def _edit(self, form: Form, field: FieldStanza) -> None:
        if field.help:
            self.lines.say(" ".join(field.help.split()))
        if field.choices:
            texts = [choice.text for choice in field.choices]
            for number, text in enumerate(texts, 1):
                self.lines.say(f"{number:>3}. {text}")
            chosen = pick(self.lines.ask(field.label.strip()), texts)
            if chosen is not None:
                form.set(field.name, field.choices[chosen].value or texts[chosen])
            return
        if field.kind == "fixed":
            return
        answer = self.lines.ask(f"{field.label.strip()} ({'+ for a list, ' if field.source else ''}- for nothing)")
        if answer == "+" and field.source:
            rows = await self._choose(field.label.strip(), field.source, {**form.all_values(), field.name: ""},
                                      multi=field.kind == "multi-list")
            if rows:
                form.choose(field.name, rows)
        elif answer:
            form.set(field.name, "" if answer == "-" else answer[:field.max_chars])
        if (error := form.problem(field)) is not None:
            self._error(error)

    async def _run(self, form: Form) -> bool:
        for _, error in form.problems():
            self._error(error)
            return False
        await self.source.explain(form, self.catalogue.lists)
        text, name = form.confirmation(), form.confirmation_name()
        if form.dialog.review:  # the same as text, as the command words it
            words = [word for word in form.dialog.review_words if word != "--json"]
            if not await self._run_words([*words, *form.argv()], form.dialog.title, form.dialog.id, {}):
                return False
        if text:
            wanted = name or "yes"
            self.lines.say(f"{text}\n{self.program.show(form.argv())}")
            if self.lines.ask(f"type {wanted} to go on") != wanted:
                self.lines.say("nothing was done")
                return False
        done = await self._run_words(form.argv(), form.dialog.title, form.dialog.id, form.environment())
        if form.dialog.changes:
            self.source.forget()
        return done

    async def _run_words(self, words: list[str], title: str, fastpath: str, environment: Mapping[str, str]) -> bool:
        self.lines.say(f"$ {self.program.show(words)}")
        self.journal.command(words, title)
        began_s = time.monotonic()
        try:
            running = await start(self.program, words, environment, columns=78)
        except VolrepError as error:
            self._error(error)
            return False
        async for _, chunk in running.output():
            text = chunk.decode(errors="replace")
            self.journal.output(text)
            self.lines.write(text)
        assert running.exit is not None
        self.journal.ended(words, title, fastpath, running.exit, time.monotonic() - began_s)
        self.lines.say("Command: OK" if running.exit == 0 else f"Command: failed, exit code {running.exit}")
        return running.exit == 0

    def _error(self, error: VolrepError) -> None:
        self.lines.say(f"{error.id}: {error.text}\nhint: {error.hint}")


def pick(answer: str, texts: Sequence[str]) -> int | None:
    """By number, by the whole text, or by a part that only one of them has."""
    if answer.isdigit():
        return int(answer) - 1 if 1 <= int(answer) <= len(texts) else None
    lowered = answer.lower()
    equal = [index for index, text in enumerate(texts) if text.strip().lower() == lowered]
    part = [index for index, text in enumerate(texts) if lowered and lowered in text.lower()]
    return equal[0] if equal else part[0] if len(part) == 1 else None


async def run(catalogue: Catalogue, program: Program, journal: Journal, fastpath: str, *, source: TextIO | None = None,
              target: TextIO | None = None) -> int:
    """The line mode, until q, the end of input, or back from the first screen."""
    console = PlainConsole(catalogue, program, journal, Lines(source or sys.stdin, target or sys.stdout))
    journal.started()
    try:
        await console.open(fastpath, {})
    except Leave:
        console.lines.say()
    except BrokenPipeError:
        return 1  # nobody reads any more
    finally:
        journal.exited()
        await console.source.close()
    return 0
