"""smit.log, smit.script and the transaction journal: what was visited, what was run, what came of it.

Knows the files and their form. Secrets never reach it (they are not among the words of a command). All files are 0600,
rotated, and shared by consoles that run at the same time (one write per entry, appended).

    smit.log           everything: screens, commands, their output, images of screens
    smit.script        the commands alone, each below a comment; `sh smit.script` does it all again
    transactions.jsonl one JSON object per command: time, title, fastpath, argv, exit, elapsed_s
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from volrep.menus.model import Screen
from volrep.tui.runner import Program

ROTATE_BYTES = 4 << 20  # per file; with KEPT old ones no more than 3 x 4 x 4 MiB in all
KEPT = 3
OUTPUT_MAX_BYTES = 1 << 20  # of one command; a quarter of a file, so that a log always holds several commands


def _now() -> datetime:
    return datetime.now().astimezone()


class Journal:
    """`problem` says why nothing is written (a full disk, no permission); the console works on without it."""

    def __init__(self, directory: Path, program: Program, now: Callable[[], datetime] = _now) -> None:
        self.directory = directory
        self.problem = ""
        self._program = program
        self._now = now
        self._output_bytes = 0

    def started(self) -> None:
        self._log("    Starting the console\n")

    def exited(self) -> None:
        self._log("    Exiting the console\n")

    def visited(self, screen: Screen) -> None:
        kind = type(screen).__name__
        self._append("smit.log", f'({kind} screen selected,\n        FastPath   = "{screen.id}",\n'
                                 f'        title      = "{screen.title}".)\n')

    def command(self, words: Sequence[str], title: str) -> None:
        """A command is about to run."""
        shown = self._program.show(words)
        self._output_bytes = 0
        self._log(f"Command_to_Execute follows below:\n>> {shown}\n"
                  "Output from Command_to_Execute follows below:\n---- start ----\n")
        self._append("smit.script", f"#\n# [{self._stamp()}]  {title}\n#\n{shown}\n")

    def output(self, text: str) -> None:
        if self._output_bytes < OUTPUT_MAX_BYTES:
            self._output_bytes += len(text)
            self._append("smit.log", text)

    def ended(self, words: Sequence[str], title: str, fastpath: str, exit_code: int, elapsed_s: float) -> None:
        cut = f"\n({self._output_bytes} bytes; the rest was left out)" if self._output_bytes > OUTPUT_MAX_BYTES else ""
        self._append("smit.log", f"{cut}\n---- end ---- exit code {exit_code}, {elapsed_s:.1f} s\n")
        entry = {"time": self._now().isoformat(timespec="milliseconds"), "title": title, "fastpath": fastpath,
                 "argv": [self._program.shown, *words], "exit": exit_code, "elapsed_s": round(elapsed_s, 3)}
        self._append("transactions.jsonl", json.dumps(entry, ensure_ascii=False) + "\n")

    def image(self, text: str, fastpath: str) -> None:
        self._log(f'Screen image, fast path "{fastpath}":\n{text}\n---------- end of screen ----------\n')

    def _stamp(self) -> str:
        return self._now().strftime("%b %d %Y, %H:%M:%S")

    def _log(self, text: str) -> None:
        self._append("smit.log", f"[{self._stamp()}]\n{text}")

    def _append(self, name: str, text: str) -> None:
        path = self.directory / name
        try:
            self._rotate(path)
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(fd, text.encode(errors="replace"))
            finally:
                os.close(fd)
        except OSError as error:
            self.problem = f"{path}: {error.strerror}"

    @staticmethod
    def _rotate(path: Path) -> None:
        if not path.exists() or path.stat().st_size < ROTATE_BYTES:
            return
        for number in range(KEPT - 1, 0, -1):
            older = path.with_name(f"{path.name}.{number}")
            if older.exists():
                older.replace(path.with_name(f"{path.name}.{number + 1}"))
        path.replace(path.with_name(f"{path.name}.1"))
