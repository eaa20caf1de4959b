"""The exports of an RVG's volumes: which listeners there are, opened and closed with the Primary role."""

from __future__ import annotations

from collections.abc import Sequence

from volrep.model.config import ExportConfig, RvgVolume
from volrep.model.status import VolumeStatus
from volrep.nbd.connection import Service
from volrep.nbd.exports import ExportInfo, ExportTable
from volrep.nbd.listener import Listen, Listener
from volrep.ports.reactor import Loop


class Exports:
    def __init__(self, loop: Loop, listen: Listen) -> None:
        self._loop = loop
        self._listen = listen
        self._listeners: dict[tuple[str, str], Listener] = {}

    def adopt(self, wanted_exports: Sequence[ExportConfig], volumes: Sequence[RvgVolume], service: Service) -> None:
        """Listen where `wanted_exports` say, and nowhere else. Raises VR-1600 to VR-1606."""
        wanted = {(e.volume, e.listen) for e in wanted_exports}
        for key in [k for k in self._listeners if k not in wanted]:
            self._listeners.pop(key).close()
        known = {v.name: v for v in volumes}
        for volume_name, where in sorted(wanted - set(self._listeners)):
            volume = known[volume_name]
            table = ExportTable([ExportInfo(name=volume.name, size_bytes=volume.size_bytes, volume_index=volume.index)])
            self._listeners[volume_name, where] = self._listen(where, self._loop, table, service)

    def close(self) -> None:
        """All of them, with their connections."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()

    @property
    def connections(self) -> int:
        return sum(len(listener.connections) for listener in self._listeners.values())

    def status(self, volume: RvgVolume, state: str) -> VolumeStatus:
        here = [found for (name, _), found in self._listeners.items() if name == volume.name]
        return VolumeStatus(index=volume.index, name=volume.name, size_bytes=volume.size_bytes, state=state,
                            exported=[f.uri(volume.name) for f in here],
                            open_connections=sum(len(f.connections) for f in here))
