"""A pair of workers on some ground, with the history of what was written to it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.pair import Host, Rds
from tests.torture import checks, faults
from tests.torture.ground import FILE_SYSTEMS, MIB, Ground
from tests.torture.ledger import BLOCK, Ledger, Violation
from tests.torture.load_stamped import Writer

SRL_BYTES = 17 * MIB  # the smallest: it wraps every few seconds, a checkpoint comes every 4 MiB
VOLUME_BYTES = MIB
VOLUMES = 2
EVIDENCE_MAX_BYTES = 1 << 30
LINKS: tuple[dict[str, str], ...] = (
    {}, {"encryption": "off"}, {"synchronous": "override"}, {"synchronous": "override", "sync_ack": "data"},
    {"synchronous": "override", "sync_ack": "data", "encryption": "off"},
)
BACKINGS = ("files", "devices", "SRL on a device", "volumes on devices")

FileOf = Callable[[Ground, str, str, int], Path]  # (ground, host, name, size)


def backed(backing: str) -> FileOf:
    """Files, or loop devices on files of the same file system."""

    def make(ground: Ground, host: str, name: str, size_bytes: int) -> Path:
        on_device = (backing == "devices" or (backing == "SRL on a device" and name == "srl")
                     or (backing == "volumes on devices" and name != "srl"))
        return (ground.device if on_device else ground.file)(host, name, size_bytes)

    return make


@dataclass
class Scene:
    """Made once for some rounds; `close` leaves nothing behind."""

    place: Path
    ground: Ground
    rds: Rds
    rng: random.Random
    text: str  # on what it stands, for the report
    attributes: dict[str, str]
    blocks: int
    ledger: Ledger = field(default_factory=Ledger)
    kills: int = 0

    @property
    def primary(self) -> Host:
        return self.rds.primary

    @property
    def secondary(self) -> Host:
        return self.rds.secondaries[0]

    def write(self, depth: int | None = None) -> Writer:
        """An application on all volumes of the Primary."""
        uris = [self.primary.uri(i) for i in range(VOLUMES)]
        return Writer(uris, self.ledger, self.rng, depth=depth or self.rng.choice((1, 4, 16)), blocks=self.blocks)

    def in_force(self) -> Callable[[], bool]:
        """Whether every write from now on waits for the Secondary's disk; ask the result at the end."""
        log = self.primary.dir / "worker.log"
        link = self.primary.status().links[0]
        begun = link.current_mode == "synchronous" and self.attributes.get("sync_ack") == "data"
        seen_bytes = log.stat().st_size
        return lambda: begun and b"repmode_async" not in log.read_bytes()[seen_bytes:]

    def kill(self, host: Host) -> None:
        host.kill()
        self.kills += 1

    def restart(self, host: Host, *, disturbed: float = 0.0) -> None:
        """Start a killed worker; with this probability it is killed while it starts, again and again."""
        while self.rng.random() < disturbed:
            faults.kill_while_starting(host, self.rng)
            self.kills += 1
        checks.start_well(host)

    def check_primary(self) -> None:
        """The Primary has just recovered: every completed write is there, whole."""
        found = checks.found_on(self.primary)
        self.ledger.check_primary(found)
        self.ledger.settle(found)

    def check_secondary(self, *, synchronous: bool = False) -> None:
        """The Secondary as it is now, recovered in a copy, is a prefix of the order over all volumes."""
        with checks.frozen(self.secondary):
            found = checks.recovered_copy(self.secondary, self.place / "copy")
        if found is not None:
            self.ledger.check_prefix(found, synchronous=synchronous)
        elif synchronous:
            raise Violation("the Secondary is inconsistent, although writes were completed with its acknowledgement")

    @property
    def writes(self) -> int:
        """Completed so far."""
        return self.ledger.completed

    def end_all(self) -> None:
        for host in self.rds.hosts:
            host.close()

    def keep(self, evidence: Path) -> None:
        """Everything needed to see what happened: files, logs, history. Workers are ended first."""
        self.end_all()
        evidence.mkdir(parents=True, exist_ok=True)
        (evidence / "ledger.json").write_text(json.dumps(self.ledger.as_json(), indent=1))
        for host in self.rds.hosts:
            kept = evidence / host.name
            kept.mkdir()
            (kept / "config.json").write_text(json.dumps(host.config(), indent=1))
            shutil.copy(host.dir / "worker.log", kept)
            for volume in (host.srl, *host.volumes):
                if volume["size_bytes"] <= EVIDENCE_MAX_BYTES:
                    subprocess.run(["dd", f"if={volume['path']}", f"of={kept / volume['name']}", "bs=1M",
                                    "conv=sparse", "status=none"], check=False)

    def close(self) -> None:
        try:
            self.rds.close()
        finally:
            try:
                self.ground.close()
            finally:
                shutil.rmtree(self.place)


def make_scene(where: Path, rng: random.Random, *, fs: str = "", file_of: FileOf | None = None,
               volume_bytes: int = VOLUME_BYTES, attributes: dict[str, str] | None = None) -> Scene:
    """A pair that is up to date, on a ground that `rng` chooses unless told."""
    fs = fs or rng.choice(FILE_SYSTEMS)
    backing = rng.choice(BACKINGS)
    attributes = rng.choice(LINKS) if attributes is None else attributes
    place = Path(tempfile.mkdtemp(prefix="vrt", dir=where))
    try:
        made = Ground(place, fs)
    except BaseException:
        shutil.rmtree(place)
        raise
    make = file_of or backed(backing)
    try:
        rds = Rds(made.root / "w", volumes=[volume_bytes] * VOLUMES, srl_bytes=SRL_BYTES, attributes=attributes,
                  file_of=lambda host, name, size: make(made, host, name, size))
    except BaseException:
        made.close()
        shutil.rmtree(place)
        raise
    said = " ".join(f"{k}={v}" for k, v in attributes.items()) or "asynchronous"
    scene = Scene(place, made, rds, rng, f"{fs}, {backing if file_of is None else 'special files'}, {said}", attributes,
                  min(volume_bytes // BLOCK, VOLUME_BYTES // BLOCK))
    try:
        rds.start()
        rds.startrep("blank")
        rds.wait_up_to_date()
    except BaseException:
        scene.close()
        raise
    return scene
