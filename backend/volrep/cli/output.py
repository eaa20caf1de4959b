"""What a command says: results on stdout, progress and errors on stderr, JSON where asked for.

Knows streams and layout. Must not know verbs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from volrep.model.errors import VolrepError

if TYPE_CHECKING:
    from volrep.rds.step import Call, Plan

Document = dict[str, Any]
PRIVATE = "(not shown)"
_PRIVATE_FIELDS = {"key"}  # of requests: what would let a reader pass for the other host


@dataclass(frozen=True, slots=True)
class Output:
    """The two streams of one command. `json`: results are one JSON object, indented for people to read."""

    stdout: TextIO
    stderr: TextIO
    json: bool = False
    live: bool = False  # stderr is a terminal: progress may redraw its line

    def lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.stdout.write(line.rstrip() + "\n")
        self.stdout.flush()

    def document(self, document: Document) -> None:
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        self.stdout.flush()

    def row(self, document: Document) -> None:
        """One of a stream of objects, on a line of its own."""
        self.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        self.stdout.flush()

    def show(self, document: Document, lines: Iterable[str]) -> None:
        """The result: the document with --json, else the lines."""
        if self.json:
            self.document(document)
        else:
            self.lines(lines)

    def say(self, text: str) -> None:
        """Progress: one line."""
        self.stderr.write(f"{text}\n")
        self.stderr.flush()

    def progress(self, text: str, *, last: bool = False) -> None:
        """Progress that replaces itself on a terminal; elsewhere a line, so the caller says it seldom."""
        if self.live:
            self.stderr.write(f"\r\x1b[K{text}" + ("\n" if last else ""))
        else:
            self.stderr.write(f"{text}\n")
        self.stderr.flush()

    def error(self, error: VolrepError) -> None:
        self.stderr.write(error_text(error))
        self.stderr.flush()


def error_text(error: VolrepError) -> str:
    """`VR-nnnn: text`, then `hint: ...`. A text of several lines keeps them."""
    return f"{error.id}: {error.text}\nhint: {error.hint}\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> list[str]:
    """Columns as wide as their contents; those of `right` are numbers. No rows: no lines at all."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not cells:
        return []
    cells.insert(0, list(headings))
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    numbers = set(right)
    return ["  ".join(cell.rjust(widths[i]) if i in numbers else cell.ljust(widths[i])
                      for i, cell in enumerate(row)).rstrip() for row in cells]


# ---- plans


def plan_lines(plan: Plan, *, dry_run: bool) -> list[str]:
    """What would be done and how it would be taken back; for a plan that was driven only its notes."""
    lines: list[str] = []
    if dry_run:
        for number, step in enumerate(plan.steps, 1):
            lines.append(f"{number}. {step.title}")
            lines += [f"   undo: {call.host}: {call.method}" for call in step.undo]
        if not plan.steps:
            lines.append("nothing to do")
    return lines + list(plan.notes)


def plan_document(plan: Plan, *, dry_run: bool) -> Document:
    return {"dry_run": dry_run, "notes": list(plan.notes), "steps": [
        {"title": step.title, **_call(step.do), "undo": [_call(call) for call in step.undo]} for step in plan.steps]}


def _call(call: Call) -> Document:
    return {"host": call.host, "method": call.method, "request": _without_secrets(call.request.model_dump(mode="json"))}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: PRIVATE if key in _PRIVATE_FIELDS and inner else _without_secrets(inner)
                for key, inner in value.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value
