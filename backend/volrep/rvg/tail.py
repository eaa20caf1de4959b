"""What lies before an LSN in this log: shown to the other end of a link, and compared with what it shows."""

from __future__ import annotations

import logging

from volrep.link.negotiate import Detach, Later, Order, Rewind, Start, StartMode, Welcome, compared
from volrep.link.tails import Likeness, Reach, shown_by_both
from volrep.log.tails import read_tail, read_tails
from volrep.model.errors import VolrepError
from volrep.model.units import Tail
from volrep.rvg.journal import Journal

logger = logging.getLogger("volrep.rvg")


def reach_of(journal: Journal) -> Reach:
    return Reach(journal.srl.shown_lsn, journal.header.kept_tails)


def tail_for(journal: Journal, lsn: int, theirs: Reach) -> Tail:
    """What this host shows of its log before `lsn`, as much as the other one can show, too. Raises VR-1507."""
    return _tail_at(journal, lsn, shown_by_both(lsn, reach_of(journal), theirs))


def tails_before(journal: Journal, lsn: int) -> list[Tail]:
    """All that this host can show, ascending: kept, or in the ring, as far as that can be read.

    A log that begins right there has nothing of it in its ring.
    """
    found = {tail.length: tail for tail in journal.header.kept_tails if tail.lsn == lsn}
    try:
        found |= {tail.length: tail for tail in read_tails(journal.srl, lsn, journal.srl.shown_lsn)}
    except VolrepError as error:  # to copy is the way out of that
        logger.warning("what lies before LSN %d cannot be shown: %s %s", lsn, error.id, error.text)
    return [found[length] for length in sorted(found)]


def likeness(journal: Journal, welcome: Welcome, lsn: int) -> Likeness:
    """Whether both logs are the same before `lsn`, as far as this Primary's history says. Raises VR-1507."""
    tail = welcome.tail
    if tail.lsn != lsn:
        return Likeness.MOVED
    if not tail.length:
        return Likeness.UNKNOWN
    if not reach_of(journal).shows(lsn, tail.length):
        return Likeness.MOVED
    return Likeness.SAME if _tail_at(journal, lsn, tail.length) == tail else Likeness.DIFFERENT


def checked(journal: Journal, order: Order, welcome: Welcome,
            decision: Start | Rewind | Later | Detach) -> Start | Rewind | Later | Detach:
    """A decision as it stands once the logs were looked at; what begins is told what lies before. Raises VR-1507."""
    if isinstance(decision, Start) and decision.mode is StartMode.BEGIN:
        return decision.changed(tails=tails_before(journal, decision.lsn))
    if isinstance(decision, Start | Rewind):
        return compared(decision, order, welcome, likeness(journal, welcome, decision.lsn))
    return decision


def _tail_at(journal: Journal, lsn: int, length: int) -> Tail:
    kept = reach_of(journal).keeps(lsn, length)
    return kept if kept is not None else read_tail(journal.srl, lsn, length) if length else Tail(lsn)
