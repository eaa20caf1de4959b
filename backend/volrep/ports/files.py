"""Files and block devices as arguments.

`BlockFile` is the whole world of disks to the log and the volumes: positional vectored reads and
writes, durability, zeroing, extents. The simulator provides another one with faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from volrep.ports.streams import Buffer


class BlockFile(Protocol):
    """A file or block device of fixed size, opened by path. All offsets in bytes."""

    path: str
    size_bytes: int

    def fileno(self) -> int: ...

    def read_into(self, buffers: Sequence[memoryview], offset: int) -> int:
        """Fill the buffers (blocking); returns the bytes read, short only at the end of the file."""
        ...

    def read_nowait(self, buffers: Sequence[memoryview], offset: int) -> int:
        """As `read_into`, but only from the page cache: -1 when the disk would have to be asked."""
        ...

    def is_cached(self, offset: int, length: int) -> bool:
        """Whether the page cache has the whole range, so that it can be sent without waiting for the disk; False
        where the system cannot tell.
        """
        ...

    def write(self, buffers: Sequence[Buffer], offset: int, *, durable: bool = False) -> None:
        """Write all of it (any number of buffers, short writes continued). `durable`: on stable storage on return."""
        ...

    def prefetch(self, offset: int, length: int) -> None:
        """The range will be read soon: the system may begin now. Nothing else depends on it."""
        ...

    def uncache(self, offset: int, length: int) -> None:
        """The next read of the range comes from the disk, as far as the system does as it is asked."""
        ...

    def dirty_bytes(self, offset: int, length: int) -> int:
        """What of the range is written and not yet on its way to the disk; 0 where the system cannot tell."""
        ...

    def write_back(self, offset: int, length: int) -> None:
        """What is dirty in the range goes to the disk (blocking); only `sync` makes it durable. Raises OSError."""
        ...

    def sync(self) -> None:
        """Everything written so far is on stable storage on return. Raises OSError; never retry it."""
        ...

    def zero(self, offset: int, length: int, *, unmap: bool) -> None:
        """The range reads as zeroes afterwards; with `unmap` its space may be given back."""
        ...

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int, bool]]:
        """(offset, length, is_data) covering the range in order; a hole (is_data False) reads as zeroes."""
        ...

    def drop_cache(self) -> None:
        """Later reads ask the disk. After a failed write or sync the cache may hold what the disk never got."""
        ...

    def identity(self) -> tuple[int, int]:
        """(inode, time of the last change in ns) of a file; (0, 0) of a device, which has no times of its own."""
        ...

    def close(self) -> None: ...


class OpenFile(Protocol):
    """How an RVG comes to its SRL and data volumes."""

    def __call__(self, path: str, *, exclusive: bool) -> BlockFile:
        """Open an existing file or block device. `exclusive`: BlockingIOError while somebody else has it.

        Raises OSError; ValueError for what is neither a file nor a device.
        """
        ...


class Folder(Protocol):
    """A few small files, each replaced as a whole. Names may have a folder in front ("maps/x")."""

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError, OSError."""
        ...

    def save(self, name: str, data: bytes) -> None:
        """Durable on return; after a crash the old bytes or the new ones. Raises OSError."""
        ...

    def remove(self, name: str) -> None:
        """Fine when it is gone already. Raises OSError."""
        ...
