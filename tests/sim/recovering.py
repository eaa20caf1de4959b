"""Disks as a loss of power leaves them, recovered by volrep's own code, and compared with what must be on them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from tests.sim.disk import SimFile
from tests.sim.history import History
from tests.sim.loop import Verdict, Violation
from volrep.log.ring import Ring
from volrep.model.errors import VolrepError
from volrep.rvg.opening import Opened, open_rvg

if TYPE_CHECKING:
    from tests.sim.host import SimHost


class OutOfReach(Verdict):
    """What happened to a disk cannot be told from what is allowed; the run ends without a verdict."""


def recovered_copy(host: SimHost, random: Random) -> tuple[Opened, dict[str, bytearray]] | None:
    """What recovery makes of copies of the host's disks, and their content then; None when it refuses with a reason.

    Raises Violation when it refuses though nothing was done to the disks.
    """
    disks = {path: disk.copy_after_power_loss(random) for path, disk in host.disks.items()}

    def open_file(path: str, *, exclusive: bool) -> SimFile:
        return SimFile(disks[path], -1, lambda _: False)

    try:
        opened = open_rvg(host.config, open_file)
    except AssertionError as error:
        raise Violation(f"{host.name}: recovery after a loss of power met an assert: {error}") from error
    except VolrepError as error:
        if not host.disk_errors and f"made/{host.config.rvg_id}" in host.files:
            raise Violation(f"{host.name} cannot be recovered after a loss of power: {error.id} "
                            f"{error.text}") from error
        return None
    return opened, {path: disk.shown for path, disk in disks.items()}


def compare(host: SimHost, history: History, found: dict[str, bytearray], lsn: int, when: str) -> None:
    """The volumes are what the order makes of them at `lsn`. Raises Violation."""
    images = history.image(lsn)
    for volume in host.config.volumes:
        if found[volume.path] != images[volume.index]:
            at = next(i for i, (a, b) in enumerate(zip(found[volume.path], images[volume.index], strict=True))
                      if a != b)
            raise Violation(f"{host.name} {when}: volume {volume.name} differs from the Primary's order at LSN "
                            f"{lsn}, first at byte {at}")


def shown(host: SimHost) -> dict[str, bytearray]:
    """Its volumes as they are now."""
    return {disk.path: disk.shown for disk in host.volumes}


def is_damaged_from(host: SimHost, lsn: int, reach_bytes: int) -> bool:
    """Whether the log was damaged by a fault somewhere in the bytes behind `lsn`."""
    ring = Ring(host.srl.size_bytes)
    spans = ring.spans(lsn, min(reach_bytes, ring.capacity_bytes))
    return any(s < offset + length and offset < e for s, e in host.srl.damaged for offset, length in spans)
