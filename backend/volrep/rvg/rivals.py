"""Other hosts that hold to another reign: what a Primary makes of their claims, and what it shows of the fork.

`link.fork` decides; here it is carried out. The header's `rival` names the other reign as long as the fork is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from volrep.link.fork import Reaction, react
from volrep.link.history import NEVER_LSN, compare
from volrep.link.negotiate import Claim, SaidSince
from volrep.model.errors import VolrepError
from volrep.model.states import RoleEvent, role_step
from volrep.model.status import Rival, SinceFork
from volrep.rvg.divergence import Divergence

if TYPE_CHECKING:
    from volrep.rvg.roles import Roles


class Rivals:
    """One per opened RVG, whatever its role."""

    def __init__(self, roles: Roles, divergence: Divergence, emit: Callable[[str, str], None],
                 wall_ns: Callable[[], int]) -> None:
        self._roles = roles
        self._divergence = divergence
        self._emit = emit
        self._wall_ns = wall_ns
        self._theirs: SinceFork | None = None  # the other Primary's own count
        self._found_asking = False  # the conflict became known while this host asked, before it served anybody
        self._counted: tuple[int, int] | None = None  # writes and bytes of this run when the fork was looked through

    def claim(self) -> Claim:
        """What this Primary says to another one."""
        header, since = self._roles.header, self.since_fork()
        return Claim(host=header.host, history=header.history, end_lsn=self._roles.journal.durable_lsn, primary=True,
                     conflict=header.primary_primary,
                     since_fork=SaidSince.from_data(since.data()) if since is not None else None)

    def heard(self, claim: Claim) -> None:
        """Another host holds to a reign that may not be ours. Only proved hosts are heard."""
        roles = self._roles
        primary, header, journal = roles.primary, roles.header, roles.journal
        if primary is None or journal.failure is not None or not claim.history:
            return
        asking = roles.asking is not None
        reaction = react(header.history, claim, end_lsn=journal.end_lsn,
                         opened_lsn=NEVER_LSN if asking else primary.opened_lsn,
                         in_conflict=header.primary_primary and not (asking and self._found_asking))
        if reaction is Reaction.NONE:
            return
        newest = claim.history[-1]
        rival = Rival(host=claim.host, generation=newest.generation, reign=newest.reign_id,
                      fork_lsn=min(compare(header.history, claim.history).lsn, journal.end_lsn),
                      end_lsn=claim.end_lsn, since_ns=self._wall_ns())
        if reaction is Reaction.GIVE_WAY:
            self._give_way(rival)
        else:
            self._conflict(rival, claim)

    def _give_way(self, rival: Rival) -> None:
        roles = self._roles
        header = roles.header
        role_step(header.rvg, roles.state, RoleEvent.SUPERSEDED)
        header.rival, self._theirs = rival.data(), None
        beyond_bytes = roles.journal.end_lsn - rival.fork_lsn
        try:
            roles.give_up_primary(acting=True)
        except VolrepError:
            return  # in FAIL now, which everybody has been told
        self._emit("role_acting", f"{header.host} is acting Secondary: superseded by reign {rival.generation}, as "
                                  f"{rival.host} says; {beyond_bytes} bytes of its log lie beyond the fork")

    def _conflict(self, rival: Rival, claim: Claim) -> None:
        roles = self._roles
        header = roles.header
        if header.primary_primary and not _is_to_be_shown(rival, header.rival):
            return
        if claim.since_fork is not None:
            self._theirs = SinceFork.from_data(claim.since_fork.data())
        if header.primary_primary and header.rival.get("reign") == rival.reign:
            header.rival["end_lsn"] = rival.end_lsn
            return
        if not header.primary_primary:
            role_step(header.rvg, roles.state, RoleEvent.CONFLICT)
            self._found_asking = roles.asking is not None
        header.primary_primary, header.rival = True, rival.data()
        if roles.journal.try_save_header():
            self._emit("primary_primary", f"{rival.host} holds to reign {rival.generation}, too: both have writes "
                                          f"since LSN {rival.fork_lsn} that the other lacks; elect one")
            self.count()

    def yielded(self, host: str) -> None:
        """The host has answered as a Secondary."""
        roles = self._roles
        header = roles.header
        if header.primary_primary and header.rival.get("host") == host:
            role_step(header.rvg, roles.state, RoleEvent.YIELDED)
            header.primary_primary, header.rival, self._theirs = False, {}, None
            roles.journal.try_save_header()

    def count(self) -> None:
        """Find out, in a thread, what was written here beyond the fork."""
        roles = self._roles
        rival, primary, end_lsn = roles.header.rival, roles.primary, roles.journal.end_lsn
        self._counted = None
        if not rival:
            return
        now = (primary.writes, primary.written_bytes) if primary is not None else (0, 0)

        def known(_: bytes | None) -> None:
            self._counted = now

        self._divergence.find(min(rival["fork_lsn"], end_lsn), end_lsn, known)

    def since_fork(self) -> SinceFork | None:
        """Writes here beyond the fork; None when no fork is known."""
        roles, counted = self._roles, self._counted
        if not roles.header.rival:
            return None
        found = self._divergence.kept() if counted is not None else None
        if found is None or counted is None:
            return SinceFork(complete=False)
        since = found.since.changed()
        primary = roles.primary
        if primary is not None and (more := primary.writes - counted[0]):
            since.writes += more
            since.bytes += primary.written_bytes - counted[1]
            since.last_ns = primary.lag.newest_ns
        return since

    def status(self) -> dict[str, Any]:
        """Fields of RvgStatus."""
        said = self._roles.header.rival
        rival = Rival.from_data(said | {"since_fork": self._theirs}) if said else None
        return {"superseded_by": rival, "fork_lsn": rival.fork_lsn if rival is not None else 0,
                "since_fork": self.since_fork()}


def _is_to_be_shown(rival: Rival, shown: dict[str, Any]) -> bool:
    """Of several rivals the one with the newest reign; the others are heard again when that one has given way."""
    return rival.host == shown["host"] or (rival.generation, rival.reign) >= (shown["generation"], shown["reign"])
