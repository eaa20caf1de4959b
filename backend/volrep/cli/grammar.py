"""From the table of verbs to Click: parsing, help and completion.

Options may stand before or after the verb. Knows Click; must not know what verbs do.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from volrep.cli.verbs import COMMON, EARLY, TABLE, VERBS, Argument, Option, Verb
from volrep.model.errors import VolrepError
from volrep.model.messages import usage

PROGRAM = "volrep"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A command line, understood. `options` holds every option of the verb by name (None or False: not given)."""

    verb: Verb
    options: dict[str, Any]
    arguments: dict[str, str]
    many: tuple[str, ...]  # values of the argument that may be repeated
    attributes: dict[str, str]


Complete = Callable[[str, str, dict[str, Any]], list[str]]
"""(kind, what is typed of it, options typed before) -> values."""


def split_words(verb: Verb, words: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...], dict[str, str]]:
    """(arguments, repeated argument, attributes). Raises VR-1001, VR-1014, VR-1015."""
    attributes: dict[str, str] = {}
    plain: list[str] = []
    for word in words:
        key, assigned, value = word.partition("=")
        if not verb.keys or not assigned:
            plain.append(word)
        elif key not in verb.keys and "synchronous" not in verb.keys:
            raise VolrepError(usage.UNKNOWN_KEY, name=key, verb=verb.name, known=", ".join(verb.keys))
        elif not key or key in attributes:
            raise VolrepError(usage.USAGE, problem=f"{key or word} is given twice" if key else f"{word} has no name",
                              usage=verb.usage)
        else:
            attributes[key] = value
    arguments: dict[str, str] = {}
    many: tuple[str, ...] = ()
    for argument in verb.arguments:
        if argument.many:
            many, plain = tuple(plain), []
        elif plain:
            arguments[argument.name] = plain.pop(0)
            check_choice(arguments[argument.name], argument.choices, verb.usage)
        elif argument.required:
            raise VolrepError(usage.USAGE, problem=f"{verb.name} needs {argument.name.upper()}", usage=verb.usage)
        else:
            arguments[argument.name] = ""
    if plain:
        problem = f"{verb.name} has no place for {plain[0]!r}"
        raise VolrepError(usage.USAGE, problem=problem, usage=verb.usage)
    return arguments, many, attributes


def check_choice(value: str, choices: Sequence[str], usage_line: str) -> None:
    """Raises VR-1001 for a word that is none of `choices`; no choices: anything goes."""
    if choices and value not in choices:
        raise VolrepError(usage.USAGE, problem=f"{value!r} is none of {', '.join(choices)}", usage=usage_line)


def closest(word: str) -> str:
    heads = {verb.name.split()[0] for verb in TABLE}
    near = difflib.get_close_matches(word, sorted(heads | set(VERBS)), n=3)
    return ", ".join(near) or ", ".join(sorted(heads)[:5]) + ", ..."


class _Group(click.Group):
    """Unknown words become VR-1000."""

    def resolve_command(self, ctx: click.Context,
                        args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            prefix = " ".join(ctx.command_path.split()[1:])
            word = f"{prefix} {args[0]}".strip()
            raise VolrepError(usage.UNKNOWN_VERB, verb=word, closest=closest(word))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        prefix = " ".join(ctx.command_path.split()[1:])
        for verb in TABLE:
            if verb.name.startswith(f"{prefix} " if prefix else ""):
                groups.setdefault(verb.group, []).append((verb.name, verb.summary))
        for name, rows in groups.items():
            with formatter.section(name):
                formatter.write_dl(rows)


class _Command(click.Command):
    """Usage as the table words it."""

    verb: Verb

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_text(f"Usage: {self.verb.usage}")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        if self.verb.keys:
            with formatter.section("Attributes"):
                formatter.write_dl([(f"{name}={'|'.join(key.values) or '...'}", key.help)
                                    for name, key in self.verb.keys.items()])


def _click_option(option: Option, complete: Complete) -> click.Option:
    def values(ctx: click.Context, _param: click.Parameter, typed: str) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [choice for choice in option.choices if choice.startswith(typed)]
        return [CompletionItem(value) for value in found or complete(option.kind, typed, _typed_options(ctx))]

    extra: dict[str, Any] = {"is_flag": True} if option.flag else {"metavar": option.metavar}
    return click.Option([*option.flags, option.name], help=option.help, expose_value=True,
                        shell_complete=None if option.flag else values, **extra)


def _typed_options(ctx: click.Context) -> dict[str, Any]:
    found: dict[str, Any] = {}
    current: click.Context | None = ctx
    while current is not None:
        found = {**{k: v for k, v in current.params.items() if v}, **found}
        current = current.parent
    return found


def argument_at(verb: Verb, words: Sequence[str]) -> Argument | None:
    """The argument that is typed next behind `words`."""
    place = len([word for word in words if not (verb.keys and "=" in word)])
    if place < len(verb.arguments):
        return verb.arguments[place]
    return verb.arguments[-1] if verb.arguments and verb.arguments[-1].many else None


def assignments(verb: Verb, typed: str) -> list[str]:
    """What may be typed of attribute=value: names while none is complete, then the values of that one."""
    name, assigned, value = typed.partition("=")
    if not assigned:
        return [f"{key}=" for key in verb.keys if key.startswith(typed)]
    key = verb.keys.get(name)
    return [f"{name}={choice}" for choice in key.values if choice.startswith(value)] if key is not None else []


def _words_argument(verb: Verb, complete: Complete) -> click.Argument:
    def values(ctx: click.Context, _param: click.Parameter, typed: str) -> list[click.shell_completion.CompletionItem]:
        from click.shell_completion import CompletionItem

        words = [word for word in ctx.params.get("words") or () if word != typed]
        argument = argument_at(verb, words)
        typed_options = _typed_options(ctx) | {"words": words}
        found = [choice for choice in argument.choices if choice.startswith(typed)] if argument is not None else []
        if argument is not None and not argument.choices and "=" not in typed:
            found = complete(argument.kind, typed, typed_options)
        return [CompletionItem(value) for value in found + assignments(verb, typed)]

    return click.Argument(["words"], nargs=-1, required=False, shell_complete=values)


def build(run: Callable[[Parsed], int], complete: Complete) -> click.Group:
    """The whole command line; `run` is called with what was typed, its answer is the exit code."""
    root = _Group(PROGRAM, params=[_click_option(option, complete) for option in (*COMMON, *EARLY)],
                  context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
                  invoke_without_command=True, help="Replicate block volumes between hosts.",
                  subcommand_metavar="VERB ARGUMENTS [attribute=value ...]",
                  epilog="`volrep help VERB` explains one verb; without arguments on a terminal: the console.")
    click.version_option(package_name=PROGRAM, prog_name=PROGRAM, message="%(prog)s %(version)s")(root)
    groups: dict[str, click.Group] = {"": root}
    for verb in TABLE:
        parent, _, name = verb.name.rpartition(" ")
        if parent not in groups:
            groups[parent] = _Group(parent, help=f"Verbs of {parent}.", subcommand_metavar="VERB",
                                    no_args_is_help=False, invoke_without_command=True,
                                    callback=_needs_more(parent))
            root.add_command(groups[parent])
        groups[parent].add_command(_command(verb, name, run, complete))
    return root


def _needs_more(parent: str) -> Callable[[], None]:
    @click.pass_context
    def callback(ctx: click.Context) -> None:
        if ctx.invoked_subcommand is None:
            names = ", ".join(verb.name for verb in TABLE if verb.name.startswith(f"{parent} "))
            raise VolrepError(usage.USAGE, problem=f"{parent} needs one more word", usage=names)

    return callback


def _command(verb: Verb, name: str, run: Callable[[Parsed], int], complete: Complete) -> click.Command:
    @click.pass_context
    def callback(ctx: click.Context, /, words: tuple[str, ...], **own: Any) -> int:
        options = _merge(verb, ctx, own)
        arguments, many, attributes = split_words(verb, words)
        return run(Parsed(verb, options, arguments, many, attributes))

    options = [_click_option(option, complete) for option in (*COMMON, *verb.options)]
    command = _Command(name, callback=callback, params=[*options, _words_argument(verb, complete)],
                       help=f"{verb.summary[0].upper()}{verb.summary[1:]}.\n\n{verb.details}",
                       short_help=verb.summary, hidden=verb.hidden,
                       context_settings={"help_option_names": ["-h", "--help"]})
    command.verb = verb
    return command


def _merge(verb: Verb, ctx: click.Context, own: dict[str, Any]) -> dict[str, Any]:
    """Options of the verb, wherever they stood. Raises VR-1001 for one before the verb that it does not take."""
    early = ctx.find_root().params
    known = {option.name: option for option in (*COMMON, *verb.options)}
    for option in EARLY:
        if early.get(option.name) and option.name not in known:
            raise VolrepError(usage.USAGE, problem=f"{verb.name} has no option {option.flags[0]}", usage=verb.usage)
    merged = {name: own.get(name) or early.get(name) for name in known}
    for option in known.values():
        if merged[option.name]:
            check_choice(str(merged[option.name]), option.choices, verb.usage)
    return merged
