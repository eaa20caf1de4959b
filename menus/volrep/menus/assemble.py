"""Pure: the values of a dialog as the words of a command. No shell, no quoting: one value is one word.

Order: options in the order of the fields, the words of the dialog, positions by number, attributes:

    -g hrdg -a   startrep   hr_rvg tokyo   synchronous=override
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from volrep.menus.model import Choice, Dialog, FieldStanza, Send


def assemble(dialog: Dialog, values: Mapping[str, str], initial: Mapping[str, str]) -> list[str]:
    """Words after the program's name. `initial` is what the form showed at first; equal attributes are not sent."""
    options: list[str] = []
    positions: dict[int, str] = {}
    attributes: list[str] = []
    for field, value in _sent(dialog, values, initial):
        chosen = choice_of(field, value)
        if chosen is not None and chosen.words is not None:
            options += chosen.words
        elif field.option:
            options += [field.option, value]
        elif field.position:
            positions[field.position] = value
        elif field.attribute:
            attributes.append(f"{field.attribute}={value}")
    return [*options, *dialog.command, *(value for _, value in sorted(positions.items())), *attributes]


def environment(dialog: Dialog, values: Mapping[str, str]) -> dict[str, str]:
    """Secrets go by environment: arguments can be read by everyone on the machine."""
    return {field.environment: values[field.name] for field in dialog.fields
            if field.environment and values.get(field.name)}


def choice_of(field: FieldStanza, value: str) -> Choice | None:
    """The choice that stands for a value of a ring or a fixed list."""
    return next((choice for choice in field.choices if (choice.value or choice.text) == value), None)


def _sent(dialog: Dialog, values: Mapping[str, str], initial: Mapping[str, str]) -> Iterator[tuple[FieldStanza, str]]:
    for field in dialog.fields:
        value = values.get(field.name, "")
        if field.kind != "heading" and _is_sent(field, value, initial.get(field.name, "")):
            yield field, value


def _is_sent(field: FieldStanza, value: str, initial: str) -> bool:
    rule: Send = field.send or ("changed" if field.attribute else "nonempty")
    return {"always": True, "nonempty": value != "", "changed": value != initial, "never": False}[rule]
