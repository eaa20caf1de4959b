"""volrep's data path as a compiled loop (bench/compiled): what Python costs. A measuring instrument, not a product."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.contenders.base import Contender, free_port, make_file
from bench.errors import BenchError
from bench.waiting import seconds_until

SOURCES = Path(__file__).parent.parent / "compiled"
COMPILER = "cc"
FLAGS = ("-O2", "-Wall", "-Wextra", "-msse4.2", "-pthread")
COMPILE_DEADLINE_S = 60.0
RING_BYTES = 1 << 30  # as bench.contenders.volrep.SRL_BYTES
CONTROL_DEADLINE_S = 10.0
_ZEROES = bytes(4 << 20)


class Positions(NamedTuple):
    """LSNs as the Primary knows them."""

    end: int
    network: int
    data: int
    applied: int  # on the Secondary


def build(folder: Path) -> Path:
    """The program, made anew. Raises BenchError."""
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise BenchError(f"the compiled loop needs a C compiler; there is no {COMPILER!r} "
                         "(Debian: gcc libc6-dev, Fedora: gcc)")
    program = folder / "loop"
    done = subprocess.run([compiler, *FLAGS, "-o", str(program), *map(str, sorted(SOURCES.glob("*.c")))],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=COMPILE_DEADLINE_S,
                          check=False)
    if done.returncode != 0:
        raise BenchError(f"{COMPILER}: exit {done.returncode}\n{done.stderr[-2000:]}")
    return program


def make_ring(path: Path, size_bytes: int) -> Path:
    """Zeroes that are really written, as volrep's SRL: later writes change data only."""
    with path.open("wb") as file:
        for at in range(0, size_bytes, len(_ZEROES)):
            file.write(_ZEROES[:size_bytes - at])
    return path


class CompiledLoop(Contender):
    """A Primary, with a Secondary or alone. `say` talks to it."""

    def __init__(self, name: str, durability: str, *, secondary: bool, ring_bytes: int = 0) -> None:
        super().__init__(name, durability)
        self._secondary = secondary
        self._ring_bytes = ring_bytes
        self.link_port = 0  # what the Primary connects to in place of the Secondary's own port, if not 0
        self.port = 0  # the Secondary's; chosen at the start if 0

    def _start(self) -> str:
        program = build(self.folder)
        self.port = self.port or free_port()
        sides = ("copy", "volume") if self._secondary else ("volume",)
        for side in sides:
            make_file(self.folder / side, self.size_bytes)
            make_ring(self.folder / f"{side}.ring", self._ring_bytes or RING_BYTES)
        if self._secondary:
            secondary = self.launch([str(program), "secondary", "copy", "copy.ring", str(self.port)])
            self.await_(lambda: "listening" in self.log_tail(), secondary, f"the Secondary on port {self.port}")
        port = [str(self.link_port or self.port)] if self._secondary else []
        primary = self.launch([str(program), "primary", "volume", "volume.ring", "nbd.sock", "control.sock", *port])
        self.await_socket(self.folder / "nbd.sock", primary)
        return f"nbd+unix:///volume?socket={self.folder / 'nbd.sock'}"

    def say(self, word: str) -> Positions:
        """`status`, `sync`, `async`, `pause`, `resume`. Raises BenchError."""
        try:
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(CONTROL_DEADLINE_S)
                control.connect(str(self.folder / "control.sock"))
                control.sendall(word.encode() + b"\n")
                answer = control.makefile().readline().split()
        except OSError as error:
            raise BenchError(f"{self.name}: {word}: {error}\n{self.log_tail()}") from error
        if len(answer) != len(Positions._fields):
            raise BenchError(f"{self.name}: {word}: no answer\n{self.log_tail()}")
        return Positions(*map(int, answer))

    def settled(self) -> bool:
        """Whether the Secondary has applied everything, and holds it durably."""
        at = self.say("status")
        return at.data == at.applied == at.end

    def settle_s(self) -> float:
        return seconds_until(self.settled, f"the copy of {self.name}") if self._secondary else 0.0

    def copies(self) -> Sequence[Path]:
        return (self.folder / "volume", self.folder / "copy") if self._secondary else ()


class CompiledAlone(CompiledLoop):
    """Without a Secondary, as volrep-alone."""

    readable = True

    def __init__(self, name: str) -> None:
        super().__init__(name, "durable; no copy", secondary=False)


class CompiledPair(CompiledLoop):
    """With a Secondary, synchronous or not, as volrep-sync and volrep-async; a pair for each of them."""

    def __init__(self, name: str, *, synchronous: bool, ring_bytes: int = 0) -> None:
        copy = "in the copy's memory" if synchronous else "the copy follows in order"
        super().__init__(name, f"durable here; {copy}", secondary=True, ring_bytes=ring_bytes)
        self._synchronous = synchronous

    def _start(self) -> str:
        uri = super()._start()
        self.say("sync" if self._synchronous else "async")
        return uri
