"""Starts the console: full screen or plain lines. Imports Textual only for the full screen."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path

from volrep.menus.load import ROOT, Catalogue, load, site_directories
from volrep.model.errors import VolrepError
from volrep.model.messages import console as messages
from volrep.tui.journal import Journal
from volrep.tui.runner import Program


def main(fastpath: str | None, *, plain: bool, state_dir: Path, argv_prefix: list[str]) -> int:
    """Run the console until it is left. Returns an exit code. Raises VR-1800 to VR-1802, VR-1810, VR-1842, VR-1843.

    `argv_prefix` is what is executed for `volrep`, for example [sys.executable, "-m", "volrep.cli.main"]. The logs
    (journal.py) go to `state_dir`.
    """
    catalogue = load(site_directories(os.environ, Path.home()))
    program = Program(tuple(argv_prefix))
    journal = Journal(state_dir, program)
    name = catalogue.screen(fastpath or ROOT).id
    if plain:
        from volrep.tui.plain import run

        return asyncio.run(run(catalogue, program, journal, name))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise VolrepError(messages.NO_TERMINAL)
    return _full_screen(catalogue, program, journal, name)


def _full_screen(catalogue: Catalogue, program: Program, journal: Journal, name: str) -> int:
    gc.disable()  # as in volrep.cli.main: there is nothing to collect among modules
    try:
        from volrep.tui.console import Console
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in {"textual", "rich"}:
            raise
        raise VolrepError(messages.NO_TEXTUAL, problem=f"Python has no {error.name}") from error
    finally:
        gc.freeze()
        gc.enable()
    app = Console(catalogue, program, journal, name)
    code = app.run()
    if app.mistake is not None:
        raise app.mistake
    return code or 0
