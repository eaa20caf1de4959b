"""Secondaries whose log goes on where the Primary's has parted from it. Pure.

They have followed a reign that was given up (`elect` of the other Primary), or hold more of a lost Primary than
whoever took over. What they have beyond the fork is overwritten by the operator's word only; a failback copies what
differs.
"""

from __future__ import annotations

from volrep.link.history import Relation, compare
from volrep.link.negotiate import is_above
from volrep.model.config import Role
from volrep.model.status import RoleFlag, RvgStatus
from volrep.model.units import format_size
from volrep.rds.world import Member, Rds


def beyond_bytes(primary: RvgStatus | None, other: RvgStatus | None) -> int:
    """How much of its log `other` holds that `primary` lacks; 0 also when they share nothing, or nobody knows.

    Only what lies behind a fork: a Secondary that is asked later than its Primary may well be said to be further.
    """
    if primary is None or other is None:
        return 0
    fork = compare(primary.history, other.history)
    return 0 if fork.relation is Relation.FOREIGN else max(0, other.srl.end_lsn - fork.lsn)


def has_strayed(primary: Member, member: Member) -> bool:
    """Whether this Secondary is brought back by a failback, as an old Primary is."""
    ours, theirs = primary.info.status, member.info.status
    if ours is None or theirs is None or member.info.config.role is not Role.SECONDARY:
        return False
    return RoleFlag.ACTING_SECONDARY not in theirs.role_flags and bool(beyond_bytes(ours, theirs)) and \
        is_above(ours.history, theirs.history)


def lacks_a_reign(primary: RvgStatus | None, other: RvgStatus | None) -> bool:
    """Whether `other` has followed a reign that `primary` knows nothing of.

    Else it only holds more of one that they share: of a lost Primary, or of this one before damage was cut out of its
    log, which its operator has agreed to.
    """
    return primary is not None and other is not None and \
        compare(primary.history, other.history).relation in (Relation.DIVERGED, Relation.NEWER)


def given_up_words(primary: RvgStatus | None, member: Member) -> str:
    """What a copy overwrites on a host that was Secondary all the time."""
    status = member.info.status
    of = " of another reign" if lacks_a_reign(primary, status) else ""
    return f"{format_size(beyond_bytes(primary, status))} of log{of} that the Primary lacks"


def fails_back(rds: Rds, member: Member) -> bool:
    """Whether `fbsync` is the way to bring this host back now."""
    status = member.info.status
    if status is not None and RoleFlag.ACTING_SECONDARY in status.role_flags:
        return True
    return len(rds.primaries) == 1 and has_strayed(rds.primaries[0], member)
