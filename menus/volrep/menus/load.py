"""Reads stanza files: the package's own, then the site's, which may replace or add.

Knows TOML, where in a file something stands, and what must fit together between files. Must not know screens.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from volrep.menus.model import RULES, Dialog, Item, ListSource, Menu, Screen, Selector, StanzaFile, View, lists_of
from volrep.model.errors import VolrepError
from volrep.model.messages import console
from volrep.model.shape import BadShape

ROOT = "volrep"  # the id of the first menu
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")  # of a path as shapes give it
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")
_MATCHING = re.compile(r"Expected `str` matching regex (.+)")
FILES_MAX = 256  # stanza files per directory; about 10 exist, a site adds a handful


@dataclass
class Catalogue:
    """All stanzas by id. Aliases are names too, for `volrep console NAME`."""

    screens: dict[str, Screen] = field(default_factory=dict)
    lists: dict[str, ListSource] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # id -> file it came from

    @cached_property
    def aliases(self) -> dict[str, str]:
        return {alias: screen.id for screen in self.screens.values() for alias in screen.aliases}

    def knows(self, name: str) -> bool:
        """Whether it is a fast path: an id or an alias."""
        return self.aliases.get(name, name) in self.screens

    def screen(self, name: str) -> Screen:
        """By id or alias. Raises VR-1810."""
        found = self.screens.get(self.aliases.get(name, name))
        if found is None:
            import difflib

            near = difflib.get_close_matches(name, [*self.screens, *self.aliases], n=3)
            raise VolrepError(console.NO_SCREEN, fastpath=name, closest=", ".join(near) or ROOT)
        return found

    @cached_property
    def parents(self) -> Mapping[str, str]:
        """Screen -> the screen it is first reached from (breadth first from the root, by routes only what is left)."""
        found: dict[str, str] = {}
        for reached in (_straight, targets):
            queue = [ROOT, *found]
            for at in queue:
                for target in reached(self.screens[at]):
                    if target not in found and target != ROOT:
                        found[target] = at
                        queue.append(target)
        return found

    def trail(self, name: str) -> list[Screen]:
        """The screens from the root down to `name`: the breadcrumb."""
        at, trail = name, [self.screens[name]]
        while at in self.parents:
            at = self.parents[at]
            trail.insert(0, self.screens[at])
        return trail


def _straight(screen: Screen) -> list[str]:
    """Where it leads when nothing special was chosen."""
    return [screen.next] if isinstance(screen, Selector) and screen.next else targets(screen)


def targets(screen: Screen) -> list[str]:
    """Where a screen leads."""
    match screen:
        case Menu():
            return [item.next for item in screen.items if item.next]
        case Selector():
            return [target for target in (screen.next, *screen.routes.values()) if target]
        case Dialog():
            return [target for target in (screen.next, screen.review) if target]
        case View():
            return []


def load(site_dirs: Iterable[Path] = ()) -> Catalogue:
    """The catalogue of this package and the site's directories (later ones win). Raises VR-1800 to VR-1802."""
    catalogue = Catalogue()
    _load_directory(catalogue, resources.files("volrep.menus") / "stanzas")
    for directory in site_dirs:
        if directory.is_dir():
            _load_directory(catalogue, directory)
    check_links(catalogue)
    return catalogue


def _load_directory(catalogue: Catalogue, directory: Traversable) -> None:
    paths = sorted((path for path in directory.iterdir() if path.name.endswith(".toml")), key=lambda path: path.name)
    here: dict[str, str] = {}  # ids of this directory: one id twice is a mistake, across directories it replaces
    added: list[tuple[str, Item]] = []
    if len(paths) > FILES_MAX:
        raise VolrepError(console.BAD_STANZA, file=directory.name, line=0, problem=f"more than {FILES_MAX} files")
    for path in paths:
        stanzas = parse(path.read_text(encoding="utf-8"), path.name)
        named: list[Screen | ListSource] = [
            *stanzas.menus, *stanzas.selectors, *stanzas.dialogs, *stanzas.views, *stanzas.lists]
        for each in named:
            key = f"list {each.id}" if isinstance(each, ListSource) else each.id
            if key in here:
                raise VolrepError(console.STANZA_CLASH, file=path.name, kind=type(each).__name__.lower(), id=each.id,
                                  other=here[key])
            here[key] = catalogue.files[key] = path.name
            if isinstance(each, ListSource):
                catalogue.lists[each.id] = each
            else:
                catalogue.screens[each.id] = each
        added += [(path.name, item) for item in stanzas.items]
    for file, item in added:
        _add_item(catalogue, file, item)


def _add_item(catalogue: Catalogue, file: str, item: Item) -> None:
    menu = catalogue.screens.get(item.menu)
    if not isinstance(menu, Menu):
        raise VolrepError(console.STANZA_TARGET, file=file, kind="item", id=item.text, target=item.menu, wanted="menu")
    catalogue.screens[menu.id] = menu.changed(items=[*menu.items, item])


def parse(text: str, file: str) -> StanzaFile:
    """One file. Raises VR-1800 with file, line and reason."""
    try:
        return StanzaFile.from_data(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise VolrepError(console.BAD_STANZA, file=file, line=line[1] if line else 1, problem=str(error)) from error
    except BadShape as error:
        problem, location = explain(str(error))
        where = ".".join(str(part) for part in location)
        raise VolrepError(console.BAD_STANZA, file=file, line=line_of(text, location),
                          problem=f"{where}: {problem}" if where else problem) from error


def explain(problem: str) -> tuple[str, tuple[int | str, ...]]:
    """(what is wrong, where), out of what a shape says: "... - at `$.dialog[1].field[3].kind`"."""
    said, _, path = problem.rstrip("`").partition(" - at `$")
    location: list[int | str] = [int(index) if index else key for key, index in _STEP.findall(path)]
    if unknown := _UNKNOWN.fullmatch(said):
        location.append(unknown[1])
        said = "no such key"
    if rule := _MATCHING.fullmatch(said):
        said = next((words for pattern, words in RULES.items() if repr(pattern) == rule[1]), said)
    return said, tuple(location)


def line_of(text: str, location: tuple[int | str, ...]) -> int:
    """The line of an error at `("dialog", 1, "field", 3, "kind")`.

    That is the fourth [[dialog.field]] after the second [[dialog]], and below it `kind =`.
    """
    lines = text.splitlines()
    at, table = 0, ""
    for index, part in enumerate(location):
        if isinstance(part, int):
            continue
        if index + 1 < len(location) and isinstance(count := location[index + 1], int):
            nested = f"{table}.{part}".lstrip(".")
            headers = [number for number in range(at, len(lines)) if lines[number].strip() == f"[[{nested}]]"]
            if count < len(headers):
                at, table = headers[count], nested
                continue
        key = re.compile(rf"\s*{re.escape(part)}\s*=")
        at = next((number for number in range(at, len(lines)) if key.match(lines[number])), at)
    return at + 1


def check_links(catalogue: Catalogue) -> None:
    """Everything named exists, and no name means two things."""
    if not isinstance(catalogue.screens.get(ROOT), Menu):
        raise VolrepError(console.STANZA_TARGET, file="stanzas", kind="tree", id="root", target=ROOT, wanted="menu")
    taken: dict[str, str] = dict.fromkeys(catalogue.screens, "")
    for screen in catalogue.screens.values():
        kind, file = type(screen).__name__.lower(), catalogue.files[screen.id]
        for alias in screen.aliases:
            if alias in taken:
                raise VolrepError(console.STANZA_CLASH, file=file, kind="alias", id=alias,
                                  other=taken[alias] or catalogue.files[alias])
            taken[alias] = file
        for target in targets(screen):
            if target not in catalogue.screens:
                raise VolrepError(console.STANZA_TARGET, file=file, kind=kind, id=screen.id, target=target,
                                  wanted="menu, selector, dialog or view")
        if isinstance(screen, Dialog) and screen.review and not isinstance(catalogue.screens[screen.review], View):
            raise VolrepError(console.STANZA_TARGET, file=file, kind=kind, id=screen.id, target=screen.review,
                              wanted="view")
        for name in lists_of(screen):
            if name not in catalogue.lists:
                raise VolrepError(console.STANZA_TARGET, file=file, kind=kind, id=screen.id, target=name, wanted="list")


def site_directories(environment: Mapping[str, str], home: Path) -> list[Path]:
    """Where a site keeps its own stanzas: the system's directory, then the user's, or $VOLREP_CONFIG_DIR alone."""
    own = environment.get("VOLREP_CONFIG_DIR")
    if own:
        return [Path(own) / "menus"]
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    return [Path("/etc/volrep/menus"), user / "volrep" / "menus"]
