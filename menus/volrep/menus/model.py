"""Stanzas: what a menu, selector, dialog, list and view may say.

Knows the shapes and their inner rules. Must not know: any verb, any screen, where files are.

These are SMIT's classes under readable names: sm_menu_opt is Menu and Item, sm_name_hdr is Selector, sm_cmd_hdr is
Dialog, sm_cmd_opt is Field, cmd_to_list is ListSource. docs/console.md describes every key for writers of stanzas.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, field

from volrep.model.shape import Shape

ID_MAX_CHARS = 64  # as in SMIT's ODM
FIELDS_MAX = 300  # a form of 300 fields still opens at once; more is a stanza gone wrong
_NAME = "[a-z][a-z0-9_]*"

Kind = Literal["text", "name", "number", "size", "path", "ring", "list", "multi-list", "secret", "fixed", "heading"]
Form = Literal["text", "size", "rate", "duration", "percent", "count", "time", "yes"]
Send = Literal["always", "nonempty", "changed", "never"]


def placeholders(template: str) -> list[str]:
    """Names in braces: `{dg}/{name}` gives dg and name."""
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


ID_PATTERN = rf"^{_NAME}\Z"
TEMPLATE_PATTERN = rf"^(?:[^{{}}]|{{{{|}}}}|{{{_NAME}}})*\Z"
RULES = {  # a pattern in words
    ID_PATTERN: f"not an id: lowercase letters, digits and _, at most {ID_MAX_CHARS}",
    TEMPLATE_PATTERN: "braces that are no placeholder: {name}, or {{ and }} for braces themselves",
}

Id = Annotated[str, Meta(pattern=ID_PATTERN, max_length=ID_MAX_CHARS)]
Template = Annotated[str, Meta(pattern=TEMPLATE_PATTERN)]
Words = list[Template | list[Template]]
"""Words of a command. An inner list is left out when one of its placeholders has no value."""


class Stanza(Shape):
    """A misspelled key is an error, not silence."""


class Item(Stanza):
    """A line of a menu. Without `next` it only informs. `menu` is for items added to a menu of another file."""

    text: str
    next: Id = ""
    needs: list[Id] = []  # lists that must have a row, else the item is dimmed with the list's reason
    help: str = ""
    menu: Id = ""


class Menu(Stanza):
    id: Id
    title: str
    items: list[Item] = field(name="item", default_factory=list)
    aliases: list[Id] = []
    help: str = ""


class Column(Stanza, kw_only=True):
    title: str = ""
    path: str
    form: Form = "text"


class Choice(Stanza):
    """A value of a ring or of a list without a command. `words` replaces what the field would send."""

    text: str
    value: str = ""
    words: list[str] | None = None
    help: str = ""


class ListSource(Stanza):
    """A command that prints JSON, and how its rows become choices.

    `rows` leads to the rows, `value` (inside a row) is what a field receives, `carries` are values that come along
    and fill fields of that name. Paths: extract.py.
    """

    id: Id
    title: str
    command: Words = []
    rows: str = ""
    value: str = ""
    columns: list[Column] = []
    where: dict[str, Template | list[Template]] = {}  # path -> what it must be; no value for a placeholder: not asked
    unless: dict[str, Template | list[Template]] = {}
    carries: dict[Id, str] = {}
    choices: list[Choice] = []
    empty: str = "there is nothing to choose from"
    help: str = ""

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.choices):
            raise ValueError("a list has either a command or choices")
        if self.command and not (self.rows and self.value):
            raise ValueError("a list with a command says rows and value")


class Discover(Stanza):
    """The command that finds the current values, and the row that holds them."""

    command: Words
    rows: str = ""
    where: dict[str, Template | list[Template]] = {}


class FieldStanza(Stanza):
    """An entry field. At most one of option, position, attribute, environment says how it becomes an argument."""

    name: Id
    label: str
    kind: Kind = "text"
    required: bool = False
    default: Template = ""
    discovered: str = ""  # path into the discovered row
    source: Id = ""  # the list behind F4
    choices: list[Choice] = []
    option: str = ""  # "-g": `-g VALUE` before the verb
    position: Annotated[int, Meta(ge=0, le=20)] = 0  # after the verb: the n-th positional argument
    attribute: str = ""  # "address": `address=VALUE` at the end
    environment: str = ""  # for secrets, which must not appear among arguments
    send: Send | None = None  # default: attributes when changed, the rest when not empty
    join: str = ","
    max_chars: Annotated[int, Meta(ge=1, le=4096)] = 255
    object: str = ""  # for kind name: the word for messages, "RVG"
    pattern: str = ""
    rule: str = ""  # the pattern in words
    help: str = ""

    def __post_init__(self) -> None:
        ways = [bool(self.option), bool(self.position), bool(self.attribute), bool(self.environment)]
        if sum(ways) > 1:
            raise ValueError("at most one of option, position, attribute, environment")
        if (self.kind == "secret") != bool(self.environment):
            raise ValueError("a secret goes by environment, and nothing else does")
        if self.kind == "ring" and not self.choices:
            raise ValueError("a ring needs choices")
        if self.kind in {"list", "multi-list"} and not (self.source or self.choices):
            raise ValueError(f"kind {self.kind} needs source or choices")
        if bool(self.pattern) != bool(self.rule):
            raise ValueError("pattern and rule come together")
        if self.kind == "heading" and (self.required or any(ways)):
            raise ValueError("a heading has no value")

    @property
    def typed(self) -> bool:
        """Whether the operator may type here (brackets on the screen)."""
        return self.kind not in {"ring", "list", "fixed", "heading"}

    @property
    def listed(self) -> bool:
        """Whether F4 has something to show."""
        return bool(self.source or self.choices)

    @property
    def marks(self) -> str:
        """SMIT's marks at the right margin."""
        kinds = {"number": "#", "size": "#", "path": "/", "secret": "?"}
        return ("+" if self.listed else "") + kinds.get(self.kind, "")


class Selector(Stanza):
    """Asks one thing first. `ghost`: only the pop-up list; `skip_only`: not even that when there is one choice."""

    id: Id
    title: str
    source: Id
    name: Id  # the value goes on under this name, with what the row carries
    next: Id = ""
    routes: dict[str, Id] = {}  # value of `route_by` -> next
    route_by: str = ""  # path in the row; default: the value itself
    ghost: bool = True
    skip_only: bool = True
    label: str = ""
    aliases: list[Id] = []
    help: str = ""

    def __post_init__(self) -> None:
        if not self.next and not self.routes:
            raise ValueError("a selector needs next or routes")


class Dialog(Stanza):
    """A form that builds a command: options of fields, `command`, positions, attributes."""

    id: Id
    title: str
    command: list[str]
    fields: Annotated[list[FieldStanza], Meta(max_length=FIELDS_MAX)] = field(name="field", default_factory=list)
    discover: Discover | None = None
    ghost: bool = False  # no form: run at once (after the confirmation, when there is one)
    confirm: Template = ""  # what will happen, to what, where
    confirm_name: Template = ""  # the operator must type this (destructive verbs)
    changes: bool = True  # afterwards all lists are asked again
    terminal: bool = False  # the command talks to the terminal itself
    done: Literal["stay", "menu"] = "stay"  # where F3 leads after success
    review: Id = ""  # a view that is shown first, drawn from what the command says with `review_words` before it
    review_words: list[str] = field(default_factory=lambda: ["--json", "--dry-run"])
    next: Id = ""  # offered after success: what one would do next
    aliases: list[Id] = []
    help: str = ""

    def __post_init__(self) -> None:
        if self.review and self.ghost:
            raise ValueError("a ghost runs at once: it has no review")
        names = [field.name for field in self.fields]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"field {sorted(twice)[0]} twice")
        positions = [field.position for field in self.fields if field.position]
        if sorted(positions) != list(range(1, len(positions) + 1)):
            raise ValueError(f"positions are 1, 2, 3 ... without gaps, not {positions}")
        if self.confirm_name and not self.confirm:
            raise ValueError("confirm_name without confirm")


class Fact(Stanza):
    """`label  value` of a view. `bar` draws the value (0 to 100) as a bar too."""

    label: str
    path: str
    form: Form = "text"
    bar: bool = False


class Table(Stanza, kw_only=True):
    title: str = ""
    rows: str
    columns: list[Column]
    bar: str = ""  # paths to what is done and to the total: a bar below the row while both are there
    bar_of: str = ""
    bar_label: list[Column] = []
    last: Annotated[int, Meta(ge=0)] = 0  # only the last n rows (events); 0: all
    empty: str = ""
    across: bool = False  # every row becomes a column, headed by its first value: things side by side
    wrap: bool = False  # the last column goes on in further lines
    below: str = ""  # path: what stands in lines of its own below a row, when there is something


class View(Stanza):
    """A live picture: the command is asked again every `every_s`, and what it says is drawn in place."""

    id: Id
    title: Template
    command: Words
    every_s: Annotated[float, Meta(ge=0.5, le=60)] = 1.0
    facts: list[Fact] = field(name="fact", default_factory=list)
    tables: list[Table] = field(name="table", default_factory=list)
    good: list[str] = []  # words drawn as good, as a warning, as bad
    warn: list[str] = []
    bad: list[str] = []
    blocks: str = ""  # as a review: path; while there is something, it is told and nothing is run
    aliases: list[Id] = []
    help: str = ""


class StanzaFile(Stanza):
    """One file: an area."""

    area: str = ""
    menus: list[Menu] = field(name="menu", default_factory=list)
    items: list[Item] = field(name="item", default_factory=list)
    selectors: list[Selector] = field(name="selector", default_factory=list)
    dialogs: list[Dialog] = field(name="dialog", default_factory=list)
    lists: list[ListSource] = field(name="list", default_factory=list)
    views: list[View] = field(name="view", default_factory=list)


Screen = Menu | Selector | Dialog | View


def lists_of(screen: Screen) -> Iterator[str]:
    """Ids of the lists that a screen may show or depend on."""
    match screen:
        case Menu():
            for item in screen.items:
                yield from item.needs
        case Selector():
            yield screen.source
        case Dialog():
            yield from (field.source for field in screen.fields if field.source)
        case View():
            return
