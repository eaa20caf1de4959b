"""Which regions a failback copies: those that either side has written since their logs parted, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from volrep.link.frames import BadFrame
from volrep.rvg.changes import Maps, empty_maps, unite
from volrep.rvg.maps import decode

if TYPE_CHECKING:
    from volrep.rvg.primary import Primary


def differing_regions(primary: Primary, fork_lsn: int, said: bytes, then: Callable[[Maps], None]) -> None:
    """`said`: what the Secondary wrote beyond the fork, as it came. `then` gets the union with what was written here.

    Raises BadFrame when `said` is no set of maps of the same volumes.
    """
    union = empty_maps(primary.journal.volumes)
    try:
        unite(union, decode(said)[1])
    except ValueError as error:
        raise BadFrame(f"its region maps: {error}") from error

    def known(ours: Maps) -> None:
        unite(union, ours)
        then(union)

    primary.tracking.since(fork_lsn, known)
