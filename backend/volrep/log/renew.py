"""The header of an SRL that takes another one's place. Pure.

Of a log that was closed cleanly nothing is needed any more but where it ended: its successor goes on there, with
everything the old header knew, and a Secondary that has all of it notices nothing. What an unclean log held beyond the
last checkpoint is given up: the history is another one from there on, and every copy has to be made again.
"""

from __future__ import annotations

from copy import deepcopy
from hashlib import sha256

from volrep.log.header import HISTORY_MAX, SrlHeader
from volrep.model.config import Role, RvgConfig
from volrep.model.units import FIRST_LSN, Reign

REPLACED = "the SRL was replaced"


def renewed(old: SrlHeader | None, config: RvgConfig, reign_id: str) -> tuple[SrlHeader, int]:
    """(header, first LSN) of the new SRL. `old`: of the SRL before; None if it cannot be read: `reign_id` begins."""
    if old is None:
        return _fresh(config, reign_id), FIRST_LSN
    header = deepcopy(old)
    header.capacity_bytes = 0
    first_lsn = max(old.applied_lsn, old.durable_lsn)
    if old.clean:
        return header, first_lsn
    header.distrust = REPLACED
    if header.role == Role.PRIMARY:
        begin_reign(header, old.applied_lsn)
    return header, first_lsn


def _fresh(config: RvgConfig, reign_id: str) -> SrlHeader:
    """Nothing is known of what was: no copy counts, and a Secondary's volumes are no image of any moment."""
    volumes = [{"index": v.index, "name": v.name, "size_bytes": v.size_bytes, "volume_id": v.volume_id, "stamp": {}}
               for v in config.volumes]
    is_primary = config.role is Role.PRIMARY
    links = {link.link_id: {"state": "STALE", "reason": REPLACED} for link in config.links} if is_primary else {}
    return SrlHeader(rds_id=config.rds_id, rvg_id=config.rvg_id, dg=config.dg, rvg=config.name, host=config.host,
                     role=config.role.value, generation=1, capacity_bytes=0, consistent=is_primary, volumes=volumes,
                     links=links, distrust=REPLACED, history=[Reign(1, FIRST_LSN, reign_id if is_primary else "")])


def begin_reign(header: SrlHeader, lsn: int) -> None:
    """What this host holds from `lsn` on is no longer what others may hold under the same LSNs."""
    header.generation += 1
    unique = f"{header.rvg_id} {header.incarnation} {header.generation} {lsn}"  # no other host, and no other time
    reign_id = sha256(unique.encode()).hexdigest()[:16]
    header.history = [*header.history, Reign(header.generation, lsn, reign_id)][-HISTORY_MAX:]
