"""Pop-ups: texts (help, errors, F6, F8), lists, confirmations, the editor of a long value.

Knows their behaviour. Must not know what is behind them: rows come from a function, results go to the caller.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

from rich.segment import Segment
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from volrep.menus.extract import Row
from volrep.model.errors import VolrepError
from volrep.tui.frame import CANCEL, DO, EXIT, FIND, HELP, IMAGE, REFRESH, SELECT, Key, Popup, bindings
from volrep.tui.lines import Lines
from volrep.tui.picker import Pick, Picker
from volrep.tui.text import columns, wrap

LoadRows = Callable[[bool], Awaitable[list[Row]]]
"""Gives the rows of a list; True means: ask again."""

KEYS_HELP = """\
F1 or Esc 1   help on the item or field        F7 or Esc 7   edit a long value, mark in a list
F2 or Esc 2   ask again                        F8 or Esc 8   image of the screen, fast path
F3 or Esc 3   back (Esc Esc does the same)     F9 or Esc 9   a shell
F4 or Esc 4   list of possible values          F10 or Esc 0  leave the console
F5 or Esc 5   the field as it was              Enter         do it
F6 or Esc 6   the command so far               Ctrl+P        go to any screen

Tab           next value of a ring (Shift+Tab the previous one)
Up, Down      move; PgUp and PgDn (Ctrl+V, Esc v) a page; Ctrl+Home and Ctrl+End (Esc <, Esc >) to the ends
letters       in menus and lists: show only what contains them
/ and n       in lists and output: find, and find again
Esc 1 to Esc 0 may be typed quickly, slowly, or as Alt and the digit."""


class Prose(Lines):
    """Text that scrolls."""

    def __init__(self, text: str) -> None:
        super().__init__(id="prose")
        self._text = text
        self._lines: list[str] = []

    @property
    def follows_cursor(self) -> bool:
        return False

    def on_resize(self) -> None:
        self._lines = wrap(self._text, self.size.width)
        super().on_resize()

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(wrap(self._text, width))

    def count(self) -> int:
        return len(self._lines)

    def draw(self, row: int, width: int) -> list[Segment]:
        return [Segment(self._lines[row], self.rich_style)]

    def on_key(self, event: object) -> None:
        key = getattr(event, "key", "")
        if self.navigate({"home": "ctrl+home", "end": "ctrl+end"}.get(key, key)):
            event.stop()  # type: ignore[attr-defined]  # an events.Key; named object to keep the base free of it


class TextPopup(Popup[None]):
    """Help, an error, the command of F6. `copy` is what `c` puts into the clipboard."""

    BINDINGS = bindings((HELP, CANCEL, IMAGE, DO, Key("c", "Copy", "c", "copy")))
    KEYS = (HELP, CANCEL, IMAGE, EXIT, DO)

    def __init__(self, title: str, text: str, note: str = "Press Enter or Cancel to return to the application.", *,
                 copy: str = "", tone: str = "", done: Callable[[], None] | None = None) -> None:
        super().__init__(title)
        self._text = text
        self._note = note
        self._copy = copy
        self._done = done
        self.add_class(tone or "plain")
        if copy:
            self.legend.set_keys((*self.KEYS, Key("c", "Copy", "c", "copy")))

    def body(self) -> Iterable[Widget]:
        yield Static(Content(self._note), classes="note", markup=False)
        yield Prose(self._text)

    def action_help(self) -> None:
        self.app.push_screen(TextPopup("KEYS", KEYS_HELP))

    def action_do(self) -> None:
        self.dismiss(None)
        if self._done is not None:
            self._done()

    def action_copy(self) -> None:
        if self._copy:
            self.app.copy_to_clipboard(self._copy)
            self.query_one(".note", Static).update(Content("Copied to the clipboard (where the terminal allows it)."))


class ListPopup(Popup[Sequence[Row]]):
    """Choose one row, or several with F7. Opens at once and fills when the answer is there.

    `skip_only`: one row needs no choosing.
    """

    BINDINGS = bindings((HELP, REFRESH, CANCEL, SELECT, IMAGE, DO))
    KEYS = (HELP, REFRESH, CANCEL, IMAGE, EXIT, DO, FIND)
    KEYS_MULTI = (HELP, REFRESH, CANCEL, SELECT, IMAGE, EXIT, DO, FIND)

    def __init__(self, title: str, load: LoadRows, headings: Sequence[str], *, multi: bool = False,
                 marked: Sequence[str] = (), current: str = "", empty: str = "", skip_only: bool = False,
                 help_text: str = "") -> None:
        super().__init__(title)
        self._load = load
        self._headings = headings
        self._multi = multi
        self._marked = list(marked)
        self._current = current
        self._empty = empty
        self._skip_only = skip_only
        self._help = help_text
        self.picker = Picker(multi=multi, id="picker")
        self._rows: list[Row] = []
        if multi:
            self.legend.set_keys(self.KEYS_MULTI)

    def body(self) -> Iterable[Widget]:
        text = "Move cursor to desired item and press Enter. Type to filter."
        if self._multi:
            text = ("Move cursor to desired item and press F7. Type to filter.\n"
                    "ONE OR MORE items can be selected.\nPress Enter AFTER making all selections.")
        yield Static(Content(text), classes="note", markup=False)
        yield Static(id="heading", markup=False)
        yield self.picker
        yield Static(Content("asking …"), id="message", markup=False)

    def on_mount(self) -> None:
        self.picker.focus()
        self._fill(False)

    @work(exclusive=True)
    async def _fill(self, fresh: bool) -> None:
        message = self.query_one("#message", Static)
        message.update(Content("asking …"))
        try:
            self._rows = await self._load(fresh)
        except VolrepError as error:
            self.dismiss(None)
            self.console.show_error(error)
            return
        if self._skip_only and len(self._rows) == 1 and not fresh:
            self.dismiss(self._rows)
            return
        message.update(Content("" if self._rows else self._empty))
        self._show()

    def _show(self) -> None:
        heading, *lines = columns([self._headings, *(row.cells for row in self._rows)])
        self.query_one("#heading", Static).update(Content(f"  {heading}".rstrip()))
        self.query_one("#heading", Static).display = any(self._headings) and bool(self._rows)
        self.picker.marked = dict.fromkeys(
            index for value in self._marked for index, row in enumerate(self._rows) if row.value == value)
        self.picker.set_picks([Pick(line, index) for index, line in enumerate(lines)])
        self.picker.styles.height = max(1, min(len(self._rows), self._room()))
        at = next((index for index, row in enumerate(self._rows) if row.value == self._current), 0)
        if self._rows:
            self.picker.go(at)

    def _room(self) -> int:
        return max(3, self.app.size.height - 13 - (2 if self._multi else 0))

    @on(Picker.Filtered)
    def _filtered(self, event: Picker.Filtered) -> None:
        self.query_one("#message", Static).update(Content(event.note))

    @on(Picker.Chosen)
    def _chosen(self) -> None:
        self.action_do()

    def action_do(self) -> None:
        keys = list(self.picker.marked) if self._multi else []
        if not keys and self.picker.current is not None:
            keys = [self.picker.current.key]
        if keys:
            self.dismiss([self._rows[key] for key in keys])
        else:
            self.app.bell()

    def action_cancel(self) -> None:
        if not self.picker.cancel_typing():
            self.dismiss(None)

    def action_refresh(self) -> None:
        self._fill(True)

    def action_select(self) -> None:
        self.picker.toggle()

    def action_help(self) -> None:
        self.console.show_help(self.heading, self._help)


class ConfirmPopup(Popup[bool]):
    """Says what will happen, to what and where. Cancel has the focus; what is destructive wants its name typed."""

    BINDINGS = bindings((HELP, CANCEL, IMAGE))
    KEYS = (HELP, CANCEL, IMAGE, EXIT, Key("Tab", "Move", "tab", "app.focus_next"), DO)

    def __init__(self, text: str, *, name: str = "", command: str = "", proceed: str = "Continue",
                 title: str = "ARE YOU SURE?") -> None:
        super().__init__(title)
        self._text = text
        self._name = name
        self._command = command
        self._proceed = proceed
        self.add_class("danger" if name else "warning")

    def body(self) -> Iterable[Widget]:
        yield Prose(self._text)
        if self._command:
            yield Static(Content(self._command), classes="preview", markup=False)
        if self._name:
            yield Static(Content(f"Type {self._name} to confirm:"), classes="ask", markup=False)
            yield Input(id="name", select_on_focus=False)
        yield Choices(self._proceed)

    def on_mount(self) -> None:
        self.query_one("#prose").can_focus = False
        if self._name:
            self.query_one("#proceed", Button).disabled = True
            self.query_one("#name", Input).focus()
        else:
            self.query_one("#cancel", Button).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self.query_one("#proceed", Button).disabled = event.value != self._name

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        """Enter in the field goes to the buttons; it never does what cannot be undone by itself."""
        ready = event.value == self._name
        self.query_one("#proceed" if ready else "#cancel", Button).focus()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "proceed")

    def on_key(self, event: object) -> None:
        key = getattr(event, "key", "")
        if key in {"left", "right", "up", "down"}:
            (self.screen.focus_previous if key in {"left", "up"} else self.screen.focus_next)()

    def action_help(self) -> None:
        self.console.show_help(self.heading, "Cancel changes nothing. Tab and the arrow keys move between the buttons.")


class Choices(Horizontal):
    """Cancel first: the key that was just pressed must not be the one that does it."""

    def __init__(self, proceed: str) -> None:
        super().__init__(id="choices")
        self._proceed = proceed

    def compose(self) -> ComposeResult:
        yield Button(Content("Cancel"), id="cancel", compact=True)
        yield Button(Content(self._proceed), id="proceed", compact=True)


class EditPopup(Popup[str]):
    """F7: the whole of a long value in one line as wide as the screen."""

    BINDINGS = bindings((HELP, CANCEL, IMAGE))
    KEYS = (HELP, CANCEL, EXIT, DO)

    def __init__(self, label: str, value: str, max_chars: int, *, password: bool) -> None:
        super().__init__(label)
        self._input = Input(value, max_length=max_chars, password=password, select_on_focus=False, id="edit")

    def body(self) -> Iterable[Widget]:
        yield Static(Content("Press Enter AFTER making all desired changes."), classes="note", markup=False)
        yield self._input

    def on_mount(self) -> None:
        self._input.focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)

    def action_help(self) -> None:
        self.console.show_help(self.heading, "")
