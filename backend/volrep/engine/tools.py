"""Running the programs that a host brings along (losetup, mount, qemu-storage-daemon ...). Blocking."""

from __future__ import annotations

import os
import shutil
import subprocess

COMMAND_TIMEOUT_S = 30.0


class ToolFailed(Exception):
    """A program is not there or refused; `str()` is what it said."""


def find_tool(tool: str) -> str | None:
    """Its path; sbin is not in everybody's PATH."""
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin")


def why_not(tool: str) -> str:
    """Empty when `tool` is there, else why it cannot be used."""
    return "" if find_tool(tool) else f"{tool} is not installed"


def run(*argv: str) -> str:
    """Standard output of a command. Raises ToolFailed with what it said on standard error."""
    tool = find_tool(argv[0])
    if tool is None:
        raise ToolFailed(why_not(argv[0]))
    try:
        done = subprocess.run([tool, *argv[1:]], capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S,
                              stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailed(str(error)) from error
    if done.returncode:
        said = " ".join((done.stderr.strip() or f"status {done.returncode}").split())
        raise ToolFailed(f"{argv[0]}: {said[:300]}")
    return done.stdout.strip()
