"""What a dialog shows before it does something that cannot be undone: a picture, Enter to go on, Cancel to go back.

Knows that there is something to agree to. What is shown is the view's, drawn from what the dialog's own command says.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from textual import work

from volrep.menus.extract import value_at
from volrep.menus.model import View, Words
from volrep.menus.show import text_of
from volrep.tui.frame import CANCEL, COMMAND, EXIT, HELP, IMAGE, PALETTE, REFRESH, SHELL, Key, bindings
from volrep.tui.live import ViewScreen

GO_ON = Key("Enter", "Go on", "enter", "do")


class ReviewScreen(ViewScreen):
    """Enter asks for the confirmation; `agreed` is what happens after it."""

    KEYS = (HELP, REFRESH, CANCEL, COMMAND, IMAGE, SHELL, EXIT, GO_ON, PALETTE)
    BINDINGS = bindings((HELP, REFRESH, CANCEL, COMMAND, IMAGE, GO_ON))

    def __init__(self, title: str, view: View, crumbs: str, context: Mapping[str, str], words: Sequence[str],
                 confirm: Callable[[ReviewScreen], Awaitable[bool]], agreed: Callable[[], None]) -> None:
        super().__init__(view, crumbs, context)
        self.heading = title
        self._words = [word.replace("{", "{{").replace("}", "}}") for word in words]  # complete: nothing is filled in
        self._confirm = confirm
        self._agreed = agreed

    @property
    def words(self) -> Words:
        return list(self._words)

    def _blocked(self) -> str:
        chain = (self.document,) if isinstance(self.document, dict) else ()
        return text_of(value_at(chain, self.view.blocks)) if self.view.blocks and chain else ""

    def told(self) -> None:
        if blocked := self._blocked():
            self.tell(f"not possible now: {blocked}", "warn")
        else:
            self.tell("Enter goes on; Cancel changes nothing")

    @work(exclusive=True, group="do")
    async def action_do(self) -> None:
        if self.document is None or self._blocked():
            self.app.bell()
            return
        if await self._confirm(self):
            self.console.pop_screen()
            self._agreed()
