"""What all screens share: SMIT's frame. Crumbs and fast path, title, instructions, body, messages, the legend.

Knows the arrangement and the keys by name; what a key does is said by the screen. The legend shows only keys that do
something here, and every cell of it can be clicked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

if TYPE_CHECKING:
    from volrep.tui.console import Console

T = TypeVar("T")

CELL_COLUMNS = 19  # four columns at 80, as in SMIT
CELLS_MAX = 6  # on wide terminals


@dataclass(frozen=True, slots=True)
class Key:
    """`name` as the legend shows it, `key` as Textual calls it, `action` of the screen."""

    name: str
    label: str
    key: str
    action: str


HELP = Key("F1", "Help", "f1", "help")
REFRESH = Key("F2", "Refresh", "f2", "refresh")
CANCEL = Key("F3", "Cancel", "f3", "cancel")
LIST = Key("F4", "List", "f4", "list")
RESET = Key("F5", "Reset", "f5", "reset")
COMMAND = Key("F6", "Command", "f6", "command")
EDIT = Key("F7", "Edit", "f7", "edit")
SELECT = Key("F7", "Select", "f7", "select")
IMAGE = Key("F8", "Image", "f8", "image")
SHELL = Key("F9", "Shell", "f9", "app.shell")
EXIT = Key("F10", "Exit", "f10", "app.leave")
DO = Key("Enter", "Do", "enter", "do")
FIND = Key("/", "Find", "slash", "find")
FIND_NEXT = Key("n", "Find Next", "n", "find_next")
PALETTE = Key("Ctrl+P", "Go to", "ctrl+p", "app.command_palette")


def bindings(keys: Iterable[Key]) -> list[BindingType]:
    return [Binding(key.key, key.action, key.label, show=False) for key in keys]


class Legend(Widget):
    """The last rows. `keys` may change while the screen is up."""

    DEFAULT_CSS = """
    Legend { height: auto; width: 1fr; color: $text; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"legend--key"}

    def __init__(self, keys: Iterable[Key], cells_max: int = CELLS_MAX) -> None:
        super().__init__()
        self.keys = list(keys)
        self.cells_max = cells_max

    def set_keys(self, keys: Iterable[Key]) -> None:
        keys = list(keys)
        if keys != self.keys:
            self.keys = keys
            self.refresh(layout=True)

    def _cells(self, width: int) -> int:
        return max(1, min(self.cells_max, width // CELL_COLUMNS))

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return -(-len(self.keys) // self._cells(width))

    def render_line(self, y: int) -> Strip:
        cells = self._cells(self.size.width)
        column = self.size.width // cells
        style = self.rich_style
        strong = style + self.get_component_rich_style("legend--key")
        segments: list[Segment] = []
        for key in self.keys[y * cells:(y + 1) * cells]:
            segments += [Segment(key.name, strong),
                         Segment(f"={key.label}"[:column - len(key.name)].ljust(column - len(key.name)), style)]
        return Strip(segments).adjust_cell_length(self.size.width, style)

    async def on_click(self, event: events.Click) -> None:
        cells = self._cells(self.size.width)
        index = event.y * cells + event.x // max(1, self.size.width // cells)
        if index < len(self.keys):
            await self.screen.run_action(self.keys[index].action)


class Frame(Screen[None]):
    """A full screen. Subclasses give crumbs, title, fastpath, body and keys."""

    KEYS: ClassVar[tuple[Key, ...]] = ()
    CSS_PATH = None
    fastpath = ""

    def __init__(self, title: str, crumbs: str, instructions: str) -> None:
        super().__init__()
        self.heading = title
        self.crumbs = crumbs
        self.instructions = instructions
        self.legend = Legend(self.KEYS)

    @property
    def console(self) -> Console:
        return cast("Console", self.app)

    def compose(self) -> ComposeResult:
        yield Static(id="crumbs", markup=False)
        yield Static(Content(self.heading), id="title", markup=False)
        yield Static(Content(self.instructions), id="instructions", markup=False)
        yield from self.body()
        yield from self.below()
        yield Static(id="message", markup=False)
        yield self.legend

    def body(self) -> Iterable[Widget]:
        raise AssertionError("each kind of screen has its own")

    def below(self) -> Iterable[Widget]:
        """Between body and messages."""
        return ()

    def on_mount(self) -> None:
        self._draw_crumbs()

    def on_resize(self) -> None:
        self._draw_crumbs()

    def _draw_crumbs(self) -> None:
        width = self.app.size.width - 2
        name = f"[{self.fastpath}]" if self.fastpath else ""
        room = width - len(name) - 1
        left = self.crumbs if len(self.crumbs) <= room else "…" + self.crumbs[-(room - 1):]
        self.query_one("#crumbs", Static).update(Content(left.ljust(width - len(name)) + name))

    def tell(self, text: str, tone: str = "") -> None:
        """The line above the legend. `tone`: "", "error", "warn", "good"."""
        for line in self.query("#message").results(Static):  # none when an answer comes after the screen was left
            line.set_classes(tone)
            line.update(Content(" ".join(text.split())))

    def action_cancel(self) -> None:
        self.console.back()

    def action_image(self) -> None:
        self.console.show_image(self.fastpath)


class Popup(ModalScreen[T]):
    """A box over the lower part of the screen. F3 closes it without a result."""

    KEYS: ClassVar[tuple[Key, ...]] = ()

    def __init__(self, title: str) -> None:
        super().__init__()
        self.heading = title
        self.legend = Legend(self.KEYS, cells_max=3)

    @property
    def console(self) -> Console:
        return cast("Console", self.app)

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(Content(self.heading), id="title", markup=False)
            yield from self.body()
            yield self.legend

    def body(self) -> Iterable[Widget]:
        raise AssertionError("each kind of pop-up has its own")

    def action_cancel(self) -> None:
        self.dismiss(None)

    def action_image(self) -> None:
        self.console.show_image("")
