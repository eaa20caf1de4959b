"""Runs the commands that dialogs and lists compose.

Knows processes and their pipes. Must not know screens. A command is always a list of words, never a shell line; it gets
a process group of its own, so that an interrupt reaches everything it started and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

from volrep.model.errors import VolrepError
from volrep.model.messages import console

CHUNKS_MAX = 16  # chunks waiting to be drawn, of 256 KiB at most: 4 MiB; then the command waits, as with any terminal
ANSWER_MAX_BYTES = 16 << 20  # a list of 50,000 rows is about 10 MiB
LINGER_S = 0.5  # after the end of the command: for output of what it left running with our pipe

Stream = str  # "stdout" | "stderr"
_NAMES: dict[int, Stream] = {1: "stdout", 2: "stderr"}


@dataclass(frozen=True, slots=True)
class Program:
    """`prefix` is what is executed, `shown` the name the operator knows it by."""

    prefix: tuple[str, ...]
    shown: str = "volrep"
    environment: Mapping[str, str] = field(default_factory=dict)

    def show(self, words: Sequence[str]) -> str:
        """The command as one would type it."""
        return shlex.join([self.shown, *words])


@dataclass(frozen=True, slots=True)
class Answer:
    exit: int
    stdout: bytes
    stderr: bytes


class _Pipes(asyncio.SubprocessProtocol):
    """Collects what arrives; stops reading while enough is waiting to be drawn."""

    def __init__(self) -> None:
        self.chunks: deque[tuple[Stream, bytes]] = deque()
        self.news = asyncio.Event()  # a chunk, the end of a pipe, or the end of the command
        self.open = set(_NAMES)
        self.exited = False
        self.paused = False
        self.transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self.transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.chunks.append((_NAMES[fd], data))
        if len(self.chunks) >= CHUNKS_MAX and not self.paused:
            self._each(lambda pipe: pipe.pause_reading())
            self.paused = True
        self.news.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.open.discard(fd)
        self.news.set()

    def process_exited(self) -> None:
        self.exited = True
        self.news.set()

    def take(self) -> tuple[Stream, bytes]:
        chunk = self.chunks.popleft()
        if self.paused and not self.chunks:
            self._each(lambda pipe: pipe.resume_reading())
            self.paused = False
        return chunk

    def _each(self, do: Callable[[asyncio.ReadTransport], None]) -> None:
        assert self.transport is not None
        for fd in self.open:
            pipe = self.transport.get_pipe_transport(fd)
            if isinstance(pipe, asyncio.ReadTransport):
                do(pipe)


class Running:
    """A command under way. Read `output()` to its end, then `exit` is there."""

    def __init__(self, transport: asyncio.SubprocessTransport, pipes: _Pipes) -> None:
        self.interrupts = 0
        self._transport = transport
        self._pipes = pipes

    @property
    def exit(self) -> int | None:
        return self._transport.get_returncode()

    async def output(self) -> AsyncGenerator[tuple[Stream, bytes]]:
        """Chunks as they come, until the command has ended and its output is read.

        What it left running may hold the pipes open; that is waited for only a moment.
        """
        pipes = self._pipes
        try:
            while True:
                while pipes.chunks:
                    yield pipes.take()
                if pipes.exited and not pipes.open:
                    return
                pipes.news.clear()
                async with asyncio.timeout(LINGER_S if pipes.exited else None):
                    await pipes.news.wait()
        except TimeoutError:
            if not pipes.exited:
                raise
        finally:
            if not pipes.exited:
                self.kill()
            self._transport.close()

    def interrupt(self) -> str:
        """Ask the command to end: first politely, then firmly, then without asking. Returns the name of the signal."""
        steps = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        chosen = steps[min(self.interrupts, len(steps) - 1)]
        self.interrupts += 1
        with suppress(ProcessLookupError):  # it ended meanwhile, which is what was wanted
            os.killpg(self._transport.get_pid(), chosen)
        return chosen.name

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._transport.get_pid(), signal.SIGKILL)


async def start(program: Program, words: Sequence[str], extra: Mapping[str, str], columns: int) -> Running:
    """Start a command. Raises VR-1841."""
    environment = {**os.environ, **program.environment, **extra, "COLUMNS": str(columns), "NO_COLOR": "1"}
    try:
        transport, pipes = await asyncio.get_running_loop().subprocess_exec(
            _Pipes, *program.prefix, *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, env=environment)
    except OSError as error:
        raise VolrepError(console.NO_PROGRAM, program=program.prefix[0], problem=error.strerror or error) from error
    return Running(transport, pipes)


async def capture(program: Program, words: Sequence[str], timeout_s: float) -> Answer:
    """Run a short command to its end. Raises VR-1833, VR-1841. Cancelling it ends the command."""
    running = await start(program, words, {}, columns=200)
    kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    try:
        async with asyncio.timeout(timeout_s), aclosing(running.output()) as output:
            async for name, chunk in output:
                if len(kept[name]) + len(chunk) <= ANSWER_MAX_BYTES:
                    kept[name] += chunk
    except TimeoutError as error:
        raise VolrepError(console.TOO_SLOW, command=program.show(words), timeout_s=timeout_s) from error
    assert running.exit is not None
    return Answer(running.exit, bytes(kept["stdout"]), bytes(kept["stderr"]))
