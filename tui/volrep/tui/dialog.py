"""The dialog screen, which also is the shown selector: a form, the command it makes, and the ways out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.text import Text
from textual import on, work
from textual.widget import Widget
from textual.widgets import Static

from volrep.menus.extract import Row
from volrep.menus.form import Form
from volrep.menus.model import Dialog, FieldStanza, View
from volrep.model.errors import VolrepError
from volrep.tui.formview import FormView
from volrep.tui.frame import (
    CANCEL,
    COMMAND,
    DO,
    EDIT,
    EXIT,
    HELP,
    IMAGE,
    LIST,
    PALETTE,
    REFRESH,
    RESET,
    SHELL,
    Frame,
    bindings,
)
from volrep.tui.popups import ConfirmPopup, EditPopup, ListPopup
from volrep.tui.review import ReviewScreen
from volrep.tui.text import clean

INSTRUCTIONS = "Type or select values in entry fields.\nPress Enter AFTER making all desired changes."


class DialogScreen(Frame):
    """Enter runs exactly what the preview shows."""

    KEYS = (HELP, REFRESH, CANCEL, LIST, RESET, COMMAND, EDIT, IMAGE, SHELL, EXIT, DO, PALETTE)
    BINDINGS = bindings((HELP, REFRESH, CANCEL, LIST, RESET, COMMAND, EDIT, IMAGE, DO))

    def __init__(self, dialog: Dialog, crumbs: str, context: Mapping[str, str]) -> None:
        super().__init__(dialog.title, crumbs, INSTRUCTIONS)
        self.dialog = dialog
        self.fastpath = dialog.id
        self.form = Form(dialog, context)
        self.view = FormView(self.form)
        self._base = self.form.argv()
        self._ran: dict[str, str] = {}

    def body(self) -> Iterable[Widget]:
        yield Static("[Entry Fields]", id="entries", markup=False)
        yield self.view

    def below(self) -> Iterable[Widget]:
        yield Static(id="preview", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.view.focus()
        self._changed()
        if self.form.can_discover:
            self.discover()
        self.propose()

    def on_resize(self) -> None:
        super().on_resize()
        self._preview()

    @property
    def dirty(self) -> bool:
        """Whether something was filled in that has not been run."""
        return self.form.dirty and self.form.values != self._ran

    # -- values from outside

    @work(exclusive=True, group="discover")
    async def discover(self) -> None:
        """Show the current values as soon as they are known; one may type meanwhile."""
        assert self.dialog.discover is not None
        self.tell("asking for the current values …")
        try:
            document = await self.console.source.discovered(self.dialog.discover, self.form.all_values())
        except VolrepError as error:
            self.tell("")
            self.console.show_error(error)
            return
        found = self.form.discovered(document)
        self._base = self.form.argv()
        self.view.reload()
        self._changed()
        self.tell("" if found else "the current values were not found; F2 asks again", "" if found else "warn")

    @work(exclusive=True, group="propose")
    async def propose(self) -> None:
        """What must be chosen from one value only is filled in, and lists are warm when F4 is pressed."""
        for field in self.dialog.fields:
            if not field.source:
                continue
            try:
                rows = await self.console.source.rows(self.console.catalogue.lists[field.source],
                                                      self._values_for(field))
            except VolrepError as error:
                self.tell(error.text.splitlines()[0], "warn")  # the field can be typed; F4 says it in full
                return
            values = {row.value for row in rows}
            if len(values) == 1 and field.required and not self.form.values[field.name]:
                self.form.start_with(field.name, values.pop())
        self._base = self.form.argv()
        self.view.reload()
        self._changed()

    def _values_for(self, field: FieldStanza) -> dict[str, str]:
        """What placeholders of a field's list see: everything but the field itself."""
        return {**self.form.all_values(), field.name: ""}

    # -- drawing

    @on(FormView.Edited)
    def _edited(self) -> None:
        self._changed()

    @on(FormView.Moved)
    def _moved(self) -> None:
        self._changed()

    @on(FormView.Refused)
    def _refused(self, event: FormView.Refused) -> None:
        self.tell(event.why, "warn")

    def _changed(self) -> None:
        field = self.view.field
        error = self.form.problem(field) if field is not None else None
        typed = field is not None and self.form.values[field.name] != ""
        if error is not None and typed:
            self.tell(f"{error.text}: {error.hint}", "error")
        else:
            self.tell(_choice_help(field, self.form))
        self._preview()

    def _preview(self) -> None:
        words = self.form.argv()
        line = Text(f"$ {self.console.program.shown}", no_wrap=True, overflow="ellipsis")
        for word in words:
            line.append(" ")
            line.append(clean(self.console.program.show([word]).split(" ", 1)[1]),
                        style="" if word in self._base else "bold")
        for preview in self.query("#preview").results(Static):  # none when the screen was left meanwhile
            preview.update(line)

    # -- keys

    def action_help(self) -> None:
        field = self.view.field
        if field is None:
            self.console.show_help(self.heading, self.dialog.help)
            return
        text = field.help.strip()
        if self.dialog.help:
            text += f"\n\n{self.dialog.title}:\n{self.dialog.help.strip()}"
        self.console.show_help(field.label.strip(), text)

    def action_refresh(self) -> None:
        self.console.source.forget()
        if self.form.can_discover:
            self.discover()
        self.propose()
        self.refresh()

    def action_list(self) -> None:
        field = self.view.field
        if field is None or not field.listed:
            self.app.bell()
            self.tell("there is no list for this field; type the value", "warn")
            return
        self._list(field)

    @work(exclusive=True, group="list")
    async def _list(self, field: FieldStanza) -> None:
        multi = field.kind == "multi-list"
        popup: ListPopup
        if field.choices:
            texts = [Row(choice.value or choice.text, (choice.text, choice.help.strip()), {})
                     for choice in field.choices]

            async def given(_: bool) -> list[Row]:
                return texts

            popup = ListPopup(field.label.strip(), given, ("", ""), multi=multi, current=self.form.values[field.name],
                              help_text=field.help)
        else:
            popup = self.console.list_popup(field.source, self._values_for(field), title=field.label.strip(),
                                            multi=multi, current=self.form.values[field.name], join=field.join)
        rows = await self.app.push_screen_wait(popup)
        if rows:
            self.take(field, rows)

    def take(self, field: FieldStanza, rows: Sequence[Row]) -> None:
        """Rows that were chosen for a field."""
        could = self.form.can_discover
        self.form.choose(field.name, rows)
        self.view.reload()
        self._changed()
        if self.form.can_discover and not could:
            self.discover()

    def action_reset(self) -> None:
        field = self.view.field
        if field is not None:
            self.form.reset(field.name)
            self.view.reload()
            self._changed()

    def action_command(self) -> None:
        self.console.show_command(self.form.argv())

    @work(exclusive=True, group="edit")
    async def action_edit(self) -> None:
        field = self.view.field
        if field is None or not field.typed:
            self.app.bell()
            return
        popup = EditPopup(field.label.strip(), self.form.values[field.name], field.max_chars,
                          password=field.kind == "secret")
        value = await self.app.push_screen_wait(popup)
        if value is not None:
            self.form.set(field.name, value)
            self.view.reload()
            self._changed()

    @work(exclusive=True, group="do")
    async def action_do(self) -> None:
        problems = self.form.problems()
        if problems:
            field, error = problems[0]
            self.view.refuse([each.name for each, _ in problems])
            self.view.go_field(field.name)
            self.console.show_error(error)
            return
        if self.dialog.review:
            self._review()
        elif await confirmed(self, self.form):
            self._run()

    def _review(self) -> None:
        """Show first what will happen; the confirmation comes behind it."""
        view = self.console.catalogue.screen(self.dialog.review)
        assert isinstance(view, View)
        words = [*self.dialog.review_words, *self.form.argv()]
        self.console.push_screen(ReviewScreen(f"Before: {self.heading}", view, self.console.crumbs(self.heading),
                                              self.form.all_values(), words,
                                              lambda screen: confirmed(screen, self.form), self._run))

    def _run(self) -> None:
        self._ran = dict(self.form.values)
        self.console.run_dialog(self.form)


async def confirmed(screen: Frame, form: Form) -> bool:
    """Ask where the dialog wants it. Must be awaited in a worker."""
    await screen.console.source.explain(form, screen.console.catalogue.lists)
    text = form.confirmation()
    if not text:
        return True
    popup = ConfirmPopup(text, name=form.confirmation_name(), command=screen.console.program.show(form.argv()),
                         proceed=form.dialog.title)
    answer: bool | None = await screen.app.push_screen_wait(popup)
    return answer is True


def _choice_help(field: FieldStanza | None, form: Form) -> str:
    """One line about the value that a ring shows, or about the field."""
    if field is None:
        return ""
    for choice in field.choices:
        if (choice.value or choice.text) == form.values[field.name] and choice.help:
            return choice.help
    return field.help.strip().splitlines()[0] if field.help else ""
