"""What is left when a configuration is lost: its copy, living workers, SRL headers, volume files.

Knows where to look and how to read; changes nothing. Must not know what will be made of it: the operator's process
plans that (volrep.rds.plan_rebuild) with what the other hosts say.

Bounds: SEARCH_FILES_MAX files or devices are looked into, the first 128 KiB of each that begins like an SRL.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from volrep.engine.api import FoundCopy, FoundRvg
from volrep.engine.channel import ChannelClosed, WorkerChannel
from volrep.engine.paths import StateDir
from volrep.engine.seal import COPY_NAME, BadCopy, Copy, load_copy
from volrep.log.header import SrlHeader
from volrep.log.ring import SLOT_BYTES, SRL_MIN_BYTES
from volrep.log.srl import Srl
from volrep.model.config import RvgConfig, RvgVolume, VolumeConfig, VolumeKind
from volrep.model.errors import VolrepError
from volrep.model.shape import BadShape
from volrep.model.worker import Nothing, WorkerMethod
from volrep.ports.disk import DiskFile
from volrep.rvg import configured

SEARCH_FILES_MAX = 10_000
WORKER_DEADLINE_S = 5.0
_SLOT_MAGIC = b"VRH1"

log = logging.getLogger("volrep.engine")


@dataclass(frozen=True, slots=True)
class FoundSrl:
    """An SRL header and where it lies."""

    path: str
    size_bytes: int
    header: SrlHeader


def intact_copy(paths: StateDir) -> tuple[Copy | None, str]:
    """(the copy, "") or (None, why there is none)."""
    try:
        copy = load_copy(paths.root / COPY_NAME)
    except (BadCopy, OSError) as error:
        return None, f"{COPY_NAME}: {error}"
    return copy, "" if copy is not None else f"there is no {COPY_NAME}"


def copy_setting(copy: Copy | None, name: str) -> str:
    """A setting of the copy; "" when it has none."""
    return next((value for key, value in copy.tables["settings"] if key == name), "") if copy is not None else ""


async def living_workers(paths: StateDir) -> list[RvgConfig]:
    """As configured, keys included; a worker that has nothing to say is left alone."""
    found = []
    for path in sorted(paths.run.glob("w-*.sock")):
        try:
            channel = await WorkerChannel.connect(path, lambda _event: None)
        except OSError:  # nobody listens: only the name is left
            continue
        try:
            said = await asyncio.wait_for(channel.call(WorkerMethod.CONFIG, Nothing()), WORKER_DEADLINE_S)
            found.append(RvgConfig.from_data(said))
        except (ChannelClosed, TimeoutError, VolrepError, BadShape) as error:
            log.warning("the worker at %s does not say its configuration: %s", path, error)
        finally:
            channel.close()
    return found


async def find(paths: StateDir, name: str, search: list[str]) -> tuple[list[FoundRvg], list[VolumeConfig]]:
    """(RVGs, volume files that belong to none of them). Of two SRLs of one RVG the newer counts. Keys are included."""
    workers = {config.rvg_id: config for config in await living_workers(paths)}
    srls = await asyncio.to_thread(lambda: list(find_srls(paths, search)))
    newest: dict[str, FoundSrl] = {}
    for srl in srls:
        other = newest.get(srl.header.rvg_id)
        if other is None or _age(srl) > _age(other):
            newest[srl.header.rvg_id] = srl
    found = [_of_worker(config, newest.get(rvg_id)) for rvg_id, config in sorted(workers.items())]
    folders = [Path(given) for given in search if os.path.isdir(given)]
    found += [_of_header(paths, name, srl, folders) for rvg_id, srl in sorted(newest.items()) if rvg_id not in workers]
    used = {os.path.realpath(volume.path) for rvg in found for volume in (*rvg.config.volumes, rvg.config.srl)}
    used |= {os.path.realpath(srl.path) for srl in srls}
    return found, [volume for volume in _own_volumes(paths) if os.path.realpath(volume.path) not in used]


def _age(srl: FoundSrl) -> tuple[int, int, int]:
    return srl.header.generation, srl.header.incarnation, srl.header.durable_lsn


def _of_worker(config: RvgConfig, srl: FoundSrl | None) -> FoundRvg:
    """The header's role outweighs what the worker was told: it says what has happened."""
    if srl is not None and srl.header.role != config.role:
        config = config.changed(role=type(config.role)(srl.header.role))
    return FoundRvg(source="worker", config=config)


def _of_header(paths: StateDir, name: str, srl: FoundSrl, folders: list[Path]) -> FoundRvg:
    config = configured.rebuilt(srl.header, srl.path, srl.size_bytes, certificate_path=str(paths.certificate),
                                private_key_path=str(paths.private_key))
    places = [paths.volumes(config.dg), Path(srl.path).parent, *folders]
    volumes = [volume.changed(path=_place_of(volume, places)) for volume in config.volumes]
    missing = [volume.name for volume in volumes if not volume.path]
    problem = f"its SRL is of host {config.host}" if config.host != name else ""
    if missing and not problem:
        problem = f"no file or device of the right size was found for {', '.join(missing)}"
    return FoundRvg(source="header", config=config.changed(volumes=volumes), problem=problem)


def _place_of(volume: RvgVolume, places: list[Path]) -> str:
    """Where the header says, else by its name; "" when nothing of its size is there."""
    for path in (volume.path, *(str(place / volume.name) for place in places)):
        if path and _size(path) == volume.size_bytes:
            return path
    return ""


def _size(path: str) -> int:
    """-1 for what is no volume."""
    try:
        file = DiskFile.open(path, writable=False)
    except (OSError, ValueError):  # not there, or no file: then it is not the volume
        return -1
    try:
        return file.size_bytes
    finally:
        file.close()


def find_srls(paths: StateDir, search: list[str]) -> Iterator[FoundSrl]:
    """SRLs with an intact header, below `volumes/` and where the caller says. Read only: workers may hold them."""
    seen: set[str] = set()
    for candidate in _candidates([str(paths.root / "volumes"), *search]):
        real = os.path.realpath(candidate)
        if real in seen or len(seen) >= SEARCH_FILES_MAX:
            continue
        seen.add(real)
        try:
            file = DiskFile.open(real, writable=False)
        except (OSError, ValueError) as error:
            log.info("not looked into: %s: %s", real, error)
            continue
        try:
            if file.size_bytes >= SRL_MIN_BYTES and _begins_like_an_srl(file):
                yield FoundSrl(real, file.size_bytes, Srl.open(file).header)
        except (OSError, VolrepError) as error:
            log.warning("not usable as an SRL: %s: %s", real, error)
        finally:
            file.close()


def _begins_like_an_srl(file: DiskFile) -> bool:
    for offset in (0, SLOT_BYTES):
        magic = bytearray(len(_SLOT_MAGIC))
        if file.read_into([memoryview(magic)], offset) == len(magic) and bytes(magic) == _SLOT_MAGIC:
            return True
    return False


def _candidates(places: list[str]) -> Iterator[str]:
    """Files and devices themselves; of directories what lies in them and in their directories."""
    for place in places:
        if not os.path.isdir(place):
            yield place
            continue
        for folder in (place, *sorted(entry.path for entry in os.scandir(place) if entry.is_dir())):
            yield from sorted(entry.path for entry in os.scandir(folder) if not entry.is_dir())


def volume_of(paths: StateDir, dg: str, volume: RvgVolume) -> VolumeConfig:
    """As it is configured: a file of `volumes/` was made by the engine. Raises OSError."""
    is_block = stat.S_ISBLK(os.stat(volume.path).st_mode)
    ours = Path(os.path.realpath(volume.path)).is_relative_to(os.path.realpath(paths.root / "volumes"))
    return VolumeConfig(dg=dg, name=volume.name, path=volume.path, size_bytes=volume.size_bytes,
                        kind=VolumeKind.BLOCK if is_block else VolumeKind.FILE, volume_id=volume.volume_id,
                        created_by_us=ours and not is_block)


def _own_volumes(paths: StateDir) -> Iterator[VolumeConfig]:
    """Files of `volumes/DG/`. Their identity is lost with the configuration; nothing depends on it outside of RVGs."""
    for path in sorted((paths.root / "volumes").glob("*/*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            yield VolumeConfig(dg=path.parent.name, name=path.name, path=str(path), size_bytes=path.stat().st_size,
                               kind=VolumeKind.FILE, volume_id="", created_by_us=True)


def blank_keys(rvg: FoundRvg) -> FoundRvg:
    """As it may be told."""
    links = [link.changed(key="") for link in rvg.config.links]
    return rvg.changed(config=rvg.config.changed(links=links))


def described_copy(copy: Copy | None) -> FoundCopy | None:
    if copy is None:
        return None
    tables = copy.tables
    return FoundCopy(changes=copy.changes, written_ns=copy.written_ns,
                     rvgs=[f"{dg}/{name}" for dg, name, _ in tables["rvgs"]], volumes=len(tables["volumes"]),
                     links=len(tables["links"]), exports=len(tables["exports"]))
