"""Asking the operator before something is taken away. Without a terminal nothing is asked, and nothing is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from volrep.model.errors import VolrepError
from volrep.model.messages import usage


@dataclass(frozen=True, slots=True)
class Terminal:
    """`interactive`: both stdin and stderr are a terminal. `ask` shows a prompt and reads one line; "" at its end."""

    interactive: bool
    ask: Callable[[str], str]

    def confirm(self, verb: str, question: str) -> None:
        """Raises VR-1030 (nobody to ask), VR-1031 (anything but yes)."""
        if not self.interactive:
            raise VolrepError(usage.NO_CONFIRMATION, verb=verb)
        if self.ask(f"{question}\nDo it? [y/N] ").strip().lower() not in ("y", "yes"):
            raise VolrepError(usage.NOT_CONFIRMED)
