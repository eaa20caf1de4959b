"""The menu screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual import on, work
from textual.widget import Widget

from volrep.menus.model import Item, Menu
from volrep.model.errors import VolrepError
from volrep.model.messages import console as messages
from volrep.tui.frame import CANCEL, DO, EXIT, FIND, FIND_NEXT, HELP, IMAGE, PALETTE, REFRESH, SHELL, Frame, bindings
from volrep.tui.picker import Pick, Picker


class MenuScreen(Frame):
    """Items that cannot work now are dimmed, and say why when the cursor stands on them."""

    KEYS = (HELP, REFRESH, CANCEL, IMAGE, SHELL, EXIT, DO, PALETTE)
    BINDINGS = bindings((HELP, REFRESH, CANCEL, IMAGE, DO, FIND, FIND_NEXT))

    def __init__(self, menu: Menu, crumbs: str, context: Mapping[str, str]) -> None:
        super().__init__(menu.title, crumbs, "Move cursor to desired item and press Enter. Type to filter.")
        self.menu = menu
        self.fastpath = menu.id
        self.context = dict(context)
        self.picker = Picker(self._picks([""] * len(menu.items)), id="body")

    def body(self) -> Iterable[Widget]:
        yield self.picker

    def on_mount(self) -> None:
        super().on_mount()
        self.picker.focus()
        self.picker.go_end(-1)
        self.look(False)

    def on_screen_resume(self) -> None:
        """Back from a dialog: what it changed may have made other items possible."""
        self.look(False)

    @work(exclusive=True)
    async def look(self, fresh: bool) -> None:
        """Find out which items can work. Until that is known they are not dimmed; an unreachable host dims nothing."""
        if fresh:
            self.console.source.forget()
        self.picker.set_picks(self._picks([await self._reason(item) for item in self.menu.items]))
        self._tell()

    def _picks(self, reasons: list[str]) -> list[Pick]:
        return [Pick(item.text, index if item.next else None, reason)
                for index, (item, reason) in enumerate(zip(self.menu.items, reasons, strict=True))]

    async def _reason(self, item: Item) -> str:
        for name in item.needs:
            source = self.console.catalogue.lists[name]
            try:
                rows = await self.console.source.rows(source, self.context)
            except VolrepError as error:
                self.tell(f"{error.text.splitlines()[0]}", "warn")
                return ""
            if not rows:
                return source.empty
        return ""

    @on(Picker.Moved)
    def _tell(self) -> None:
        current = self.picker.current
        if current is None or self.picker.filter:
            return
        self.tell(f"not now: {current.reason}" if current.reason else "", "warn")

    @on(Picker.Filtered)
    def _filtered(self, event: Picker.Filtered) -> None:
        self.tell(event.note)

    @on(Picker.Chosen)
    def _chosen(self) -> None:
        self.action_do()

    def action_do(self) -> None:
        pick = self.picker.current
        if pick is None:
            self.app.bell()
        elif pick.reason:
            self.console.show_error(VolrepError(messages.ITEM_DIMMED, item=pick.text.strip(), reason=pick.reason))
        else:
            self.console.open(self.menu.items[pick.key].next, self.context)

    def action_cancel(self) -> None:
        if not self.picker.cancel_typing():
            super().action_cancel()

    def action_refresh(self) -> None:
        self.look(True)

    def action_help(self) -> None:
        pick = self.picker.current
        text = self.menu.items[pick.key].help if pick is not None else ""
        self.console.show_help(pick.text.strip() if pick else self.heading, text or self.menu.help)
