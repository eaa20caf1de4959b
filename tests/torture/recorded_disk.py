"""A disk whose every write and flush is on record, and what a power loss at any moment would have left of it.

QEMU's blklogwrites records in the format of the kernel's dm-log-writes (little endian, in sectors of 512 bytes):

    super block    magic 0x6a736677736872, version, entries (8 bytes each), sector size (4)
    entry          sector, sectors, flags, length of a mark (8 bytes each); then the data, unless flags say DISCARD

A write is recorded when it has reached the disk, a flush when it is over. After a power loss everything up to the last
flush is there; of what came later any subset, the last write perhaps in part.
"""

from __future__ import annotations

import random
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.system.waiting import wait_for
from tests.torture.ground import READY_S, Undo, end, make_file, make_file_system
from volrep.engine.blockdev import attach_loop, detach_loop, is_mount_point
from volrep.engine.tools import run

SECTOR = 512
MAGIC = 0x6A736677736872
FLUSH, DISCARD = 1, 4
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")


@dataclass(frozen=True, slots=True)
class Entry:
    """`end`: the size of the record when this was in it."""

    offset: int
    length: int
    flags: int
    data_at: int
    end: int


class RecordedDisk:
    """A file system on a recorded disk, mounted at `root` until `stop`."""

    def __init__(self, place: Path, fs: str, size_bytes: int) -> None:
        self.place, self.fs, self.size_bytes = place, fs, size_bytes
        self.root, self.record = place / "m", place / "record"
        self.undo = Undo()
        disk, served = make_file(place / "disk", size_bytes), make_file(place / "served", 0)
        make_file(self.record, 0)
        try:
            files = "cache.no-flush=on"  # what counts is the record, not this machine's own disk
            with (place / "helpers.log").open("ab") as log:
                daemon = subprocess.Popen(
                    ["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=disk,filename={disk},{files}",
                     "--blockdev", f"driver=file,node-name=record,filename={self.record},{files}",
                     "--blockdev", "driver=blklogwrites,node-name=recorded,file=disk,log=record",
                     "--export", f"type=fuse,id=served,node-name=recorded,mountpoint={served},writable=on"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            self.undo.add(lambda: end(daemon))
            wait_for(lambda: is_mount_point(served), READY_S, "qemu-storage-daemon to serve the disk")
            device = attach_loop(served)
            self.undo.add(lambda: detach_loop(device))
            make_file_system(device, fs)
            self.root.mkdir()
            run("mount", device, str(self.root))
            self.undo.add(lambda: run("umount", str(self.root)))
        except BaseException:
            self.undo.close()
            raise

    def position(self) -> int:
        """How much is on record: what was completed before is in it up to here."""
        return self.record.stat().st_size

    def stop(self) -> list[Entry]:
        """The power is on to the end: nothing more is written. All that is on record."""
        self.undo.close()
        entries = []
        with self.record.open("rb") as file:
            magic, version, _, sector_bytes = _SUPER.unpack(file.read(_SUPER.size))
            assert (magic, version, sector_bytes) == (MAGIC, 1, SECTOR), (hex(magic), version, sector_bytes)
            at, size_bytes = SECTOR, self.record.stat().st_size
            while at < size_bytes:
                file.seek(at)
                sector, count, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
                assert count or flags & FLUSH, f"no entry at {at} of {size_bytes}"
                data_at = at + SECTOR
                at = data_at + (0 if flags & DISCARD else count * SECTOR)
                entries.append(Entry(sector * SECTOR, count * SECTOR, flags, data_at, at))
        return entries


def image_after(record: Path, entries: list[Entry], size_bytes: int, image: Path, rng: random.Random) -> None:
    """The disk after a power loss behind the last of `entries`."""
    flushed = max((i for i, entry in enumerate(entries) if entry.flags & FLUSH), default=-1)
    make_file(image, size_bytes)
    with record.open("rb") as reading, image.open("r+b") as writing:
        for number, entry in enumerate(entries):
            kept = entry.length
            if number > flushed:
                kept = rng.choice((0, kept, kept, rng.randrange(kept // SECTOR + 1) * SECTOR if kept else 0))
            if not kept:
                continue
            writing.seek(entry.offset)
            if entry.flags & DISCARD:
                writing.write(bytes(min(kept, size_bytes - entry.offset)))
            else:
                reading.seek(entry.data_at)
                writing.write(reading.read(kept))


class CrashedDisk:
    """An image, mounted where the recorded disk was."""

    def __init__(self, image: Path, root: Path) -> None:
        self.undo = Undo()
        device = attach_loop(image)
        self.undo.add(lambda: detach_loop(device))
        try:
            run("mount", device, str(root))
        except BaseException:
            self.undo.close()
            raise
        self.undo.add(lambda: run("umount", str(root)))

    def close(self) -> None:
        self.undo.close()
