"""SRL volumes of deleted RVGs are made blank, so that they can serve another RVG.

The worker refuses an SRL that carries another RVG's header (VR-1503), which protects a volume that was named by
mistake. Deleting the RVG gives the volume free on purpose: its header slots are zeroed, if they are that RVG's. What
remains to be wiped is kept in the store by the deleting transaction, so a crash in between loses nothing.
"""

from __future__ import annotations

import logging

from volrep.engine.host import Host
from volrep.engine.store import RvgObject
from volrep.log.ring import HEADER_AREA_BYTES
from volrep.log.srl import Srl
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.ports.disk import DiskFile

log = logging.getLogger("volrep.engine")


def note(host: Host, rvg: RvgObject) -> None:
    """Within the deleting transaction: this SRL is to be wiped."""
    srl = host.store.volume(rvg.dg, rvg.srl)
    assert srl is not None, "an RVG's SRL is in the store"
    host.store.put_released(rvg.rvg_id, srl.path)


def wipe_all(host: Host) -> None:
    """Wipe what is noted and forget it. A disk that fails is told in the events; the note stays."""
    for rvg_id, path in host.store.released():
        try:
            _wipe(path, rvg_id)
        except FileNotFoundError:
            log.info("the SRL %s of a deleted RVG is gone", path)
        except (OSError, ValueError, VolrepError) as error:
            host.events.happened("srl_not_released", f"{path} cannot be wiped: {error}")
            continue
        (host.paths.root / "made" / rvg_id).unlink(missing_ok=True)
        with host.store.change(None):
            host.store.remove_released(rvg_id)


def wipe_quietly(host: Host, path: str, rvg_id: str) -> None:
    """An SRL volume that another one has taken the place of; it may be broken, and then stays as it is."""
    try:
        _wipe(path, rvg_id)
    except (OSError, ValueError, VolrepError) as error:
        host.events.happened("srl_not_released", f"{path} cannot be wiped: {error}")


def _wipe(path: str, rvg_id: str) -> None:
    file = DiskFile.open(path, exclusive=True)
    try:
        try:
            owner = Srl.open(file).header.rvg_id
        except VolrepError as error:
            if error.message is not messages.SRL_HEADER_DAMAGED:
                raise
            return  # no header, nothing to wipe: another RVG can have it
        if owner != rvg_id:
            return
        file.write([bytes(min(HEADER_AREA_BYTES, file.size_bytes))], 0, durable=True)
    finally:
        file.close()
