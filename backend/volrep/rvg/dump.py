"""An SRL for people: its records, without their payloads, and what was written beyond a fork."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice

from volrep.log.record import HEADER_BYTES, RECORD_MAX_BYTES, read_header, record_bytes
from volrep.model.worker import (
    LOG_DUMP_MAX,
    DivergedRegion,
    DivergedVolume,
    Divergence,
    DivergenceRequest,
    LogDump,
    LogDumpRequest,
    LogRecord,
)
from volrep.rvg.journal import Journal
from volrep.rvg.roles import Roles

_WHOLE = 1 << 60  # neighbouring regions are shown as one


def dump_log(journal: Journal, asked: LogDumpRequest) -> LogDump:
    """At most `limit` records from `from_lsn` (or the tail) on; `next_lsn` continues. Reads headers only."""
    names = {v.index: v.name for v in journal.volumes if v is not None}
    lsn = asked.from_lsn or journal.retained_lsn()
    found: list[LogRecord] = []
    buffer = bytearray(HEADER_BYTES)
    assert journal.capacity_bytes > RECORD_MAX_BYTES
    while lsn < journal.durable_lsn and len(found) < min(asked.limit, LOG_DUMP_MAX):
        journal.srl.read_into(memoryview(buffer), lsn)
        header = read_header(buffer, 0)
        if header is None or header.lsn != lsn:
            break
        found.append(LogRecord(
            lsn=lsn, type=header.type.name, generation=header.generation, incarnation=header.incarnation,
            volume=names.get(header.volume, str(header.volume)), offset=header.offset, length=header.length,
            time_ns=header.timestamp_ns, durable_lsn=header.durable_lsn))
        lsn += record_bytes(header.length if header.payload_crc else 0)
    return LogDump(header=asdict(journal.header), records=found, next_lsn=lsn)


def dump_divergence(roles: Roles, asked: DivergenceRequest) -> Divergence:
    """What was written here beyond the last fork; also after it was overwritten by a failback."""
    kept = roles.divergence.kept()
    if kept is None:
        return Divergence(fork_lsn=0, since_fork=None, volumes=[], regions=[], next=0)
    names = {v.index: v.name for v in roles.journal.volumes if v is not None}
    volumes = []
    for index, marked in kept.maps.items():
        writes, written_bytes = kept.volume_writes.get(index, (0, 0))
        volumes.append(DivergedVolume(name=names.get(index, str(index)), writes=writes, bytes=written_bytes,
                                      regions_bytes=marked.marked_bytes))
    ranges = ((names.get(index, str(index)), offset, length) for index, marked in kept.maps.items()
              for offset, length in marked.ranges(_WHOLE))
    found = [DivergedRegion(volume=name, offset=offset, length=length)
             for name, offset, length in islice(ranges, asked.after, asked.after + asked.limit)]
    more = next(ranges, None) is not None
    return Divergence(fork_lsn=kept.from_lsn, since_fork=kept.since, volumes=volumes, regions=found,
                      next=asked.after + len(found) if more else 0)
