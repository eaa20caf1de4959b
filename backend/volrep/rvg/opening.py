"""From closed files to a journal that may be written: checks, recovery, replay. Blocking; runs in a thread.

Recovery is the same in both roles: replay what the log has beyond the volumes' last checkpoint, raise the incarnation.
Nothing is written before all of the log that was durable has been found intact. What was replayed is made durable by
the journal's first checkpoint, as everything that is applied later: until then the header's `applied_lsn` stays, and
the next recovery replays it again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from volrep.log.header import SrlHeader
from volrep.log.record import Record
from volrep.log.recovery import ScanEnd
from volrep.log.srl import Srl
from volrep.log.verdict import Gap
from volrep.model.config import Role, RvgConfig, RvgVolume
from volrep.model.damage import DamageKind
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.model.units import FIRST_LSN, Reign
from volrep.ports.files import BlockFile, Folder, OpenFile
from volrep.rvg.repair import replay
from volrep.volume.data import DataVolume, apply_records

logger = logging.getLogger("volrep.rvg")

DISTRUST_MAX_CHARS = 1000  # of a header slot's 64 KiB


@dataclass(slots=True)
class Opened:
    """What recovery found. `given_up`: the damaged parts of the log that the operator has agreed to lose."""

    srl: Srl
    volumes: list[DataVolume | None]
    end: ScanEnd
    was_clean: bool
    given_up: list[Gap]


def create_srl(config: RvgConfig, open_file: OpenFile, reign_id: str) -> None:
    """Make a fresh SRL for this RVG on its volume; a Primary's begins a reign. Raises VolrepError."""
    primary = config.role == Role.PRIMARY
    file = _open(config.srl, open_file)
    try:
        Srl.create(file, SrlHeader(
            rds_id=config.rds_id, rvg_id=config.rvg_id, dg=config.dg, rvg=config.name, host=config.host,
            role=config.role.value, generation=1, capacity_bytes=0, consistent=primary,
            history=[Reign(1, FIRST_LSN, reign_id if primary else "")],
            volumes=[_said(v) for v in config.volumes]))
    finally:
        file.close()


def has_srl(config: RvgConfig, open_file: OpenFile) -> bool:
    """Whether the SRL volume carries an intact SRL header. Raises VR-1503 when it is another RVG's."""
    file = _open(config.srl, open_file)
    try:
        found = Srl.open(file).header
    except VolrepError as error:
        if error.message is messages.SRL_HEADER_DAMAGED:
            return False
        raise
    finally:
        file.close()
    check_owner(found, config)
    return True


def check_owner(found: SrlHeader, config: RvgConfig) -> None:
    """Raises VR-1503: the records of another RVG must never reach these volumes."""
    if found.rvg_id != config.rvg_id:
        raise VolrepError(messages.SRL_FOREIGN, path=config.srl.path, found=f"{found.dg}/{found.rvg} ({found.rvg_id})",
                          wanted=f"{config.dg}/{config.name} ({config.rvg_id})")


def ensure_srl(config: RvgConfig, open_file: OpenFile, folder: Folder, reign_id: str) -> None:
    """Create the SRL on the RVG's first start; a marker in the worker's folder tells later starts that it was there.

    A header that has gone bad afterwards is damage, never a reason to create: the log may hold acknowledged writes.
    """
    marker = f"made/{config.rvg_id}"
    try:
        folder.read(marker)
    except FileNotFoundError:
        if not has_srl(config, open_file):
            create_srl(config, open_file, reign_id)
    folder.save(marker, config.rvg_id.encode())


def open_rvg(config: RvgConfig, open_file: OpenFile) -> Opened:
    """Open, check and recover. Raises VolrepError; then nothing was changed unless it says so."""
    srl_file = _open(config.srl, open_file)
    opened: list[DataVolume | None] = []
    try:
        srl = Srl.open(srl_file)
        check_owner(srl.header, config)
        for volume in sorted(config.volumes, key=lambda v: v.index):
            opened += [None] * (volume.index - len(opened))
            file = _open(volume, open_file)
            opened.append(DataVolume(volume.name, volume.index, volume.volume_id, file))
        return _recover(srl, opened, config)
    except BaseException:
        for found in opened:
            if found is not None:
                found.file.close()
        srl_file.close()
        raise


def _recover(srl: Srl, volumes: list[DataVolume | None], config: RvgConfig) -> Opened:
    header = srl.header
    was_clean = header.clean
    replaced = _replaced(header, volumes)
    changed = _changed(header, volumes, config.accept)
    kept = [None if volume is not None and volume.name in replaced else volume for volume in volumes]

    def on_batch(view: memoryview, records: list[Record]) -> None:
        apply_records(kept, view, records)  # what another volume has taken the place of keeps what is on it

    end, given_up = replay(srl, on_batch, config.accept)
    srl.resume_at(end.end_lsn)
    if replaced or changed or given_up:  # the log before this moment must never be replayed again
        for volume in volumes:
            if volume is not None:
                volume.sync()
        header.applied_lsn = end.end_lsn
    else:
        srl.end_here()
    header.durable_lsn = end.end_lsn
    if header.role == Role.PRIMARY:
        header.incarnation = max(header.incarnation, end.incarnation) + 1
    header.clean = False
    reasons = [f"volume {name} was replaced" for name in replaced]
    reasons += [f"volume {name} was changed while no worker had it ({how})" for name, how in changed.items()]
    header.distrust = "; ".join([*filter(None, [header.distrust]), *reasons])[:DISTRUST_MAX_CHARS]
    header.volumes = [_said(v) for v in sorted(config.volumes, key=lambda v: v.index)]
    for said in header.volumes:
        volume = volumes[said["index"]]
        assert volume is not None
        said["stamp"] = volume.stamp()
    srl.write_header()
    logger.info("recovered: %d records replayed up to LSN %d (%s), incarnation %d", end.records, end.end_lsn,
                end.reason, header.incarnation)
    return Opened(srl, volumes, end, was_clean, given_up)


def _replaced(header: SrlHeader, volumes: list[DataVolume | None]) -> set[str]:
    """Volumes that the operator has given another file or device (`volume replace`): the log does not concern it."""
    known = {said["index"]: said["volume_id"] for said in header.volumes}
    return {volume.name for volume in volumes
            if volume is not None and known.get(volume.index, volume.volume_id) != volume.volume_id}


def _changed(header: SrlHeader, volumes: list[DataVolume | None], accept: str) -> dict[str, str]:
    """Volumes that somebody else touched, and how.

    Raises VR-1532 for files that are not the volumes, before anything is written to them. With `accept` they are: the
    operator has moved or copied the volumes.
    """
    known = {volume.volume_id: volume for volume in volumes if volume is not None}
    stamped = [(known[said["volume_id"]], said["stamp"]) for said in header.volumes
               if said.get("stamp") and said["volume_id"] in known]
    others = [volume for volume, stamp in stamped if volume.is_another(stamp)]
    names = ",".join(volume.name for volume in others)
    if others and accept != f"{DamageKind.VOLUME_CHANGED}:{names}":
        raise VolrepError(messages.VOLUME_SWAPPED, name=names, path=others[0].file.path)
    found = {volume.name: volume.changed_behind(stamp, clean=header.clean) for volume, stamp in stamped}
    return {name: how for name, how in found.items() if how}


def _open(volume: RvgVolume, open_file: OpenFile) -> BlockFile:
    """Raises VR-1520, VR-1521, VR-1531 for a data volume; VR-1520, VR-1530, VR-1533 for the SRL."""
    is_srl = volume.index < 0
    try:
        file = open_file(volume.path, exclusive=True)
    except BlockingIOError as error:
        raise VolrepError(messages.VOLUME_BUSY, name=volume.name, path=volume.path) from error
    except (OSError, ValueError) as error:
        raise VolrepError(messages.SRL_ABSENT if is_srl else messages.VOLUME_ABSENT, name=volume.name,
                          path=volume.path, reason=getattr(error, "strerror", None) or error) from error
    if file.size_bytes != volume.size_bytes:
        found = file.size_bytes
        file.close()
        raise VolrepError(messages.SRL_RESIZED if is_srl else messages.VOLUME_RESIZED, name=volume.name,
                          path=volume.path, found_bytes=found, wanted_bytes=volume.size_bytes)
    return file


def _said(volume: RvgVolume) -> dict[str, Any]:
    return {"index": volume.index, "name": volume.name, "size_bytes": volume.size_bytes,
            "volume_id": volume.volume_id, "stamp": {}}
