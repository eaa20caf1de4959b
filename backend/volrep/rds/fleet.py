"""All hosts of an inventory: asked in parallel, each with a deadline; the World as they describe it.

Knows threads and conversations. Must not know what is done with the answers.
"""

from __future__ import annotations

import os
import pwd
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from volrep.engine.api import EngineStatus, EventsRequest, Scope
from volrep.engine.client import EngineClient
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.messages import hosts as messages
from volrep.model.shape import Shape
from volrep.rds.inventory import Host, Inventory
from volrep.rds.transport import open_engine, replication_address
from volrep.rds.world import HostView, World

ASK_DEADLINE_S = 25.0  # connect, key exchange and authentication have 10 s each; the answers come at once
EVENTS_ASKED = 20

T = TypeVar("T")


class Fleet:
    """Conversations are opened when first needed and kept until `close`. One user at a time."""

    def __init__(self, inventory: Inventory, client: str = "") -> None:
        self._client = client or _who()
        self.hosts = {host.name: host for host in inventory.hosts()}
        self._open: dict[str, EngineClient] = {}

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for client in self._open.values():
            client.close()
        self._open.clear()

    # ---- one host

    def call(self, host: str, method: str, request: Shape | None = None) -> Any:
        """Over a kept conversation, opened anew when it broke before this call. Raises VolrepError."""
        client = self._client_of(host)
        try:
            return client.call(method, request)
        except VolrepError as error:
            if error.message is engine_messages.ENGINE_CLOSED:
                self._open.pop(host).close()
            raise
        except BaseException:  # interrupted halfway: an answer may still come, and must not meet the next request
            self._open.pop(host).close()
            raise

    def _client_of(self, host: str) -> EngineClient:
        if host not in self._open:
            self._open[host] = open_engine(self._entry(host), self._client)
        return self._open[host]

    def _entry(self, host: str) -> Host:
        """Raises VR-1100."""
        if host not in self.hosts:
            raise VolrepError(messages.HOST_UNKNOWN, host=host, known=", ".join(sorted(self.hosts)))
        return self.hosts[host]

    # ---- all hosts

    def ask(self, question: Callable[[str], T], hosts: Iterable[str] | None = None,
            deadline_s: float = ASK_DEADLINE_S) -> dict[str, T | VolrepError]:
        """`question(host)` of the named hosts (default: all) in parallel; an error, or VR-1117, stands in its place."""
        names = list(self.hosts) if hosts is None else list(hosts)
        answers: dict[str, T | VolrepError] = {}
        crashes: list[Exception] = []

        def work(host: str) -> None:
            try:
                answers[host] = question(host)
            except VolrepError as error:
                answers[host] = error
            except Exception as error:  # noqa: BLE001 (a bug: raised again by the asking thread)
                crashes.append(error)

        # Daemons: one that hangs in a connect must not keep the command from ending
        threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in names]
        only = self.hosts.get(names[0]) if len(names) == 1 else None
        if only is not None and only.local:  # nobody to be parallel with, and a unix socket does not hang
            work(names[0])
        else:
            for thread in threads:
                thread.start()
            end_s = time.monotonic() + deadline_s
            for thread in threads:
                thread.join(max(0.0, end_s - time.monotonic()))
        if crashes:
            raise crashes[0]
        for name in names:
            answers.setdefault(name, VolrepError(messages.HOST_SILENT, host=name, timeout_s=f"{deadline_s:g}"))
        return {name: answers[name] for name in names}

    def observe(self, dg: str = "", rvg: str = "", *, events: bool = False,
                deadline_s: float = ASK_DEADLINE_S) -> World:
        """What all hosts say. `dg` narrows volumes and RVGs; `rvg` the RVGs and the events asked for."""

        def look(host: str) -> HostView:
            status: EngineStatus = self.call(host, "engine.status")
            self._check_name(host, status)
            found = HostView(
                host, replication_address(self.hosts[host]), status,
                tuple(self.call(host, "rvg.list", Scope(dg=dg, name=rvg)).rvgs),
                tuple(self.call(host, "volume.list", Scope(dg=dg)).volumes))
            if not events:
                return found
            asked = EventsRequest(dg=dg, rvg=rvg, limit=EVENTS_ASKED)
            return replace(found, events=tuple(self.call(host, "events.list", asked).events))

        views = [answer if isinstance(answer, HostView) else HostView(host, problem=answer)
                 for host, answer in self.ask(look, deadline_s=deadline_s).items()]
        return World(tuple(self._named(view) for view in views))

    def _check_name(self, host: str, status: EngineStatus) -> None:
        """Raises VR-1106: links carry the names of engines, so both must agree."""
        if not self.hosts[host].implicit and status.name != host:
            raise VolrepError(messages.NAME_DIFFERS, host=host, found=status.name)

    def _named(self, view: HostView) -> HostView:
        """The local engine that no file names is known by its own name from now on."""
        if view.status is None or view.status.name == view.name:
            return view
        name = view.status.name
        self.hosts[name] = replace(self.hosts.pop(view.name), name=name)
        if view.name in self._open:
            self._open[name] = self._open.pop(view.name)
        return replace(view, name=name)


def _who() -> str:
    """Who the history of an engine will name."""
    try:
        user = os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an account of a container, unknown here
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
