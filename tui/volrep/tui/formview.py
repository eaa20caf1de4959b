"""The fields of a dialog, drawn in one widget: label, brackets, value, marks; edited in place.

    * Disk GROUP                                         [hrdg                  ]  +

Knows SMIT's anatomy of a field. Values, rules and the command are the Form's.
"""

from __future__ import annotations

from rich.segment import Segment
from textual import events
from textual.geometry import Offset
from textual.message import Message

from volrep.menus.form import Form
from volrep.menus.model import FieldStanza
from volrep.tui.editline import EditLine
from volrep.tui.lines import Lines
from volrep.tui.text import cell_len, clean, fit

LABEL_COLUMNS_MIN, LABEL_COLUMNS_MAX = 38, 50
VALUE_COLUMNS_MAX = 64
MARKS_COLUMNS = 5
_NUMBER_CHARACTERS = set("+-0123456789")


class FormView(Lines):
    """Posts Edited after each change of a value, Moved when the cursor is in another field."""

    class Edited(Message):
        pass

    class Refused(Message):
        """A key that does nothing here; `why` says what would."""

        def __init__(self, why: str) -> None:
            super().__init__()
            self.why = why

    def __init__(self, form: Form) -> None:
        super().__init__(id="body")
        self.form = form
        self._line = EditLine()
        self._longest = max((cell_len(field.label) for field in form.dialog.fields), default=0)
        self._refused: set[str] = set()  # fields with a problem that was looked at (left, or Enter pressed)
        self.cursor = next((row for row in range(self.count()) if self.selectable(row)), 0)
        self._load()

    # -- rows

    @property
    def field(self) -> FieldStanza | None:
        fields = self.form.dialog.fields
        return fields[self.cursor] if fields and self.selectable(self.cursor) else None

    def count(self) -> int:
        return len(self.form.dialog.fields)

    def selectable(self, row: int) -> bool:
        return self.form.dialog.fields[row].kind != "heading"

    def go(self, row: int) -> None:
        if self.field is not None and self.form.values[self.field.name]:
            self._refused.add(self.field.name)  # empty ones are only walked over; Enter will say so
        self.cursor = row
        self._load()
        super().go(row)

    def go_field(self, name: str) -> None:
        self.go(next(row for row, field in enumerate(self.form.dialog.fields) if field.name == name))

    def refuse(self, names: list[str]) -> None:
        """Mark fields as wrong (after Enter)."""
        self._refused.update(names)
        self.refresh()

    def reload(self) -> None:
        """Values came from elsewhere: a list, a discovery, a reset."""
        self._load()
        self.refresh()

    def _load(self) -> None:
        if self.field is not None:
            value = self.form.values[self.field.name]
            self._line = EditLine(value, len(value), self.field.max_chars)

    # -- drawing

    def _columns(self, width: int) -> tuple[int, int]:
        """Width of the labels, width of the values."""
        labels = min(max(self._longest + 3, LABEL_COLUMNS_MIN), LABEL_COLUMNS_MAX, max(10, width - 24))
        return labels, max(1, min(VALUE_COLUMNS_MAX, width - labels - 2 - 2 - MARKS_COLUMNS))

    def draw(self, row: int, width: int) -> list[Segment]:
        field, base = self.form.dialog.fields[row], self.rich_style
        labels, room = self._columns(width)
        if field.kind == "heading":
            return [Segment(f"  {field.label}", base + self.style("heading"))]
        here = row == self.cursor and self.has_focus
        wrong = field.name in self._refused and self.form.problem(field) is not None
        lead = ("*" if field.required else " ") + ("!" if wrong else " ")
        label = base + self.style("error") if wrong else base + self.style("cursor") if here else base
        segments = [Segment(lead, base + self.style("error" if wrong else "marker")),
                    Segment(fit(field.label, labels - 1), label), Segment(" ", base)]
        segments += self._value(field, room, here)
        segments.append(Segment(f" {field.marks}".ljust(MARKS_COLUMNS), base + self.style("marker")))
        return segments

    def _value(self, field: FieldStanza, room: int, here: bool) -> list[Segment]:
        base = self.rich_style
        changed = self.form.values[field.name] != self.form.initial[field.name]
        style = base + self.style("changed" if changed else "value")
        if here:
            style += self.style("edit")
        if not field.typed:
            return [Segment(" ", base), Segment(fit(clean(self.form.shown(field)), room), style), Segment(" ", base)]
        left, right, shown = "[", "]", EditLine(self.form.values[field.name], 0)
        if here:
            shown = self._line
        start, text = shown.window(room)
        if start > 0:
            left = "<"
        if start + len(text) < len(shown.text):
            right = ">"
        if field.kind == "secret":
            text = "•" * len(text)
        bracket = base + self.style("marker")
        segments = [Segment(left, bracket)]
        if here:
            at = shown.cursor - start
            under = text[at:at + 1] or " "
            segments += [Segment(clean(text[:at]), style), Segment(clean(under), style + self.style("caret")),
                         Segment(fit(clean(text[at + 1:]), room - cell_len(text[:at]) - cell_len(under)), style)]
        else:
            segments.append(Segment(fit(clean(text), room), style))
        return [*segments, Segment(right, bracket)]

    def place_cursor(self) -> None:
        """The terminal's own cursor, for screen readers and input methods."""
        field = self.field
        if field is None or not self.has_focus:
            return
        labels, room = self._columns(self.size.width)
        start, _ = self._line.window(room)
        column = labels + 3 + (cell_len(self._line.text[start:self._line.cursor]) if field.typed else 0)
        line = self.cursor if self.count() <= self.size.height else self.cursor - self.top + 1
        self.app.cursor_position = Offset(self.content_region.x + column, self.content_region.y + line)

    # -- keys

    def on_key(self, event: events.Key) -> None:
        if self._handle(event):
            event.stop()
            event.prevent_default()
            self.place_cursor()

    def _handle(self, event: events.Key) -> bool:
        field = self.field
        if field is None:
            return self.navigate(event.key)
        if event.key in {"tab", "shift+tab"}:
            self._tab(field, -1 if event.key == "shift+tab" else 1)
            return True
        if field.kind == "ring" and event.key in {"left", "right", "space"}:
            self._rotate(field, -1 if event.key == "left" else 1)
            return True
        if self.navigate(event.key):
            return True
        if not field.typed:
            if event.is_printable or event.key in {"backspace", "delete"}:
                self._refuse(field)
            return False
        if event.is_printable and event.character:
            self._type(field, event.character)
            return True
        if self._line.press(event.key):
            self._edited(field)
            return True
        return False

    def _tab(self, field: FieldStanza, step: int) -> None:
        """Tab turns a ring, as in SMIT; elsewhere it has no meaning there, and goes to the next field here."""
        if field.kind == "ring":
            self._rotate(field, step)
        else:
            self.move(step)

    def _rotate(self, field: FieldStanza, step: int) -> None:
        self.form.rotate(field.name, step)
        self._edited(field)

    def _type(self, field: FieldStanza, characters: str) -> None:
        if field.kind == "number" and not set(characters) <= _NUMBER_CHARACTERS:
            self.app.bell()
            self.post_message(self.Refused("digits only here; a sign may stand first"))
        elif not self._line.insert(characters):
            self.app.bell()
            self.post_message(self.Refused(f"not more than {field.max_chars} characters"))
        else:
            self._edited(field)

    def _edited(self, field: FieldStanza) -> None:
        if field.typed:
            self.form.set(field.name, self._line.text)
        self.refresh()
        self.post_message(self.Edited())

    def _refuse(self, field: FieldStanza) -> None:
        self.app.bell()
        how = "Tab shows the next value, F4 all of them" if field.kind == "ring" else "F4 shows the values"
        self.post_message(self.Refused("this value is only shown" if field.kind == "fixed" else how))

    def on_paste(self, event: events.Paste) -> None:
        field = self.field
        if field is not None and field.typed:
            self._type(field, "".join(event.text.split("\n")[:1]).strip())
        event.stop()

    def on_click(self, event: events.Click) -> None:
        row = self.row_at(event.y)
        if row is None or not self.selectable(row):
            return
        field = self.form.dialog.fields[row]
        again = row == self.cursor
        self.go(row)
        labels, room = self._columns(self.size.width)
        column = event.x - labels - 3
        if field.kind == "ring" and again and column >= 0:
            self._rotate(field, 1)
        elif field.typed and 0 <= column <= room:
            self._line.cursor = min(self._line.window(room)[0] + column, len(self._line.text))
        self.place_cursor()

    def on_focus(self) -> None:
        self.refresh()
        self.call_after_refresh(self.place_cursor)
