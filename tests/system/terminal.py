"""A real terminal for system tests: tmux with a server of its own, so that keys and screens are what users have.

    with Terminal(bed.operator, bed.folder, ["volrep", "console"]) as screen:
        screen.until("volrep")          # text that must appear
        screen.keys("Down", "Enter")    # tmux names of keys; text() types literally
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.system.hosts import Operator
from tests.system.waiting import wait_for

ENTER_DEADLINE_S = 10
EXIT_DEADLINE_S = 30  # an interpreter ends, and first what it had started


class Terminal:
    """One program in one terminal of a given size, where the operator sits."""

    def __init__(self, operator: Operator, folder: Path, argv: Sequence[str], *, columns: int = 80,
                 lines: int = 24) -> None:
        self._operator = operator
        self._socket = folder / f"tmux{len(list(folder.glob('tmux*')))}"
        config = folder / "tmux.conf"
        # escape-time: Esc followed by a digit must reach the program as two keys, at once
        config.write_text("set -g escape-time 0\nset -g remain-on-exit on\nset -g status off\n"
                          "set -g default-terminal tmux-256color\n")
        self._tmux("-f", str(config), "new-session", "-d", "-s", "t", "-x", str(columns), "-y", str(lines), *argv)
        self._server_pid = int(self._tmux("display-message", "-p", "#{pid}"))

    def _tmux(self, *argv: str) -> str:
        return self._operator.run(["tmux", "-S", str(self._socket), *argv], 30).stdout

    def keys(self, *names: str) -> None:
        """Keys by tmux's names: Enter, Escape, F4, Down, C-p, BTab ..."""
        self._tmux("send-keys", "-t", "t", *names)

    def text(self, text: str) -> None:
        """Type this literally."""
        self._tmux("send-keys", "-t", "t", "-l", "--", text)

    def screen(self) -> str:
        """What the terminal shows now."""
        return self._tmux("capture-pane", "-p", "-t", "t")

    def until(self, pattern: str, deadline_s: float = ENTER_DEADLINE_S) -> str:
        """Wait until the screen matches the regular expression; returns the screen, shows it when it does not."""
        try:
            return wait_for(lambda: self._matching(pattern), deadline_s, f"{pattern!r} on the screen")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def _matching(self, pattern: str) -> str:
        screen = self.screen()
        return screen if re.search(pattern, screen, re.MULTILINE) else ""

    def exit_code(self, deadline_s: float = EXIT_DEADLINE_S) -> int:
        """Wait for the program to end; its exit code, or the signal that ended it."""
        pid = int(self._tmux("display-message", "-t", "t", "-p", "#{pane_pid}"))

        def ended() -> str:
            # How it ended is there when the program has been waited for, which tmux 3.3 now and then does not do:
            # then the kernel keeps it for who asks.
            said = self._tmux("display-message", "-t", "t", "-p", "#{pane_dead_status}#{pane_dead_signal}").strip()
            return said or exit_code_of_zombie(pid)

        try:
            return int(wait_for(ended, deadline_s, "the program in the terminal to end"))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen()}") from None

    def close(self) -> None:
        """The server ends, and with its terminal the program in it. The test bed would do it at the latest."""
        if self._server_pid:
            os.kill(self._server_pid, signal.SIGTERM)
            self._server_pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def exit_code_of_zombie(pid: int) -> str:
    """What a process that nobody has waited for ended with; "" while it runs, or when it is gone altogether."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return str(os.waitstatus_to_exitcode(int(fields[-1]))) if fields[0] == "Z" else ""
