"""A small SRL with records in it, for the tests of the log."""

from __future__ import annotations

from pathlib import Path

from volrep.log.header import SrlHeader
from volrep.log.record import BatchEncoder, Record, RecordType, Write
from volrep.log.recovery import ScanEnd, scan
from volrep.log.ring import SRL_MIN_BYTES
from volrep.log.srl import Srl
from volrep.ports.disk import DiskFile


def a_header(**changes: object) -> SrlHeader:
    header = SrlHeader(rds_id="rds", rvg_id="rvg", dg="hrdg", rvg="hr_rvg", host="london", role="primary",
                       generation=1, capacity_bytes=0)
    for name, value in changes.items():
        setattr(header, name, value)
    return header


def a_write(offset: int, data: bytes, volume: int = 0) -> Write:
    return int(RecordType.WRITE), volume, offset, len(data), memoryview(data)


def stream(writes: list[Write], lsn: int = 4096, *, generation: int = 1, incarnation: int = 1,
           durable_lsn: int = 0) -> bytes:
    buffers, end = BatchEncoder().encode(writes, lsn=lsn, generation=generation, incarnation=incarnation,
                                         timestamp_ns=7, durable_lsn=durable_lsn)
    data = b"".join(buffers)
    assert len(data) == end - lsn
    return data


class Log:
    """An SRL on disk, driven as a Primary's worker drives it."""

    def __init__(self, path: Path, size_bytes: int = SRL_MIN_BYTES, header: SrlHeader | None = None) -> None:
        self.path = path
        with path.open("xb") as file:
            file.truncate(size_bytes)
        self.srl = Srl.create(DiskFile.open(path, exclusive=True), header or a_header())
        self.encoder = BatchEncoder()
        self.start_run()

    def start_run(self) -> None:
        self.srl.header.incarnation += 1
        self.srl.write_header()

    def append(self, *writes: Write, durable_lsn: int | None = None) -> int:
        """One batch, durable; returns the LSN of its first record."""
        lsn, header = self.srl.end_lsn, self.srl.header
        buffers, end = self.encoder.encode(
            writes, lsn=lsn, generation=header.generation, incarnation=header.incarnation, timestamp_ns=lsn,
            durable_lsn=lsn if durable_lsn is None else durable_lsn)
        self.srl.append(buffers, end - lsn, durable=True)
        return lsn

    def checkpoint(self) -> None:
        header = self.srl.header
        header.tail_lsn = header.applied_lsn = header.durable_lsn = self.srl.end_lsn
        self.srl.write_header()

    def poke(self, lsn: int, data: bytes) -> None:
        """Change the ring behind everybody's back."""
        with self.path.open("r+b") as file:
            file.seek(self.srl.ring.offset(lsn))
            file.write(data)

    def flip(self, lsn: int) -> None:
        with self.path.open("rb") as file:
            file.seek(self.srl.ring.offset(lsn))
            byte = file.read(1)[0]
        self.poke(lsn, bytes([byte ^ 1]))

    def reopen(self) -> None:
        """As after a crash: whatever was not written to the header is gone."""
        self.srl.close()
        self.srl = Srl.open(DiskFile.open(self.path, exclusive=True))

    def recover(self) -> tuple[ScanEnd, list[bytes]]:
        """Scan from applied_lsn; the end and all payloads in order."""
        payloads: list[bytes] = []

        def on_batch(view: memoryview, records: list[Record]) -> None:
            payloads.extend(bytes(view[record[4]:record[5]]) for record in records)

        end = scan(self.srl, self.srl.header.applied_lsn, on_batch)
        return end, payloads
