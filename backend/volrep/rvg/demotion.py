"""Giving the Primary role away: exports closed, the next Primary has everything, then one header write.

Until that write the role can stay where it is: when the other host does not acknowledge in time, the exports open
again.
"""

from __future__ import annotations

from collections.abc import Callable

from volrep.model.errors import VolrepError
from volrep.model.messages import links as messages
from volrep.model.states import RoleEvent, role_step
from volrep.model.worker import Demote
from volrep.ports.reactor import Loop
from volrep.rvg.roles import Roles

LOOK_INTERVAL_S = 0.01


class Demotion:
    """One attempt; `done` gets the reason why it failed, or None."""

    def __init__(self, roles: Roles, asked: Demote, loop: Loop, done: Callable[[VolrepError | None], None]) -> None:
        self._roles = roles
        self._asked = asked
        self._loop = loop
        self._done = done
        self._deadline_s = loop.clock.monotonic_s() + asked.wait_s

    def begin(self) -> None:
        """Raises VR-1401, VR-1403, VR-1410, VR-1413, VR-1416; then nothing has changed."""
        roles, header, primary = self._roles, self._roles.header, self._roles.primary
        if primary is None:
            self._done(None)
            return
        roles.check_quiet()
        role_step(header.rvg, roles.state, RoleEvent.DEMOTE)
        if self._asked.link_id and self._asked.link_id not in primary.links:
            raise VolrepError(messages.LINK_UNKNOWN, rvg=header.rvg, link=self._asked.link_id)
        if roles.exports.connections and not self._asked.drain:
            raise VolrepError(messages.EXPORTS_OPEN, rvg=header.rvg, host=header.host,
                              connections=roles.exports.connections)
        roles.draining = True
        roles.exports.close()
        self._look()

    def _look(self) -> None:
        roles = self._roles
        primary, journal = roles.primary, roles.journal
        try:
            if journal.failure is not None:
                raise journal.failure
            if primary is not None:
                primary.commit()
                if primary.busy or self._lacking():
                    self._wait()
                    return
                roles.give_up_primary(acting=False)
        except VolrepError as error:
            roles.draining = False
            self._done(error)
            return
        self._done(None)

    def _lacking(self) -> str:
        """Why the next Primary does not have everything; empty when it does, or nobody has to."""
        roles = self._roles
        link = roles.primary.links.get(self._asked.link_id) if roles.primary is not None else None
        if not self._asked.link_id:
            return ""
        if link is None:
            return "the link was removed"
        if not link.connected:
            return "it is not connected"
        if not link.mind.consistent:
            return "it is not consistent"
        return "" if link.mind.acked_lsn >= roles.journal.end_lsn else "it is behind"

    def _wait(self) -> None:
        """Look again soon. Raises VR-1414 when the time is over: the exports are open again then."""
        now_s = self._loop.clock.monotonic_s()
        if now_s < self._deadline_s:
            self._loop.call_at(now_s + LOOK_INTERVAL_S, self._look)
            return
        roles, primary = self._roles, self._roles.primary
        assert primary is not None
        roles.draining = False
        roles.adopt(roles.config)
        link = primary.links.get(self._asked.link_id)
        raise VolrepError(messages.NOT_ACKNOWLEDGED, rvg=roles.header.rvg, end_lsn=roles.journal.end_lsn,
                          remote_host=link.config.remote_host if link is not None else self._asked.link_id,
                          acked_lsn=link.mind.acked_lsn if link is not None else 0,
                          reason=self._lacking() or "the log is full")
