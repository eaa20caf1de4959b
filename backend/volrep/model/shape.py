"""What every declared shape can do: come out of JSON or plain values, checked, and become them again.

A shape is checked where it comes in from outside (`from_data`, `from_json`); one that volrep's own code makes is
checked by mypy.
"""

from __future__ import annotations

import json
from typing import Any, Self

import msgspec


class BadShape(ValueError):
    """What came in is not of the shape it should have. Says what is wrong, and where (`$.links[0].key`)."""


class Declared(msgspec.Struct):
    """Base of all shapes. How it takes unknown fields is up to whoever derives from it."""

    @classmethod
    def from_data(cls, value: Any) -> Self:
        """Out of dictionaries, lists, strings and numbers, as a JSON or TOML reader gives them. Raises BadShape."""
        try:
            return msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise BadShape(str(error)) from error

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Raises BadShape, also for what is not JSON."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise BadShape(str(error)) from error

    def data(self) -> dict[str, Any]:
        """Plain values, as `json.dumps` takes them."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def json(self) -> str:
        return json.dumps(self.data(), separators=(",", ":"))

    def changed(self, **changes: Any) -> Self:
        """A copy with other values in these fields. What lies in the others is shared with the original."""
        return msgspec.structs.replace(self, **changes)


class Shape(Declared, forbid_unknown_fields=True):
    """Of both ends of one version: an unknown field is an error, not ignored."""


def read_json(text: str | bytes) -> Any:
    """Plain values of a JSON text from outside. Raises BadShape for what is none.

    Stricter than the standard library's reader: no NaN, no halves of surrogate pairs, which nobody could print or
    store afterwards.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadShape(f"not JSON: {error}") from error
