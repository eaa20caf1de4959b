"""One worker process, kept alive: adopted when it lives, started when not, configured, watched, restarted.

    DOWN ──connected──► CONFIGURING ──accepted──► UP
     ▲                      │  └──refused──► REFUSED ──tries again after a pause──► CONFIGURING
     └──────lost────────────┴─────────lost (from any)

A worker that was started less than STEADY_S ago and died raises the pause before the next start, from
BACKOFF_MIN_S doubling to BACKOFF_MAX_S; one that lived longer starts again at BACKOFF_MIN_S.

Knows processes and the worker protocol. Must not know the store: the configuration is asked for when needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from volrep.engine.channel import ChannelClosed, WorkerChannel
from volrep.engine.spawn import last_words, spawn_worker
from volrep.model.config import RvgConfig
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.messages import log as log_messages
from volrep.model.shape import BadShape, Shape
from volrep.model.status import Event, RvgState, RvgStatus
from volrep.model.worker import LinkRef, Nothing, WorkerMethod
from volrep.ports.clock import Clock

BACKOFF_MIN_S, BACKOFF_MAX_S = 0.1, 10.0
STEADY_S = 60.0
SOCKET_POLL_S = 0.02
SOCKET_DEADLINE_S = 30.0  # a Python process imports in well under a second; a host that swaps takes longer
STATUS_DEADLINE_S = 2.0  # a worker answers within milliseconds; a display must not hang for one that does not
SHUTDOWN_DEADLINE_S = 60.0  # a checkpoint syncs all data volumes; below systemd's 90 s
EXIT_DEADLINE_S = 10.0  # from closing its socket, or SIGTERM, to its end

log = logging.getLogger("volrep.engine")


class Phase(StrEnum):
    DOWN = "down"
    CONFIGURING = "recovering"
    UP = "up"
    REFUSED = "refused"


class Supervisor:
    """The worker of one RVG. `start` once, then `stop` once."""

    def __init__(self, config: Callable[[], RvgConfig], socket_path: Path, argv: list[str], *, log_path: Path,
                 on_event: Callable[[Event], None], clock: Clock, accept: str = "") -> None:
        first = config()
        self.dg, self.rvg, self.host = first.dg, first.name, first.host
        self._config = config
        self._socket_path = socket_path
        self._argv = argv
        self._log_path = log_path
        self._on_event = on_event
        self._clock = clock
        self._accept = accept
        self.phase = Phase.DOWN
        self.problem = "the worker is being started"
        self.pid = 0
        self.restarts = 0
        self._channel: WorkerChannel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # set while the outcome of the latest configuration is known
        self._refusal: VolrepError | None = None

    # ---- life

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_alive(), name=f"worker {self.dg}/{self.rvg}")

    async def stop(self) -> None:
        """Shut the worker down cleanly and wait for its end. Raises VR-1720 when it does not go."""
        await self._end_task()
        if self._channel is None:  # between two lives, or before adoption: it may still be there
            with contextlib.suppress(OSError):
                await self._connect()
        channel = self._channel
        if channel is not None:
            await self._shut_down(channel)
            channel.close()
        elif self._process is not None:
            self._process.terminate()  # it has no configuration yet, so it has touched nothing
        await self._reap()
        self.phase, self.problem, self._channel = Phase.DOWN, "stopped", None

    async def _end_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _shut_down(self, channel: WorkerChannel) -> None:
        try:
            await asyncio.wait_for(channel.call(WorkerMethod.SHUTDOWN, Nothing()), SHUTDOWN_DEADLINE_S)
            await asyncio.wait_for(asyncio.shield(channel.closed), EXIT_DEADLINE_S)
        except ChannelClosed:
            return  # it is gone, which is what was asked for
        except TimeoutError as error:
            raise VolrepError(messages.WORKER_ABSENT, rvg=self.rvg, host=self.host,
                              reason=f"pid {self.pid} does not shut down") from error

    async def _reap(self) -> None:
        """Wait for the end of a process that this engine started and that has closed its socket."""
        process, self._process = self._process, None
        if process is not None:
            try:
                await asyncio.to_thread(process.wait, EXIT_DEADLINE_S)
            except subprocess.TimeoutExpired:
                log.warning("worker %s/%s (pid %d) has closed its socket and does not end; terminating it",
                            self.dg, self.rvg, process.pid)
                process.terminate()
                await asyncio.to_thread(process.wait)

    async def _keep_alive(self) -> None:
        backoff_s = BACKOFF_MIN_S
        while True:
            began_s = self._clock.monotonic_s()
            reason = await self._one_life()
            self._down(reason)
            if self._clock.monotonic_s() - began_s >= STEADY_S:
                backoff_s = BACKOFF_MIN_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, BACKOFF_MAX_S)
            self.restarts += 1

    async def _one_life(self) -> str:
        """From connecting to losing the worker; returns why it was lost."""
        try:
            channel = await self._adopt_or_spawn()
        except OSError as error:
            return f"cannot be started: {error.strerror or error}"
        except VolrepError as error:
            return error.text
        configuring = asyncio.create_task(self._configure_until_accepted(channel))
        try:
            return await asyncio.shield(channel.closed)
        finally:
            configuring.cancel()
            await asyncio.wait([configuring])
            if not configuring.cancelled() and (problem := configuring.exception()) is not None:
                log.error("configuring worker %s/%s", self.dg, self.rvg, exc_info=problem)

    def _down(self, reason: str) -> None:
        words = last_words(self._log_path)
        if " INFO " in words:  # what it did before says nothing about its end
            words = ""
        self.phase, self.pid, self._channel = Phase.DOWN, 0, None
        self.problem = f"the worker is down and will be started again: {reason}"
        self._settled.set()
        self._say("worker_died", f"worker lost: {reason}" + (f"; its last words: {words}" if words else ""))

    # ---- connecting

    async def _connect(self) -> WorkerChannel:
        self._channel = await WorkerChannel.connect(self._socket_path, self._event)
        self.pid = self._channel.peer_pid()
        return self._channel

    async def _adopt_or_spawn(self) -> WorkerChannel:
        try:
            channel = await self._connect()
        except OSError:  # nobody listens: no worker
            await self._reap()
            channel = await self._spawn()
            self._say("worker_start", f"worker started, pid {self.pid}")
        else:
            self._say("worker_start", f"living worker adopted, pid {self.pid}")
        return channel

    async def _spawn(self) -> WorkerChannel:
        self._process = spawn_worker(self._argv, self._log_path)
        deadline_s = self._clock.monotonic_s() + SOCKET_DEADLINE_S
        while True:
            await asyncio.sleep(SOCKET_POLL_S)
            if (status := self._process.poll()) is not None:
                raise self._not_started(f"it ended with status {status}: {last_words(self._log_path)}")
            try:
                return await self._connect()
            except OSError as error:
                if self._clock.monotonic_s() > deadline_s:
                    self._process.kill()
                    raise self._not_started(f"no socket after {SOCKET_DEADLINE_S:g} s") from error

    def _not_started(self, reason: str) -> VolrepError:
        return VolrepError(messages.WORKER_START_FAILED, rvg=self.rvg, host=self.host, reason=reason,
                           log=self._log_path)

    # ---- configuring

    async def _configure_until_accepted(self, channel: WorkerChannel) -> None:
        pause_s = BACKOFF_MIN_S
        told = ""
        while True:
            sent = self._config()
            try:
                status = await self._configure(channel, sent.changed(accept=self._accept))
            except ChannelClosed:
                return
            except VolrepError as error:
                if error.text != told:
                    told = error.text
                    self._say("worker_refused", f"{error.id}: {error.text}")
            else:
                if status.state is RvgState.FAIL and status.reason.startswith(log_messages.VOLUME_BUSY.id):
                    # A predecessor that was killed has not quite ended: the next start finds its volumes free.
                    self._say("worker_refused", status.reason)
                    await self._give_up(channel)
                    return
                self._accept = ""  # it holds for one start, not for what may be damaged later
                if self._config() == sent:
                    return
                continue  # it was changed meanwhile
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, BACKOFF_MAX_S)

    async def _give_up(self, channel: WorkerChannel) -> None:
        with contextlib.suppress(ChannelClosed):
            await channel.call(WorkerMethod.SHUTDOWN, Nothing())

    async def _configure(self, channel: WorkerChannel, config: RvgConfig) -> RvgStatus:
        """May take long: recovery, and writing a new SRL full of zeroes."""
        if self.phase is not Phase.UP:
            self.phase, self.problem = Phase.CONFIGURING, "recovering"
        try:
            status = await self._call(channel, WorkerMethod.CONFIGURE, config)
        except VolrepError as error:
            if self.phase is not Phase.UP:
                self.phase, self.problem, self._refusal = Phase.REFUSED, f"{error.id}: {error.text}", error
                self._settled.set()
            raise
        self.phase, self.problem, self._refusal = Phase.UP, "", None
        self._settled.set()
        return status

    async def first_outcome(self) -> None:
        """Wait until the RVG runs.

        Raises the worker's refusal; VR-1720 when it died; VR-1723 when the RVG is in FAIL.
        """
        await self._settled.wait()
        if self.phase is Phase.REFUSED and self._refusal is not None:
            raise self._refusal
        if self.phase is not Phase.UP:
            raise self.absent()
        status, problem = await self.status()
        if status is None or status.state is RvgState.FAIL:  # it cannot open its volumes, and shows why
            raise VolrepError(messages.RVG_NOT_STARTED, rvg=self.rvg, host=self.host,
                              reason=status.reason if status is not None else problem)

    async def reconfigure(self) -> None:
        """Bring a worker that is up to the present configuration; any other gets it when it can take it.

        Raises the worker's refusal.
        """
        if self._channel is not None and self.phase is Phase.UP:
            with contextlib.suppress(ChannelClosed):
                await self._configure(self._channel, self._config())

    # ---- talking

    def absent(self) -> VolrepError:
        return VolrepError(messages.WORKER_ABSENT, rvg=self.rvg, host=self.host, reason=self.problem or "no answer")

    async def call(self, method: WorkerMethod, params: Shape) -> dict[str, Any]:
        """Ask a configured worker. Raises its VolrepError; VR-1720 when it is not there, VR-1724 when it then goes."""
        if self.phase is not Phase.UP or self._channel is None:
            raise self.absent()
        try:
            return await self._channel.call(method, params)
        except ChannelClosed as error:
            raise VolrepError(messages.WORKER_LOST, rvg=self.rvg, host=self.host, reason=error) from error

    async def status(self) -> tuple[RvgStatus | None, str]:
        """(status, ""), or (None, why there is none); within STATUS_DEADLINE_S."""
        if self.phase is not Phase.UP or self._channel is None:
            return None, self.problem
        try:
            return await asyncio.wait_for(self._call(self._channel, WorkerMethod.STATUS, Nothing()),
                                          STATUS_DEADLINE_S), ""
        except TimeoutError:
            return None, f"the worker did not answer within {STATUS_DEADLINE_S:g} s"
        except ChannelClosed as error:
            return None, str(error)
        except VolrepError as error:
            return None, f"{error.id}: {error.text}"

    def hand_link(self, link: LinkRef, fd: int) -> str:
        """Give the worker a link connection; "" or why it could not be given."""
        if self.phase is not Phase.UP or self._channel is None:
            return self.problem or "the worker is not up"
        try:
            self._channel.hand_over(WorkerMethod.LINK_ACCEPT, link, fd)
        except (ChannelClosed, OSError) as error:
            return str(error)
        return ""

    async def _call(self, channel: WorkerChannel, method: WorkerMethod, params: Shape) -> RvgStatus:
        result = await channel.call(method, params)
        try:
            return RvgStatus.from_data(result)
        except BadShape as error:
            channel.close(f"the worker's status is malformed: {error}")
            raise ChannelClosed(str(error)) from error

    def _event(self, body: dict[str, Any]) -> None:
        try:
            self._on_event(Event.from_data(body | {"dg": self.dg, "rvg": self.rvg}))
        except BadShape as error:
            raise ValueError(f"malformed event: {error}") from error

    def _say(self, type_: str, message: str) -> None:
        self._on_event(Event(time_ns=self._clock.wall_ns(), dg=self.dg, rvg=self.rvg, type=type_, message=message))
