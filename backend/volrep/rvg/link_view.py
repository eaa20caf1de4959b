"""What is shown of a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from volrep.link.negotiate import Start, StartMode
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig, StartMethod
from volrep.model.damage import FAULT_FLAGS
from volrep.model.status import LinkKState, LinkState, LinkStatus, SyncStatus
from volrep.rvg.lag import LagMeter

if TYPE_CHECKING:
    from volrep.rvg.outlink import OutLink


def status_of(link: OutLink, lag: LagMeter, now_ns: int) -> LinkStatus:
    sender, mind = link.sender, link.mind
    stale = mind.state == LinkState.STALE
    writes, lag_bytes, seconds = (0, 0, 0.0) if stale else lag.behind(mind.acked_lsn, now_ns)
    connected = link.connected
    kstate = LinkKState.DETACHED if stale else LinkKState.CONNECT if connected else LinkKState.ENABLED
    return LinkStatus(
        link_id=link.config.link_id, name=link.config.name, remote_host=link.config.remote_host,
        state=LinkState(mind.state), kstate=kstate, flags=_flags(link), connected=connected,
        reason=mind.reason or ("" if connected else link.why_not_connected),
        attributes=effective(link.config.attributes), current_mode=_current_mode(link), consistent=mind.consistent,
        sent_lsn=sender.sent_lsn if sender else mind.acked_lsn,
        network_lsn=sender.network_lsn if sender else mind.acked_lsn, data_lsn=mind.acked_lsn,
        applied_lsn=sender.applied_lsn if sender else 0, behind_writes=writes, behind_bytes=lag_bytes,
        behind_s=seconds, sent_bytes=sender.sent_bytes if sender else 0, mismatches=link.doubts.mismatches,
        proved_from_lsn=link.checker.proved_from_lsn, proved_lsn=link.checker.proved_lsn,
        verify_problem=link.checker.problem,
        sync=_sync_status(link))


def _current_mode(link: OutLink) -> str:
    if not link.connected:
        return "N/A"
    return "synchronous" if link.in_force else "asynchronous"


def _sync_status(link: OutLink) -> SyncStatus | None:
    resync = link.resync
    if resync is None:
        return None
    left_bytes, rate = resync.left_bytes(), resync.rate_bytes_per_s() if link.connected else 0.0
    return SyncStatus(method=link.mind.method, done_bytes=resync.total_bytes - left_bytes,
                      total_bytes=resync.total_bytes, rate_bytes_per_s=rate,
                      left_s=left_bytes / rate if rate > 0 else None)


def _flags(link: OutLink) -> list[str]:
    mind = link.mind
    flags = ["write"] if mind.state == LinkState.ACTIVE else []
    flags.append("detached" if mind.state == LinkState.STALE else "attached")
    flags.append("connected" if link.connected else "disconnected")
    flags.append("consistent" if mind.consistent else "inconsistent")
    flags.append("synchronous" if link.in_force else "asynchronous")
    if mind.syncing:
        flags += ["failback" if mind.method == StartMethod.FAILBACK else "autosync", "resync_started"]
    if mind.state == LinkState.PAUSE and not mind.fault:
        flags.append("primary_paused")
    return flags + list(FAULT_FLAGS.get(mind.fault, ()))


def connected_text(link: LinkConfig, start: Start) -> str:
    how = "begins" if start.mode == StartMode.BEGIN else "goes on"
    return f"{link.remote_host}: link {link.name} connected, {how} at LSN {start.lsn}"
