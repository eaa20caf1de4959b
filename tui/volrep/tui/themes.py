"""Colours. The default, and two for those who remember: green and amber on black."""

from __future__ import annotations

from textual.theme import Theme

THEMES = (
    Theme("volrep", primary="#7aa2c8", secondary="#8fb8a8", accent="#e0b15e", foreground="#d7dade",
          background="#16191d", surface="#1d2126", panel="#262b32", success="#7fbf7f", warning="#e0b15e",
          error="#e07a6e", dark=True),
    Theme("green-screen", primary="#33cc66", secondary="#33cc66", accent="#99ffbb", foreground="#33cc66",
          background="#000000", surface="#001a08", panel="#00260d", success="#99ffbb", warning="#ccff99",
          error="#ffffff", dark=True),
    Theme("amber-screen", primary="#ffb000", secondary="#ffb000", accent="#ffd880", foreground="#ffb000",
          background="#000000", surface="#1a1200", panel="#261a00", success="#ffd880", warning="#ffe8b0",
          error="#ffffff", dark=True),
)
