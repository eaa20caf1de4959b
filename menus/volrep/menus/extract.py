"""Pure: rows and values out of a JSON document, by the small paths that stanzas use.

A path is names joined by dots. `name[]` goes into every element of a list, so `rds[].primary.links[]` yields the links
of all RDSs. A row remembers the objects it was reached through: `^name` looks in the object above, `^^name` two above
(for a link of that example: `^host` is the Primary's host, `^^rvg` the name in the RDS).
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from volrep.menus.model import ListSource, Words, placeholders
from volrep.menus.show import show, text_of


@dataclass(frozen=True, slots=True)
class Row:
    """One choice: what the field receives, the cells shown, what comes along."""

    value: str
    cells: tuple[str, ...]
    carried: Mapping[str, str]
    chain: tuple[dict[str, Any], ...] = ()


def rows_at(document: Any, path: str) -> Iterator[tuple[dict[str, Any], ...]]:
    """Chains of objects, innermost last. A missing step yields nothing."""
    start = (document,) if isinstance(document, dict) else ()
    yield from _descend(document, path.split(".") if path else [], start)


def _descend(at: Any, steps: Sequence[str], chain: tuple[dict[str, Any], ...]) -> Iterator[tuple[dict[str, Any], ...]]:
    if not steps:
        if isinstance(at, dict):
            yield chain
        return
    if not isinstance(at, dict):
        return
    name, many = steps[0].removesuffix("[]"), steps[0].endswith("[]")
    found = at.get(name)
    for each in (found if isinstance(found, list) else []) if many else [found]:
        # a list of plain texts is a list of rows too
        value = {"message": each} if many and not isinstance(each, dict) else each
        yield from _descend(value, steps[1:], (*chain, value) if isinstance(value, dict) else chain)


def value_at(chain: Sequence[dict[str, Any]], path: str) -> Any:
    """The value, None when a step is missing. With `[]` in the path: a list of the values."""
    climb = len(path) - len(path.lstrip("^"))
    if climb >= len(chain):
        return None
    return _value(chain[-1 - climb], path.lstrip("^").split("."))


def _value(at: Any, steps: Sequence[str]) -> Any:
    for index, step in enumerate(steps):
        if not isinstance(at, dict):
            return None
        at = at.get(step.removesuffix("[]"))
        if step.endswith("[]"):
            rest = steps[index + 1:]
            return [_value(each, rest) if rest else each for each in (at if isinstance(at, list) else [])]
    return at


def fill(template: str, values: Mapping[str, str]) -> str:
    """`{name}` replaced; a name without a value becomes empty."""
    parts = []
    for literal, name, _, _ in string.Formatter().parse(template):
        parts.append(literal)
        if name is not None:
            parts.append(values.get(name, ""))
    return "".join(parts)


def fill_words(words: Words, values: Mapping[str, str]) -> list[str]:
    """The words of a command; an inner list with a placeholder that has no value is left out."""
    argv: list[str] = []
    for word in words:
        if isinstance(word, str):
            argv.append(fill(word, values))
        elif all(values.get(name) for part in word for name in placeholders(part)):
            argv.extend(fill(part, values) for part in word)
    return argv


def matches(chain: Sequence[dict[str, Any]], conditions: Mapping[str, str | list[str]],
            values: Mapping[str, str]) -> Iterator[bool]:
    """One answer per condition that can be asked (all its placeholders have values).

    A condition holds when the value is one of those wanted; a wanted text with commas (a multi-list) is several.
    """
    for path, wanted in conditions.items():
        templates = [wanted] if isinstance(wanted, str) else wanted
        if all(values.get(name) for template in templates for name in placeholders(template)):
            yield text_of(value_at(chain, path)) in {
                each for template in templates for each in fill(template, values).split(",")}


def choices_of(source: ListSource, document: Any, values: Mapping[str, str]) -> list[Row]:
    """The rows of a list, in the order of the document, each value with the same carried values once."""
    if source.choices:
        return [Row(choice.value or choice.text, (choice.text,), {}) for choice in source.choices]
    rows: list[Row] = []
    seen: set[tuple[str, ...]] = set()
    for chain in rows_at(document, source.rows):
        if not all(matches(chain, source.where, values)) or any(matches(chain, source.unless, values)):
            continue
        value = text_of(value_at(chain, source.value))
        carried = {name: text_of(value_at(chain, path)) for name, path in source.carries.items()}
        identity = (value, *carried.values())
        if not value or identity in seen:
            continue
        seen.add(identity)
        cells = tuple(show(value_at(chain, column.path), column.form) for column in source.columns) or (value,)
        rows.append(Row(value, cells, carried, chain))
    return rows
