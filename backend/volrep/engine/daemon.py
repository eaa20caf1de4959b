"""The engine process: `volrep engine run`. Puts the parts together, says when it is ready, ends them in order.

SIGTERM and SIGINT: every worker shuts down cleanly, then the engine ends. SIGKILL: workers live on, and the
next engine of this state directory adopts them.
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.metadata
import logging
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

from volrep.engine import released, serve_attach, superseded
from volrep.engine.channel import ChannelClosed, WorkerChannel
from volrep.engine.control import ControlServer
from volrep.engine.door import Door, open_port
from volrep.engine.events import Events
from volrep.engine.hello import HelloLine
from volrep.engine.hooks import TIMEOUT_S, Hooks, environment
from volrep.engine.host import Host
from volrep.engine.identity import check_identity, ensure_certificate
from volrep.engine.notify import notify
from volrep.engine.paths import StateDir
from volrep.engine.rebuild import Rescue, known_name, known_port
from volrep.engine.serve_exports import drop_sockets
from volrep.engine.sound import check_markers, lost
from volrep.engine.store import Store
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.model.names import NAME_MAX_CHARS, check_name
from volrep.model.worker import LinkRef, Nothing, WorkerMethod
from volrep.ports.clock import Clock, SystemClock

DEFAULT_PORT = 4145
STRAY_DEADLINE_S = 60.0  # for the checkpoint of a worker whose RVG is gone

log = logging.getLogger("volrep.engine")


def main(state_dir: Path, hooks_dir: Path, *, name: str | None = None, listen: str = "0.0.0.0", port: int | None = None,
         log_level: str = "INFO", hook_timeout_s: float = TIMEOUT_S) -> int:
    """Run until told to stop; 0 then. Raises VolrepError when it cannot start (VR-1701 to VR-1708).

    `name` and `port` are kept at the first start; `port` given later replaces the kept one, 0 means the
    kept one or, at the first start, one that the kernel chooses.
    """
    logging.basicConfig(stream=sys.stderr, level=log_level.upper(),
                        format="%(asctime)s %(name)s %(levelname)s %(message)s")
    paths = StateDir(Path(os.path.abspath(state_dir)))
    paths.create()
    lock_fd = lock_state_dir(paths)
    try:
        hooks = Hooks(Path(os.path.abspath(hooks_dir)), paths.hook_log, SystemClock(), {}, hook_timeout_s)
        return asyncio.run(_run(paths, name, listen, port, hooks))
    finally:
        os.close(lock_fd)


def lock_state_dir(paths: StateDir) -> int:
    """The lock, held until closed; workers do not inherit it. Raises VR-1701."""
    fd = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(fd, 20).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise VolrepError(messages.ENGINE_RUNS_ALREADY, pid=pid, state_dir=paths.root) from error
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def engine_name(store: Store, given: str | None) -> str:
    """The name kept, or kept now. Raises VR-1011, VR-1702."""
    stored = store.setting("name")
    if stored is not None:
        if given not in (None, "", stored):
            raise VolrepError(messages.ENGINE_NAME_DIFFERS, state_dir=store.path.parent, stored=stored, given=given)
        return stored
    name = check_name("host", given or _machine_name())
    with store.change(None):
        store.put_setting("name", name)
    return name


def replication_port(store: Store, listen: str, given: int | None) -> tuple[socket.socket, int]:
    """The listening socket and its port, which is kept. Raises VR-1703."""
    stored = int(store.setting("port") or 0)
    wanted = given or stored
    if given is None and not stored:
        wanted = DEFAULT_PORT
    sock = open_port(listen, wanted)
    port = int(sock.getsockname()[1])
    if port != stored:
        with store.change(None):
            store.put_setting("port", str(port))
    return sock, port


async def _run(paths: StateDir, name: str | None, listen: str, port: int | None, hooks: Hooks) -> int:
    """Serve; while the configuration is damaged, serve its rebuilding."""
    clock = SystemClock()
    control = ControlServer()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        await control.serve(paths.control_socket)
        while True:
            try:
                store, events = _open_store(paths, clock)
            except VolrepError as error:
                if error.message is not messages.STORE_DAMAGED:
                    raise
                if not await _rescue(paths, error, name, listen, port, clock, control, stopping):
                    return 0
                continue
            try:
                await _serve(_host(paths, name, store, events, clock, stopping, hooks), listen, port, control)
            finally:
                events.close()
                store.close()
            return 0
    finally:
        await control.close()
        paths.control_socket.unlink(missing_ok=True)


def _open_store(paths: StateDir, clock: Clock) -> tuple[Store, Events]:
    """Raises VR-1704 when less is there than was, VR-1705, VR-1706."""
    store = Store(paths.store, clock, lost(paths))
    try:
        check_markers(paths, store)
        return store, Events(paths.store, clock)
    except BaseException:
        store.close()
        raise


async def _rescue(paths: StateDir, error: VolrepError, name: str | None, listen: str, port: int | None, clock: Clock,
                  control: ControlServer, stopping: asyncio.Event) -> bool:
    """Whether there is a configuration again; False: told to stop. Workers are left alone."""
    kept_name = known_name(paths) or check_name("host", name or _machine_name())
    certificate = ensure_certificate(paths.certificate, paths.private_key, kept_name)
    rescue = Rescue(paths, error, name=kept_name, version=importlib.metadata.version("volrep"), listen=listen,
                    certificate=certificate, port=port or known_port(paths), clock=clock, stopping=stopping)
    log.error("%s: %s; %s", error.id, error.text, error.hint)
    control.turn_to(rescue)
    sys.stdout.write(f"damaged: engine {kept_name}, pid {os.getpid()}, state {paths.root}: {error.id}: {error.text}\n")
    sys.stdout.flush()
    notify(f"READY=1\nSTATUS={error.id}: {error.text}")
    waits = [asyncio.create_task(event.wait()) for event in (rescue.restored, stopping)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return rescue.restored.is_set()


def _machine_name() -> str:
    return socket.gethostname().partition(".")[0][:NAME_MAX_CHARS]


def _host(paths: StateDir, name: str | None, store: Store, events: Events, clock: Clock,
          stopping: asyncio.Event, hooks: Hooks) -> Host:
    kept_name = engine_name(store, name)
    certificate = ensure_certificate(paths.certificate, paths.private_key, kept_name)
    problem = check_identity(store, certificate)
    return Host(name=kept_name, version=importlib.metadata.version("volrep"), paths=paths, store=store, events=events,
                clock=clock, certificate=certificate, pid=os.getpid(), started_ns=clock.wall_ns(), problem=problem,
                stopping=stopping,
                hooks=replace(hooks, environment=environment(paths.root, hooks.directory, kept_name)))


async def _serve(host: Host, listen: str, port: int | None, control: ControlServer) -> None:
    sock, host.port = replication_port(host.store, listen, port)
    host.listen = listen
    host.listeners.append(superseded.watch)
    door = Door(sock, lambda hello, link: hand_over(host, hello, link),
                lambda text: host.events.happened("link_refused", text), host.clock)
    try:
        released.wipe_all(host)
        drop_sockets(host)
        await serve_attach.forget_lost(host)
        if host.problem:
            host.events.happened("identity_new", host.problem)
        for rvg in host.store.rvgs():
            host.supervise(rvg)
        control.turn_to(host)
        strays = asyncio.create_task(end_strays(host), name="strays")
        door.open()
        host.events.happened("engine_start", f"engine {host.name} {host.version} serves, pid {host.pid}, "
                                             f"replication port {host.port}")
        sys.stdout.write(f"ready: engine {host.name}, pid {host.pid}, replication port {host.port}, "
                         f"state {host.paths.root}\n")
        sys.stdout.flush()
        notify("READY=1\nSTATUS=serving")
        await host.stopping.wait()
        notify("STOPPING=1")
        strays.cancel()
    finally:
        await door.close()
        await host.end_background()
        await host.stop_workers()


def hand_over(host: Host, hello: HelloLine, sock: socket.socket) -> str:
    """Give a link connection to the worker of its RVG; "" or why not."""
    rvg = host.store.find_link(hello.rds_id, hello.link_id)
    supervisor = host.supervisors.get((rvg.dg, rvg.name)) if rvg is not None else None
    if rvg is None or supervisor is None:
        return f"no link {hello.link_id} of RDS {hello.rds_id} here (asked for by {hello.from_host})"
    return supervisor.hand_link(LinkRef(link_id=hello.link_id), sock.fileno())


async def end_strays(host: Host) -> None:
    """Shut down workers whose RVG was deleted while their engine was being killed."""
    known = {host.paths.worker_socket(rvg.dg, rvg.name) for rvg in host.store.rvgs()}
    for path in sorted(host.paths.run.glob("w-*.sock")):
        if path in known:
            continue
        try:
            channel = await WorkerChannel.connect(path, lambda _event: None)
        except OSError:  # nobody listens: only the name is left
            path.unlink(missing_ok=True)
            continue
        host.events.happened("worker_stray", f"worker pid {channel.peer_pid()} has no RVG any more; shutting it down")
        try:
            await asyncio.wait_for(channel.call(WorkerMethod.SHUTDOWN, Nothing()), STRAY_DEADLINE_S)
        except (ChannelClosed, TimeoutError, VolrepError) as error:
            log.warning("stray worker at %s: %s", path, error)
        finally:
            channel.close()
