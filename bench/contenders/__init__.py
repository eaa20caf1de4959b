"""Who is measured. The order is the order within every round."""

from __future__ import annotations

from collections.abc import Callable

from bench.contenders.base import Contender
from bench.contenders.nbdkit import NbdkitFile
from bench.contenders.qemu import QemuMirror, QemuNbd
from bench.contenders.volrep import VolrepPair

CONTENDERS: dict[str, Callable[[], Contender]] = {
    "nbdkit-file": NbdkitFile,
    "qemu-nbd": QemuNbd,
    "qemu-mirror": QemuMirror,
    "volrep-async": lambda: VolrepPair("volrep-async", synchronous="off", encryption="off"),
    "volrep-sync": lambda: VolrepPair("volrep-sync", synchronous="override", encryption="off"),
    "volrep-async-tls": lambda: VolrepPair("volrep-async-tls", synchronous="off", encryption="tls"),
    "volrep-sync-tls": lambda: VolrepPair("volrep-sync-tls", synchronous="override", encryption="tls"),
}
