"""Pure: a dialog being filled in: values, what they were, what is wrong with them, the command so far.

Both the full-screen console and the line mode work on this. It never asks anything: discovered values and rows of
lists are handed in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from volrep.menus.assemble import assemble, choice_of, environment
from volrep.menus.extract import Row, fill, matches, rows_at, value_at
from volrep.menus.model import Dialog, FieldStanza, placeholders
from volrep.menus.show import text_of
from volrep.model.errors import VolrepError
from volrep.model.messages import console
from volrep.model.names import check_name
from volrep.model.units import parse_size

_NUMBER = re.compile(r"[+-]?\d+")


class Form:
    """`context` holds what selectors and earlier dialogs found out; a field of the same name starts with it."""

    def __init__(self, dialog: Dialog, context: Mapping[str, str]) -> None:
        self.dialog = dialog
        self.context = dict(context)
        self.initial: dict[str, str] = {}
        for field in dialog.fields:
            self.initial[field.name] = self.context.get(field.name) or _default(field, self.context)
        self.values = dict(self.initial)

    # -- values

    def all_values(self) -> dict[str, str]:
        """Context and fields together: what placeholders are filled from."""
        return {**self.context, **self.values}

    def discovered(self, document: Any) -> bool:
        """Take over the current values of the objects. False when the document has no such row.

        What the operator has typed in the meantime stays.
        """
        discover = self.dialog.discover
        assert discover is not None
        for chain in rows_at(document, discover.rows):
            if all(matches(chain, discover.where, self.all_values())):
                for field in self.dialog.fields:
                    if field.discovered and (found := text_of(value_at(chain, field.discovered))):
                        self.start_with(field.name, found)
                return True
        return False

    @property
    def can_discover(self) -> bool:
        """Whether it is known whose values to ask for."""
        if self.dialog.discover is None:
            return False
        wanted = [each for value in self.dialog.discover.where.values()
                  for each in ([value] if isinstance(value, str) else value)]
        values = self.all_values()
        return all(values.get(name) for template in wanted for name in placeholders(template))

    def start_with(self, name: str, value: str) -> None:
        """A new initial value; the value follows unless it was edited."""
        if self.values[name] == self.initial[name]:
            self.values[name] = value
        self.initial[name] = value

    def set(self, name: str, value: str) -> None:
        self.values[name] = value

    def reset(self, name: str) -> None:
        self.values[name] = self.initial[name]

    def rotate(self, name: str, step: int) -> None:
        """The next (or previous) choice of a ring."""
        field = self.field(name)
        keys = [choice.value or choice.text for choice in field.choices]
        at = keys.index(self.values[name]) if self.values[name] in keys else -step if step > 0 else 0
        self.values[name] = keys[(at + step) % len(keys)]

    def choose(self, name: str, rows: Sequence[Row]) -> None:
        """Rows picked from the list of a field: its value, and what they carry for other fields."""
        field = self.field(name)
        self.values[name] = field.join.join(row.value for row in rows)
        for other, value in (rows[0].carried if rows else {}).items():
            if value and other != name:
                self._carry(other, value)

    def _carry(self, name: str, value: str) -> None:
        if name not in self.values:
            self.context[name] = value
        elif self.field(name).kind != "fixed":
            self.values[name] = value

    def learn(self, name: str, rows: Sequence[Row]) -> None:
        """What the row of a typed value carries is known from now on, where it is no field and unambiguous."""
        same = [row.carried for row in rows if row.value == self.values[name]]
        for other in same[0] if same else ():
            found = {carried[other] for carried in same}
            if other not in self.values and len(found) == 1:
                self.context[other] = found.pop()

    @property
    def unexplained(self) -> list[str]:
        """Names in the confirmation that have no value yet."""
        values = self.all_values()
        return [name for name in placeholders(self.dialog.confirm) if not values.get(name)]

    def field(self, name: str) -> FieldStanza:
        return next(field for field in self.dialog.fields if field.name == name)

    @property
    def dirty(self) -> bool:
        return self.values != self.initial

    def shown(self, field: FieldStanza) -> str:
        """The value as the screen shows it (a choice by its text)."""
        chosen = choice_of(field, self.values[field.name])
        return chosen.text if chosen else self.values[field.name]

    # -- what is wrong

    def problem(self, field: FieldStanza) -> VolrepError | None:
        try:
            self._check(field, self.values[field.name])
        except VolrepError as error:
            return error
        return None

    def problems(self) -> list[tuple[FieldStanza, VolrepError]]:
        found = ((field, self.problem(field)) for field in self.dialog.fields)
        return [(field, error) for field, error in found if error is not None]

    def _check(self, field: FieldStanza, value: str) -> None:
        label = field.label.strip()
        if not value.strip():
            if field.required:
                how = ", or F4 shows what there is" if field.listed else ""
                raise VolrepError(console.FIELD_EMPTY, field=label, how=how)
            return
        if value == self.initial[field.name]:
            return  # the object already has it
        if field.kind == "number" and not _NUMBER.fullmatch(value):
            raise VolrepError(console.FIELD_NUMBER, field=label, value=value)
        if field.kind == "path" and not value.startswith("/"):
            raise VolrepError(console.FIELD_PATH, field=label, value=value)
        if field.kind == "size":
            parse_size(value)
        if field.kind == "name" or field.object:
            for each in value.split(field.join) if field.kind == "multi-list" else [value]:
                check_name(field.object or label, each)
        if field.pattern and not re.fullmatch(field.pattern, value):
            raise VolrepError(console.FIELD_PATTERN, field=label, value=value, rule=field.rule)

    # -- the command

    def argv(self) -> list[str]:
        """Words after the program's name."""
        return assemble(self.dialog, self.values, self.initial)

    def environment(self) -> dict[str, str]:
        return environment(self.dialog, self.values)

    def confirmation(self) -> str:
        unknown = {name: f"(unknown {name})" for name in self.unexplained}
        return fill(self.dialog.confirm, {**self.all_values(), **unknown})

    def confirmation_name(self) -> str:
        return fill(self.dialog.confirm_name, self.all_values())


def _default(field: FieldStanza, context: Mapping[str, str]) -> str:
    if field.default:
        return fill(field.default, context)
    if field.kind == "ring":
        return field.choices[0].value or field.choices[0].text
    return ""
