"""Editing one line of text: the text, the cursor, what each key does to them. Knows no screen."""

from __future__ import annotations

from dataclasses import dataclass

from volrep.tui.text import cell_len


@dataclass(slots=True)
class EditLine:
    """`cursor` counts characters. `max_chars` bounds the text."""

    text: str = ""
    cursor: int = 0
    max_chars: int = 255

    def insert(self, characters: str) -> bool:
        """False when it does not fit (nothing is inserted then)."""
        if len(self.text) + len(characters) > self.max_chars:
            return False
        self.text = self.text[:self.cursor] + characters + self.text[self.cursor:]
        self.cursor += len(characters)
        return True

    def press(self, key: str) -> bool:
        """An editing key. False: not one."""
        text, at = self.text, self.cursor
        match key:
            case "left":
                at = max(0, at - 1)
            case "right":
                at = min(len(text), at + 1)
            case "home" | "ctrl+a":
                at = 0
            case "end" | "ctrl+e":
                at = len(text)
            case "backspace" | "ctrl+h":
                text, at = text[:max(0, at - 1)] + text[at:], max(0, at - 1)
            case "delete" | "ctrl+x" | "ctrl+d":
                text = text[:at] + text[at + 1:]
            case "ctrl+k":
                text = text[:at]
            case "ctrl+u":
                text, at = text[at:], 0
            case "ctrl+w":
                kept = text[:at].rstrip()
                kept = kept[:kept.rfind(" ") + 1]
                text, at = kept + text[at:], len(kept)
            case _:
                return False
        self.text, self.cursor = text, at
        return True

    def window(self, width: int) -> tuple[int, str]:
        """The part to show in `width` cells with the cursor in it: its first character, the text."""
        start = 0
        while start < self.cursor and cell_len(self.text[start:self.cursor]) >= width:
            start += 1
        end = start
        while end < len(self.text) and cell_len(self.text[start:end + 1]) <= width:
            end += 1
        return start, self.text[start:end]
