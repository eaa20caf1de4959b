"""Who gives way to whom when two hosts of an RDS hold to different reigns. Pure.

A reign with a higher generation whose history contains ours has superseded us. Where each side has a reign that the
other lacks, or the superseded one has gone on writing for applications, neither is right by itself: both say so, and an
operator elects one.
"""

from __future__ import annotations

from enum import StrEnum

from volrep.link.history import History, Relation, compare
from volrep.link.negotiate import Claim, is_above
from volrep.model.units import Reign


class Reaction(StrEnum):
    """What a Primary does about another host's claim."""

    NONE = "none"
    GIVE_WAY = "give_way"  # become acting Secondary
    CONFLICT = "conflict"  # primary_primary


def refuses(ours: History, theirs: History) -> bool:
    """Whether a Secondary with the history `ours` refuses a Primary with the history `theirs`.

    It follows the newest reign; a Primary that lacks it has been superseded, or is one of two.
    """
    relation = compare(ours, theirs).relation
    if relation is Relation.OLDER:
        return True
    return relation is Relation.DIVERGED and not is_above(theirs, ours)


def react(ours: History, claim: Claim, *, end_lsn: int, opened_lsn: int, in_conflict: bool) -> Reaction:
    """What a Primary whose log ends at `end_lsn` makes of `claim`.

    `opened_lsn`: its end when it opened its exports, so what lies behind it was written by applications that are
    there; `in_conflict`: it holds to its reign already, with writes beyond a fork; but gives way to a host that has
    them all.
    """
    fork = compare(ours, claim.history)
    if fork.relation is Relation.NEWER:
        beyond_lsn = fork.lsn if in_conflict else max(fork.lsn, opened_lsn)
        return Reaction.CONFLICT if end_lsn > beyond_lsn else Reaction.GIVE_WAY
    if fork.relation is Relation.DIVERGED:
        return Reaction.CONFLICT
    if fork.relation is Relation.OLDER and claim.primary and claim.conflict:
        return Reaction.CONFLICT
    return Reaction.NONE


def with_reign(history: History, newest: Reign) -> list[Reign]:
    """The history of a log that ends where `newest` begins: what it had not reached is no part of it."""
    return [*(reign for reign in history if reign.start_lsn <= newest.start_lsn), newest]


def next_generation(*histories: History) -> int:
    """The number of a reign that is above all of these."""
    return 1 + max((reign.generation for history in histories for reign in history), default=0)
