"""The one error type operators meet, and the catalogue entry behind it.

Every refusal and failure is a `Message` of the catalogue (`volrep.model.messages`) filled with
the values involved. The id is stable: scripts match on it, never on the text. The same class
crosses the control API, so an error raised in an engine on another host reads the same here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes of the command line (docs/messages.md)."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # wrong usage or invalid value
    REFUSED = 3  # refused in the present state
    UNREACHABLE = 4  # a host cannot be reached
    PARTIAL = 5  # done in part; what was undone and what was not is listed


@dataclass(frozen=True, slots=True)
class Message:
    """One catalogue entry. `text` and `hint` are str.format templates over the same values.

    Grammar: lowercase, values included, no full stop; the hint names the next move.
    """

    number: int
    text: str
    hint: str
    exit: Exit = Exit.FAILED

    @property
    def id(self) -> str:
        return f"VR-{self.number}"


class VolrepError(Exception):
    """An error for an operator: catalogue message plus the values involved."""

    def __init__(self, message: Message, **values: Any) -> None:
        self.message = message
        self.values = values
        super().__init__(f"{self.id}: {self.text}")

    @property
    def id(self) -> str:
        return self.message.id

    @property
    def text(self) -> str:
        return self.message.text.format(**self.values)

    @property
    def hint(self) -> str:
        return self.message.hint.format(**self.values)

    @property
    def exit(self) -> Exit:
        return self.message.exit

    def wire(self) -> dict[str, Any]:
        """As it crosses the control API: number and values; texts are for foreign readers."""
        values = {k: v if isinstance(v, (int, float, bool)) else str(v) for k, v in self.values.items()}
        return {"number": self.message.number, "values": values, "text": self.text, "hint": self.hint,
                "exit": int(self.exit)}


def from_wire(data: dict[str, Any]) -> VolrepError:
    """Rebuild an error that another process sent with `VolrepError.wire`.

    An id this version does not know (a newer engine) keeps its own text and hint.
    """
    from volrep.model.messages import CATALOGUE

    message = CATALOGUE.get(int(data["number"]))
    if message is None:
        escaped = {k: str(data.get(k, "")).replace("{", "{{").replace("}", "}}") for k in ("text", "hint")}
        message = Message(int(data["number"]), escaped["text"], escaped["hint"], Exit(data.get("exit", 1)))
    return VolrepError(message, **data.get("values", {}))
