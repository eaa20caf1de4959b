"""Damage to the records of an SRL, made while nobody has it open."""

from __future__ import annotations

from pathlib import Path

from volrep.log.header import SrlHeader
from volrep.log.ring import HEADER_AREA_BYTES
from volrep.log.srl import Srl
from volrep.ports.disk import DiskFile

BLOCK = 4096


def block_of(number: int) -> bytes:
    return number.to_bytes(8, "little") * (BLOCK // 8)


def header_of(srl: Path) -> SrlHeader:
    """As it stands on the disk."""
    file = DiskFile.open(srl, writable=False)
    try:
        return Srl.open(file).header
    finally:
        file.close()


def record_at(srl: Path, number: int) -> int:
    """Offset in the file of the record that carries `block_of(number)`."""
    return srl.read_bytes().index(block_of(number), HEADER_AREA_BYTES) - 64


def is_covered(srl: Path, offset: int) -> bool:
    """Whether recovery starts behind this place, which lies in the newer half of the ring."""
    header = header_of(srl)
    beyond_bytes = (offset - HEADER_AREA_BYTES - header.applied_lsn) % header.capacity_bytes
    return beyond_bytes >= header.capacity_bytes // 2


def rot(path: Path, offset: int, length: int = 1) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        bytes_there = file.read(length)
        file.seek(offset)
        file.write(bytes(b ^ 0xFF for b in bytes_there))


def rot_record(srl: Path, number: int) -> bool:
    """The payload of the record that carries `block_of(number)`; False when a checkpoint has covered it already."""
    offset = record_at(srl, number)
    if is_covered(srl, offset):
        return False
    rot(srl, offset + 64 + 8)
    return True
