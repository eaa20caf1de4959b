"""A command line: parse, load the one handler, run it, word its errors, give the exit code.

Knows the rule for errors: an operator sees an id, a text and a hint, never a traceback; one that nobody foresaw
goes into a report file.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from importlib import import_module
from pathlib import Path

import click

from volrep.cli.grammar import PROGRAM, Parsed, build
from volrep.cli.out import Out
from volrep.cli.run import Run
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import usage
from volrep.rds.places import state_dir

REPORTS_MAX = 20  # crash reports kept beside each other: a few KiB each


def main(arguments: list[str]) -> int:
    """The exit code. Never raises for what an operator can cause."""
    out = Out()
    try:
        if "_VOLREP_COMPLETE" in os.environ:
            from volrep.cli.completion import register

            register()
        elif not arguments:
            arguments = _without_arguments()
        # not standalone: Click would word errors and exit itself
        code = build(_dispatch, _complete).main(arguments, PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except VolrepError as error:
        out.error(error)
        return int(error.exit)
    except click.UsageError as error:
        shown = error.ctx.command.get_usage(error.ctx) if error.ctx is not None else f"{PROGRAM} help"
        problem = error.format_message().rstrip(".")
        line = " ".join(shown.removeprefix("Usage: ").split())
        out.error(VolrepError(usage.USAGE, problem=problem[:1].lower() + problem[1:], usage=line))
        return int(Exit.USAGE)
    except (KeyboardInterrupt, click.Abort):
        out.say("interrupted")
        return int(Exit.FAILED)
    except BrokenPipeError:  # `volrep ... | head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.FAILED)
    except Exception as error:  # noqa: BLE001 (the one place where anything else ends, with a report)
        out.error(VolrepError(usage.CRASHED, problem=f"{type(error).__name__}: {error}", report=_report(arguments)))
        return int(Exit.FAILED)


def _without_arguments() -> list[str]:
    return ["console"] if sys.stdin.isatty() and sys.stdout.isatty() else ["help"]


def _dispatch(parsed: Parsed) -> int:
    module, _, function = parsed.verb.handler.partition(":")
    handler = getattr(import_module(f"volrep.cli.{module}"), function)
    gc.freeze()  # see cli.main: what was imported stays
    gc.enable()
    run = Run(parsed)
    try:
        return int(handler(run))
    finally:
        run.close()


def _complete(kind: str, typed: str, options: dict[str, object]) -> list[str]:
    from volrep.cli.complete import values

    return values(kind, typed, options)


def _report(arguments: list[str]) -> Path:
    """A new report file; in the state directory when it can be written, else among temporary files."""
    import tempfile
    import traceback

    text = f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}\n{PROGRAM} {' '.join(arguments)}\n\n{traceback.format_exc()}"
    folder = state_dir(os.environ, root=os.geteuid() == 0) / "crash"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)  # not its parents: a state directory is made by its engine
        for old in sorted(folder.glob("*.txt"))[:-REPORTS_MAX + 1]:
            old.unlink()
        place: Path | None = folder
    except OSError:
        place = None
    with tempfile.NamedTemporaryFile("w", prefix=time.strftime("volrep-crash-%Y%m%d-%H%M%S-"), suffix=".txt",
                                     dir=place, delete=False) as file:
        file.write(text)
    return Path(file.name)
