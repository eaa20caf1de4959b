"""Verbs: help, completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from volrep.cli.grammar import PROGRAM, build, closest
from volrep.cli.run import Run
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import usage

SHELLS = ("bash", "zsh", "fish")


def help_verb(run: Run) -> int:
    command: click.Command = build(lambda _parsed: 0, lambda *_: [])
    ctx = click.Context(command, info_name=PROGRAM)
    for word in run.parsed.many:
        found = command.get_command(ctx, word) if isinstance(command, click.Group) else None
        if found is None:
            typed = " ".join(run.parsed.many)
            raise VolrepError(usage.UNKNOWN_VERB, verb=typed, closest=closest(typed))
        command, ctx = found, click.Context(found, info_name=word, parent=ctx)
    run.out.print(command.get_help(ctx))
    return Exit.DONE


def completion(run: Run) -> int:
    shell = run.argument("shell")
    kind = get_completion_class(shell) if shell in SHELLS else None
    if kind is None:
        raise VolrepError(usage.USAGE, problem=f"{shell} is not a shell that completion knows",
                          usage=f"volrep completion {'|'.join(SHELLS)}")
    run.out.print(kind(build(lambda _parsed: 0, lambda *_: []), {}, PROGRAM, "_VOLREP_COMPLETE").source())
    return Exit.DONE
