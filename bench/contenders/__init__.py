"""Who is measured. The order is the order within every round."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.contenders.base import Contender
from bench.contenders.compiled import CompiledAlone, CompiledPair
from bench.contenders.disk import Disk
from bench.contenders.nbdkit import Nbdkit
from bench.contenders.qemu import QemuMirror, QemuNbd
from bench.contenders.volrep import Pair, VolrepAlone, VolrepMode


def _mode(synchronous: str, encryption: str, sync_ack: str = "network") -> Callable[[str, Pair], Contender]:
    return lambda name, pair: VolrepMode(name, pair, synchronous=synchronous, encryption=encryption,
                                         sync_ack=sync_ack)


_MAKERS: dict[str, Callable[[str, Pair], Contender]] = {
    "disk": lambda name, _: Disk(name, durable=False),
    "disk-dsync": lambda name, _: Disk(name, durable=True),
    "nbdkit": lambda name, _: Nbdkit(name, fua=False),
    "nbdkit-fua": lambda name, _: Nbdkit(name, fua=True),
    "qemu-nbd": lambda name, _: QemuNbd(name, writethrough=False),
    "qemu-nbd-wt": lambda name, _: QemuNbd(name, writethrough=True),
    "qemu-mirror": lambda name, _: QemuMirror(name),
    "qemu-mirror-wt": lambda name, _: QemuMirror(name, writethrough=True),
    "qemu-mirror-bg": lambda name, _: QemuMirror(name, copy_mode="background"),
    "volrep-alone": lambda name, _: VolrepAlone(name),
    "volrep-async": _mode("off", "off"),
    "volrep-async-tls": _mode("off", "tls"),
    "volrep-sync": _mode("override", "off"),
    "volrep-sync-data": _mode("override", "off", "data"),
    "volrep-sync-tls": _mode("override", "tls"),
    "compiled-alone": lambda name, _: CompiledAlone(name),
    "compiled-async": lambda name, _: CompiledPair(name, synchronous=False),
    "compiled-sync": lambda name, _: CompiledPair(name, synchronous=True),
}
CONTENDERS = tuple(_MAKERS)
COMPILED = ("compiled-alone", "compiled-async", "compiled-sync")
"""Instruments, not peers: measured only when they are asked for (`--compiled`)."""


def make(names: Sequence[str]) -> list[Contender]:
    """Contenders of these names, not yet started; volrep's modes share one pair."""
    pair = Pair()
    return [_MAKERS[name](name, pair) for name in names]
