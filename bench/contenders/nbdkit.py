"""nbdkit's file plugin: what serving a file over NBD costs when nothing is logged and nothing replicated."""

from __future__ import annotations

from bench.contenders.base import Contender, make_file


class Nbdkit(Contender):
    """`fua`: every write is treated as if the client had asked for FUA, which the file plugin does by fdatasync."""

    def __init__(self, name: str, *, fua: bool) -> None:
        super().__init__(name, "durable; no copy" if fua else "page cache, durable at FLUSH; no copy")
        self.readable = not fua
        self._options = ["--filter=fua"] if fua else []
        self._settings = ["fuamode=force"] if fua else []

    def _start(self) -> str:
        image = make_file(self.folder / "volume", self.size_bytes)
        socket_path = self.folder / "nbd.sock"
        process = self.launch(["nbdkit", "--foreground", "--unix", str(socket_path), *self._options, "file",
                               str(image), *self._settings])
        self.await_socket(socket_path, process)
        return f"nbd+unix:///?socket={socket_path}"
