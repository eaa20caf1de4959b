"""The world of a worker as one argument: what it touches beyond its own memory.

`system_ports` is this machine; the simulator (tests/sim) makes others, so that the same worker runs in both.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from volrep.model.config import RvgConfig
from volrep.nbd.listener import Listen, listen
from volrep.ports.disk import DiskFile, DiskFolder
from volrep.ports.files import Folder, OpenFile
from volrep.ports.reactor import Loop
from volrep.ports.threads import Background
from volrep.rvg.dialling import Dialler, TcpDialler


@dataclass(frozen=True, slots=True)
class WorkerPorts:
    """`background` is for the disks; connections are made elsewhere, for a dead host must not hold up a sync."""

    loop: Loop
    background: Background
    open_file: OpenFile
    folder: Callable[[RvgConfig], Folder]  # small files beside the engine's certificate, which outlive the worker
    dialler: Callable[[RvgConfig], Dialler]
    listen: Listen
    new_id: Callable[[], str]  # hex digits that nobody else has


def system_ports(loop: Loop, background: Background, setup: Background) -> WorkerPorts:
    """`setup`: threads for connections being made."""
    return WorkerPorts(
        loop=loop, background=background, open_file=DiskFile.open,
        folder=lambda config: DiskFolder(Path(config.certificate_path).parent),
        dialler=lambda config: TcpDialler(config, setup), listen=listen, new_id=lambda: uuid.uuid4().hex)
