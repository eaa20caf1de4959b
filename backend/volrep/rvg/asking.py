"""Before a starting Primary serves: it asks the other hosts whether one of them has taken over meanwhile.

A host that has answered, whatever it said, need not be waited for: if it knows a newer reign, that has been heard. With
`startup=serve` hosts that cannot be reached are waited for only a moment; with `startup=ask-peers` every attached
Secondary must answer, or an operator says that it is not to be waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from volrep.model.config import LinkConfig, Startup
from volrep.ports.reactor import Loop, Timer
from volrep.rvg.limits import STARTUP_ASK_S


class Asked(Protocol):
    """A link, as far as asking goes."""

    config: LinkConfig

    @property
    def was_started(self) -> bool:
        """Only a Secondary that once had all the data can take over."""
        ...

    @property
    def attached(self) -> bool: ...

    def ask(self) -> None: ...


class Asking:
    def __init__(self, links: Mapping[str, Asked], startup: Startup, loop: Loop, done: Callable[[], None],
                 lasts: Callable[[], None]) -> None:
        """`done` is called once: when all have answered, when nobody is waited for any more, or at `end`; `lasts` when
        the moment is over and somebody still is.
        """
        self._links = {link_id: link for link_id, link in links.items() if link.was_started}
        self._startup = startup
        self._loop = loop
        self._done = done
        self._lasts = lasts
        self._timer: Timer | None = None
        self._over = False
        self.patient = False  # beyond STARTUP_ASK_S: an operator may have to help

    def begin(self) -> None:
        if not self._links:
            self.end()
            return
        for link in self._links.values():
            link.ask()
        self._timer = self._loop.call_at(self._loop.clock.monotonic_s() + STARTUP_ASK_S, self._moment_over)

    def hosts(self) -> list[str]:
        """Not heard yet."""
        return [link.config.remote_host for link in self._links.values()]

    def answered(self, link: Asked) -> None:
        self._links.pop(link.config.link_id, None)
        self._look()

    def _moment_over(self) -> None:
        self.patient = True
        self._look()

    def _look(self) -> None:
        if not any(not self.patient or (link.attached and self._startup is Startup.ASK_PEERS)
                   for link in self._links.values()):
            self.end()
        elif self.patient:
            self._lasts()

    def end(self) -> None:
        """Ask no more, whoever has not answered."""
        if self._over:
            return
        self._over = True
        self._links = {}
        if self._timer is not None:
            self._timer.cancel()
        self._done()
