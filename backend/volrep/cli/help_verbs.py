"""Verbs: help, completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from volrep.cli.completion import register
from volrep.cli.grammar import PROGRAM, build, closest
from volrep.cli.run import Run
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import usage


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
    register()
    kind = get_completion_class(run.argument("shell"))
    assert kind is not None, "the table of verbs names a shell that Click does not know"
    run.out.print(kind(build(lambda _parsed: 0, lambda *_: []), {}, PROGRAM, "_VOLREP_COMPLETE").source())
    return Exit.DONE
