"""Which regions a failback copies: those that either side has written since their logs parted, and no others.

That is enough where both were the same before. Where no log shows that any more, all of them are copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from volrep.link.frames import BadFrame
from volrep.link.negotiate import Rewind
from volrep.rvg.changes import Maps, empty_maps, full_maps, unite
from volrep.rvg.maps import decode

if TYPE_CHECKING:
    from volrep.rvg.primary import Primary


def differing_regions(primary: Primary, rewind: Rewind, said: bytes, then: Callable[[Maps], None]) -> None:
    """`said`: what the Secondary wrote beyond the fork, as it came. `then` gets the union with what was written here.

    Raises BadFrame when `said` is no set of maps of the same volumes.
    """
    union = (full_maps if rewind.everything else empty_maps)(primary.journal.volumes)
    try:
        unite(union, decode(said)[1])
    except ValueError as error:
        raise BadFrame(f"its region maps: {error}") from error

    def known(ours: Maps) -> None:
        unite(union, ours)
        then(union)

    primary.tracking.since(rewind.lsn, known)


def why_copied(rewind: Rewind) -> str:
    if not rewind.everything:
        return "differ"
    return f"are copied, which is all: no log shows any more whether both were the same before LSN {rewind.lsn}"
