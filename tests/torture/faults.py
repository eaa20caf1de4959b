"""What is done to workers: killed, killed again while they recover, their system calls and files made to fail."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.system.injection import failing, injected
from tests.system.pair import Host

SLOW_SYNC_US = 1_500_000
SHORT_WRITES = [sys.executable, "-m", "tests.torture.short_worker"]
_NEVER = threading.Event()


def pause(rng: random.Random, least_s: float, most_s: float) -> None:
    """A moment nobody chose: there is no event to wait for, the moment is what is varied."""
    _NEVER.wait(rng.uniform(least_s, most_s))


def kill_while_starting(host: Host, rng: random.Random) -> None:
    """Start the worker and kill it at some moment of its start or recovery."""
    begun = threading.Event()

    def attempt() -> None:
        begun.set()
        with suppress(AssertionError, OSError, RuntimeError):  # it is killed: that is all that can go wrong here
            host.start()

    before = host.process
    starting = threading.Thread(target=attempt, daemon=True)
    starting.start()
    begun.wait()
    while host.process is before and starting.is_alive():
        _NEVER.wait(0.001)
    pause(rng, 0.0, 0.5)
    host.kill()
    starting.join()


@dataclass(frozen=True, slots=True)
class CallFault:
    """System calls on one file of one host that fail."""

    file: str  # "srl" or a volume's name
    call: str
    error: str

    def __str__(self) -> str:
        return f"{self.file} {self.call} {self.error}"


WHILE_RUNNING = (
    CallFault("srl", "pwritev2", "EIO"), CallFault("srl", "pwritev2", "ENOSPC"),
    CallFault("dv00", "pwritev2", "EIO"), CallFault("dv00", "pwritev2", "ENOSPC"),
    CallFault("dv00", "fdatasync", "EIO"), CallFault("dv01", "fdatasync", "EIO"),
)
WHILE_STARTING = (
    CallFault("srl", "preadv2", "EIO"), CallFault("srl", "fdatasync", "EIO"), CallFault("srl", "pwritev2", "EIO"),
    CallFault("dv00", "pwritev2", "EIO"), CallFault("dv00", "fdatasync", "EIO"),
)


@contextmanager
def inject(host: Host, fault: CallFault, rng: random.Random, log: Path) -> Iterator[Callable[[], int]]:
    """The fault is there from some call on, or once; yields how often it has hit so far."""
    log.unlink(missing_ok=True)
    when = rng.choice(("1+", "1", f"{rng.randint(2, 40)}+", f"{rng.randint(2, 40)}"))
    if fault.call == "fdatasync":
        when = rng.choice(("1", "1+"))  # a checkpoint is one call
    with failing(host, host.path_of(fault.file), fault.call, f"error={fault.error}:when={when}", log):
        yield lambda: injected(log)


@contextmanager
def slow_syncs(host: Host) -> Iterator[None]:
    """The first data volume takes its time to become durable: checkpoints come late, much is replayed."""
    assert host.process is not None
    with failing(host, host.path_of("dv00"), "fdatasync", f"delay_enter={SLOW_SYNC_US}"):
        yield
