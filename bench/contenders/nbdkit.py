"""nbdkit's file plugin: what serving a file over NBD costs when nothing is logged and nothing replicated."""

from __future__ import annotations

from bench.contenders.base import Contender, make_file


class NbdkitFile(Contender):
    name = "nbdkit-file"
    durability = "in the page cache; durable at FLUSH; no copy"

    def _start(self) -> str:
        image = make_file(self.folder / "volume", self.size_bytes)
        socket_path = self.folder / "nbd.sock"
        process = self.launch(["nbdkit", "--foreground", "--unix", str(socket_path), "file", str(image)])
        self.await_socket(socket_path, process)
        return f"nbd+unix:///?socket={socket_path}"
