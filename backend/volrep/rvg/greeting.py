"""What a Primary says of itself when it has connected a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volrep.link.negotiate import LINK_PROTOCOL, Hello, VolumeSaid
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig

if TYPE_CHECKING:
    from volrep.rvg.primary import Primary


def hello_of(primary: Primary, link: LinkConfig) -> Hello:
    header, claim = primary.journal.header, primary.claim()
    return Hello(
        protocol=LINK_PROTOCOL, rds_id=header.rds_id, link_id=link.link_id, host=header.host, rvg=header.rvg,
        history=header.history, durable_lsn=primary.durable_lsn, incarnation=header.incarnation,
        volumes=[VolumeSaid(index=v["index"], name=v["name"], size_bytes=v["size_bytes"]) for v in header.volumes],
        sync_ack=effective(link.attributes)["sync_ack"], conflict=claim.conflict, since_fork=claim.since_fork,
        shown_lsn=primary.journal.srl.shown_lsn, kept_tails=header.kept_tails)
