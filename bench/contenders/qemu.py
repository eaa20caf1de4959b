"""QEMU: its NBD server, and its mirror that keeps a second NBD target equal (write-blocking)."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contenders.base import START_DEADLINE_S, BenchError, Contender, free_port, make_file


class QemuNbd(Contender):
    name = "qemu-nbd"
    durability = "in the page cache; durable at FLUSH; no copy"

    def _start(self) -> str:
        image = make_file(self.folder / "volume", self.size_bytes)
        socket_path = self.folder / "nbd.sock"
        process = self.launch(["qemu-nbd", "--format=raw", "--cache=writeback", "--persistent", "--shared=0",
                               f"--socket={socket_path}", str(image)])
        self.await_socket(socket_path, process)
        return f"nbd+unix:///?socket={socket_path}"


class Monitor:
    """A QMP connection: commands answered in order, events kept until asked for."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(START_DEADLINE_S)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self.events: list[dict[str, Any]] = []
        self._read()  # the greeting
        self.execute("qmp_capabilities")

    def _read(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise BenchError("the QEMU monitor closed its connection")
        message: dict[str, Any] = json.loads(line)
        return message

    def execute(self, command: str, **arguments: Any) -> Any:
        request = json.dumps({"execute": command, "arguments": arguments})
        self._socket.sendall(request.encode() + b"\n")
        while True:
            message = self._read()
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise BenchError(f"{command}: {message['error']['desc']}")
            else:
                return message["return"]

    def wait_event(self, name: str) -> None:
        while not any(event["event"] == name for event in self.events):
            message = self._read()
            if "event" in message:
                self.events.append(message)

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


class QemuMirror(Contender):
    """qemu-storage-daemon with a write-blocking mirror job to nbdkit over loopback TCP."""

    name = "qemu-mirror"
    durability = "in the page caches of both sides; durable on neither before FLUSH"

    def __init__(self) -> None:
        super().__init__()
        self._monitor: Monitor | None = None

    def _start(self) -> str:
        source = make_file(self.folder / "volume", self.size_bytes)
        target = make_file(self.folder / "copy", self.size_bytes)
        port = free_port()
        server = self.launch(["nbdkit", "--foreground", "--ipaddr", "127.0.0.1", "--port", str(port),
                              "file", str(target)])
        self.await_(lambda: _accepts(port), server, f"nbdkit on port {port}")
        socket_path, monitor_path = self.folder / "nbd.sock", self.folder / "qmp.sock"
        daemon = self.launch(_storage_daemon(source, port, socket_path, monitor_path))
        self.await_socket(socket_path, daemon)
        self._monitor = Monitor(monitor_path)
        self._monitor.execute("blockdev-mirror", **{
            "job-id": "mirror", "device": "source", "target": "target", "sync": "full",
            "copy-mode": "write-blocking"})
        self._monitor.wait_event("BLOCK_JOB_READY")
        return f"nbd+unix:///volume?socket={socket_path}"

    def copies(self) -> Sequence[Path]:
        """Equal at once: a write-blocking mirror completes a write when both sides have it."""
        return (self.folder / "volume", self.folder / "copy")

    def stop(self) -> None:
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        super().stop()


def _storage_daemon(source: Path, port: int, socket_path: Path, monitor_path: Path) -> list[str]:
    return ["qemu-storage-daemon",
            "--blockdev", f"driver=file,node-name=file0,filename={source}",
            "--blockdev", "driver=raw,node-name=source,file=file0",
            "--blockdev", f"driver=nbd,node-name=target,server.type=inet,server.host=127.0.0.1,server.port={port}",
            "--nbd-server", f"addr.type=unix,addr.path={socket_path}",
            "--export", "type=nbd,id=export0,node-name=source,name=volume,writable=on",
            "--chardev", f"socket,id=monitor0,path={monitor_path},server=on,wait=off",
            "--monitor", "chardev=monitor0"]


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def version(program: str) -> str:
    """First line of `program --version`."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return (done.stdout or done.stderr).splitlines()[0] if done.returncode == 0 else "unknown"
