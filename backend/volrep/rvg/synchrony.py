"""Synchronous replication of one link: wanted by its attributes, in force once the Secondary has everything.

While it is in force a write completes only when that Secondary has it, too; while it is not, the application waits for
nobody (VVR's synchronous=override).
"""

from __future__ import annotations

from collections.abc import Callable

from volrep.link.sender import Sender
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig
from volrep.rvg.remembered import Remembered


class Synchrony:
    """`release`: what is acknowledged, or need not be any more, has changed."""

    def __init__(self, config: LinkConfig, emit: Callable[[str, str], None], release: Callable[[], None]) -> None:
        self.in_force = False
        self.wanted = _is_wanted(config)
        self._host = config.remote_host
        self._emit = emit
        self._release = release

    def configure(self, config: LinkConfig) -> None:
        self.wanted = _is_wanted(config)
        if not self.wanted:
            self.end()

    def look(self, mind: Remembered, sender: Sender, end_lsn: int) -> None:
        """Of a Secondary that has confirmed START: until then nothing is known to be there."""
        if (self.wanted and not self.in_force and mind.delivered and not mind.syncing
                and sender.network_lsn >= end_lsn):
            self.in_force = True
            self._told("repmode_sync", "synchronous")

    def end(self) -> None:
        if self.in_force:
            self.in_force = False
            self._told("repmode_async", "asynchronous")

    def _told(self, event: str, mode: str) -> None:
        self._emit(event, f"{self._host}: replication is {mode} from now on")
        self._release()


def _is_wanted(config: LinkConfig) -> bool:
    return effective(config.attributes)["synchronous"] == "override"
