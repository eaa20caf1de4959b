"""SMIT's keys in all their forms: function keys, Esc and a digit typed fast, typed slowly, and as Alt+digit.

Knows key names and times. Textual turns ESC plus a character that arrive together into one key; its table maps ESC 4 to
a cent sign (Option+4 of another system's keyboard). `install` makes the table say F4. The table is a private module of
Textual, hence the exact pin, and tests/console/test_keys.py feeds the parser.
"""

from __future__ import annotations

from dataclasses import dataclass

ESC_WINDOW_S = 1.0  # how long after Esc a digit still means a function key
_DIGITS = "1234567890"


def function_key(digit: str) -> str:
    """Esc 1 is F1, Esc 0 is F10."""
    return "f10" if digit == "0" else f"f{digit}"


def install() -> None:
    """Teach Textual's parser the sequences that it would read as other characters."""
    from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
    from textual.keys import Keys

    table: dict[str, object] = ANSI_SEQUENCES_KEYS  # type: ignore[assignment]  # a read-only view by its type only
    for digit in _DIGITS:
        table[f"\x1b{digit}"] = (Keys(function_key(digit)),)
    table["\x1bv"] = (Keys.PageUp,)
    table["\x1b<"] = (Keys.ControlHome,)
    table["\x1b>"] = (Keys.ControlEnd,)


@dataclass(slots=True)
class EscFolder:
    """Turns slow Esc ... digit and Alt+digit into function keys, and Esc Esc into Cancel."""

    escaped_at_s: float = -ESC_WINDOW_S

    def fold(self, key: str, character: str | None, now_s: float) -> str | None:
        """The key that is meant: another's name, the same name, or None (an Esc that waits for its digit)."""
        waiting = now_s - self.escaped_at_s < ESC_WINDOW_S
        self.escaped_at_s = -ESC_WINDOW_S
        if key == "escape":
            if waiting:
                return "f3"
            self.escaped_at_s = now_s
            return None
        if len(key) == 5 and key.startswith("alt+") and key[4] in _DIGITS:
            return function_key(key[4])
        if waiting and character and character in _DIGITS:
            return function_key(character)
        return key
