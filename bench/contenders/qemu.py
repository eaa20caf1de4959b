"""QEMU: its NBD server, and its mirror that keeps a second NBD target equal (write-blocking)."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contenders.base import START_DEADLINE_S, Contender, free_port, make_file
from bench.errors import BenchError

SETTLE_DEADLINE_S = 120.0
POLL_S = 0.02


class QemuNbd(Contender):
    """`writethrough`: QEMU flushes after every write, before it answers."""

    def __init__(self, name: str, *, writethrough: bool) -> None:
        super().__init__(name, "durable; no copy" if writethrough else "page cache, durable at FLUSH; no copy")
        self.readable = not writethrough
        self._cache = "writethrough" if writethrough else "writeback"

    def _start(self) -> str:
        image = make_file(self.folder / "volume", self.size_bytes)
        socket_path = self.folder / "nbd.sock"
        process = self.launch(["qemu-nbd", "--format=raw", f"--cache={self._cache}", "--persistent", "--shared=0",
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
    """qemu-storage-daemon with a mirror job to nbdkit over loopback TCP.

    `copy_mode`: `write-blocking` completes a write when both sides have it, `background` when the source has it.
    `writethrough`: the source is flushed after every write, before it is answered; the copy never is.
    """

    def __init__(self, name: str, *, copy_mode: str = "write-blocking", writethrough: bool = False) -> None:
        here = "durable here" if writethrough else "page cache here, durable at FLUSH"
        copy = "page cache of the copy" if copy_mode == "write-blocking" else "the copy follows, unordered"
        super().__init__(name, f"{here}; {copy}")
        self._copy_mode = copy_mode
        self._writethrough = writethrough
        self._monitor: Monitor | None = None

    def _start(self) -> str:
        source = make_file(self.folder / "volume", self.size_bytes)
        target = make_file(self.folder / "copy", self.size_bytes)
        port = free_port()
        server = self.launch(["nbdkit", "--foreground", "--ipaddr", "127.0.0.1", "--port", str(port),
                              "file", str(target)])
        self.await_(lambda: _accepts(port), server, f"nbdkit on port {port}")
        socket_path, monitor_path = self.folder / "nbd.sock", self.folder / "qmp.sock"
        daemon = self.launch(_storage_daemon(source, port, socket_path, monitor_path, self._writethrough))
        self.await_socket(socket_path, daemon)
        self._monitor = Monitor(monitor_path)
        self._monitor.execute("blockdev-mirror", **{
            "job-id": "mirror", "device": "source", "target": "target", "sync": "full",
            "copy-mode": self._copy_mode})
        self._monitor.wait_event("BLOCK_JOB_READY")
        return f"nbd+unix:///volume?socket={socket_path}"

    def settle_s(self) -> float:
        """Until the job has nothing left to copy: at once when it is write-blocking."""
        assert self._monitor is not None
        start_s = time.monotonic()
        while time.monotonic() < start_s + SETTLE_DEADLINE_S:
            (job,) = self._monitor.execute("query-block-jobs")
            if job["offset"] == job["len"]:
                return time.monotonic() - start_s
            time.sleep(POLL_S)
        raise BenchError(f"{self.name}: the copy is not complete after {SETTLE_DEADLINE_S:g} s: {job}")

    def copies(self) -> Sequence[Path]:
        return (self.folder / "volume", self.folder / "copy")

    def stop(self) -> None:
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        super().stop()


def _storage_daemon(source: Path, port: int, socket_path: Path, monitor_path: Path, writethrough: bool) -> list[str]:
    return ["qemu-storage-daemon",
            "--blockdev", f"driver=file,node-name=file0,filename={source}",
            "--blockdev", "driver=raw,node-name=source,file=file0",
            "--blockdev", f"driver=nbd,node-name=target,server.type=inet,server.host=127.0.0.1,server.port={port}",
            "--nbd-server", f"addr.type=unix,addr.path={socket_path}",
            "--export", "type=nbd,id=export0,node-name=source,name=volume,writable=on,"
                        f"writethrough={'on' if writethrough else 'off'}",
            "--chardev", f"socket,id=monitor0,path={monitor_path},server=on,wait=off",
            "--monitor", "chardev=monitor0"]


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def version(program: str) -> str:
    """First line of `program --version`."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return (done.stdout or done.stderr).splitlines()[0] if done.returncode == 0 else "unknown"
