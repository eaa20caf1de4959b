"""Records of an SRL for people: headers only, payloads checked but not shown."""

from __future__ import annotations

from dataclasses import asdict

from volrep.log.record import HEADER_BYTES, RECORD_MAX_BYTES, read_header, record_bytes
from volrep.model.worker import LOG_DUMP_MAX, LogDump, LogDumpRequest, LogRecord
from volrep.rvg.journal import Journal


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
