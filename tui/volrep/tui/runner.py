"""Runs the commands that dialogs and lists compose.

Knows processes and their pipes. Must not know screens. A command is always a list of words, never a shell line; it gets
a process group of its own, so that an interrupt reaches everything it started and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from volrep.model.errors import VolrepError
from volrep.model.messages import console

CHUNK_BYTES = 1 << 16  # what a pipe holds
CHUNKS_MAX = 16  # chunks waiting to be drawn: 1 MiB; then the command waits, as with any slow terminal
ANSWER_MAX_BYTES = 16 << 20  # a list of 50,000 rows is about 10 MiB
LINGER_S = 0.5  # after the end of the command: for output of what it left running with our pipe

Stream = str  # "stdout" | "stderr"


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


class Running:
    """A command under way. Read `output()` to its end, then `exit` is there."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.interrupts = 0
        self._chunks: asyncio.Queue[tuple[Stream, bytes]] = asyncio.Queue(CHUNKS_MAX)

    @property
    def exit(self) -> int | None:
        return self.process.returncode

    async def output(self) -> AsyncIterator[tuple[Stream, bytes]]:
        """Chunks as they come, until the command has ended and its output is read."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        readers = {asyncio.create_task(self._read("stdout", self.process.stdout)),
                   asyncio.create_task(self._read("stderr", self.process.stderr))}
        ended = asyncio.create_task(self._ended(readers))
        try:
            while True:
                get = asyncio.create_task(self._chunks.get())
                await asyncio.wait({get, ended}, return_when=asyncio.FIRST_COMPLETED)
                if get.done():
                    yield get.result()
                    continue
                get.cancel()
                while not self._chunks.empty():
                    yield self._chunks.get_nowait()
                return
        finally:
            for task in (*readers, ended):
                task.cancel()

    async def _read(self, name: Stream, pipe: asyncio.StreamReader) -> None:
        while chunk := await pipe.read(CHUNK_BYTES):
            await self._chunks.put((name, chunk))

    async def _ended(self, readers: set[asyncio.Task[None]]) -> None:
        """Done when both pipes are at their end, or a moment after the command is."""
        await self.process.wait()
        await asyncio.wait(readers, timeout=LINGER_S)

    def interrupt(self) -> str:
        """Ask the command to end: first politely, then firmly, then without asking. Returns the name of the signal."""
        steps = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        chosen = steps[min(self.interrupts, len(steps) - 1)]
        self.interrupts += 1
        with suppress(ProcessLookupError):  # it ended meanwhile, which is what was wanted
            os.killpg(self.process.pid, chosen)
        return chosen.name

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


async def start(program: Program, words: Sequence[str], extra: Mapping[str, str], columns: int) -> Running:
    """Start a command. Raises VR-1841."""
    environment = {**os.environ, **program.environment, **extra, "COLUMNS": str(columns), "NO_COLOR": "1"}
    try:
        process = await asyncio.create_subprocess_exec(
            *program.prefix, *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True, env=environment)
    except OSError as error:
        raise VolrepError(console.NO_PROGRAM, program=program.prefix[0], problem=error.strerror or error) from error
    return Running(process)


async def capture(program: Program, words: Sequence[str], timeout_s: float) -> Answer:
    """Run a short command to its end. Raises VR-1833, VR-1841. Cancelling it ends the command."""
    running = await start(program, words, {}, columns=200)
    kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    try:
        async with asyncio.timeout(timeout_s):
            async for name, chunk in running.output():
                if len(kept[name]) + len(chunk) <= ANSWER_MAX_BYTES:
                    kept[name] += chunk
    except TimeoutError as error:
        raise VolrepError(console.TOO_SLOW, command=program.show(words), timeout_s=timeout_s) from error
    finally:
        if running.exit is None:
            running.kill()
            await running.process.wait()
    assert running.exit is not None
    return Answer(running.exit, bytes(kept["stdout"]), bytes(kept["stderr"]))
