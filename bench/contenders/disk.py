"""The disk itself: a file on it, written past the page cache. What nothing above it can exceed for long."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contenders.base import Contender, make_file


class Disk(Contender):
    """fio's libaio with O_DIRECT; `durable`: with O_DSYNC, too."""

    def __init__(self, name: str, *, durable: bool) -> None:
        super().__init__(name, "durable; no server, no copy" if durable
                         else "with the device (its cache may lose it); no server, no copy")
        self.readable = not durable
        self._durable = durable

    def _start(self) -> str:
        return str(make_file(self.folder / "volume", self.size_bytes))

    def target(self) -> Sequence[str]:
        return ["--ioengine=libaio", "--direct=1", f"--filename={self.uri}", *(["--sync=dsync"] * self._durable)]
