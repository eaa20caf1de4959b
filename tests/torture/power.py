"""Power loss: a pair runs with one side on a recorded disk; then that side starts from what any moment had left.

One load is recorded for a stage; every round starts a real worker on the disk after another moment of it.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.system.pair import Host, Rds, wait_for
from tests.torture import checks, faults
from tests.torture.ground import FILE_SYSTEMS, MIB, make_file
from tests.torture.ledger import Ledger, Place
from tests.torture.load_stamped import Writer
from tests.torture.recorded_disk import FLUSH, CrashedDisk, RecordedDisk, image_after
from tests.torture.scene import SRL_BYTES, VOLUME_BYTES, VOLUMES

DISK_BYTES = {"ext4": 96 * MIB, "xfs": 320 * MIB}
SYNCHRONOUS = {"synchronous": "override", "sync_ack": "data"}


class RecordedLedger(Ledger):
    """Remembers how much of the disk's record there was when a write was completed."""

    def __init__(self, position: Callable[[], int]) -> None:
        super().__init__()
        self._position = position
        self._completions: list[tuple[int, Place, int]] = []  # position, block, number

    def complete(self, number: int) -> None:
        place = self._in_flight[number]
        super().complete(number)
        self._completions.append((self._position(), place, number))

    def completed_by(self, position: int) -> dict[Place, int]:
        """By block: the newest number that was completed when so much was on record."""
        newest: dict[Place, int] = {}
        for at, place, number in self._completions:
            if at <= position:
                newest[place] = max(number, newest.get(place, 0))
        return newest


class PowerStage:
    """The Primary's SRL and volumes on the recorded disk, or the Secondary's, which then acknowledges from its disk."""

    def __init__(self, where: Path, rng: random.Random, *, program: Sequence[str] = (), loses: str = "") -> None:
        self.rng, self.kills, self.writes = rng, 0, 0
        fs, self.loses = rng.choice(FILE_SYSTEMS), loses or rng.choice(("london", "tokyo"))
        self.text = f"{fs}, power of the {'Primary' if self.loses == 'london' else 'Secondary'}"
        self.place = Path(tempfile.mkdtemp(prefix="vrt", dir=where))
        self._rds: Rds | None = None
        try:
            self._disk = RecordedDisk(self.place, fs, DISK_BYTES[fs])
            try:
                self._record_load(program)
            finally:
                if self._rds is not None:
                    for host in self._rds.hosts:
                        host.stop()
                self._entries = self._disk.stop()
        except BaseException:
            self.close()
            raise
        last = max(i for i, e in enumerate(self._entries) if e.end <= self._to)
        self._moments = [i for i in range(last) if self._entries[i].end > self._from] + [last]
        self._flushes = [i for i in self._moments if self._entries[i].flags & FLUSH] or [last]

    def _record_load(self, program: Sequence[str]) -> None:
        def file_of(host: str, name: str, size_bytes: int) -> Path:
            folder = self._disk.root if host == self.loses else self.place / "plain"
            return make_file(folder / f"{host}-{name}", size_bytes)

        self._rds = Rds(self.place / "w", volumes=[VOLUME_BYTES] * VOLUMES, srl_bytes=SRL_BYTES,
                        attributes=SYNCHRONOUS, file_of=file_of)
        for host in self._rds.hosts:
            host.program = list(program) or host.program
        self._rds.start()
        self._rds.startrep("blank")
        self._rds.wait_up_to_date()
        wait_for(lambda: self._primary.status().links[0].current_mode == "synchronous", "synchronous")
        self._from = self._disk.position()
        self.ledger = RecordedLedger(self._disk.position)
        uris = [self._primary.uri(i) for i in range(VOLUMES)]
        writer = Writer(uris, self.ledger, self.rng, depth=self.rng.choice((1, 4, 16)), blocks=VOLUME_BYTES // 4096)
        faults.pause(self.rng, 1.0, 3.0)
        self._to = self._disk.position()
        writer.stop()
        log = (self._primary.dir / "worker.log").read_bytes()
        assert b"repmode_async" not in log, "it was not synchronous all along"
        self.writes = self.ledger.completed

    @property
    def _primary(self) -> Host:
        assert self._rds is not None
        return self._rds.primary

    def lose_power(self) -> str:
        """At some moment, often right at a flush; the worker recovers, and nothing completed by then is missing."""
        assert self._rds is not None
        rng = self.rng
        moment = rng.choice(self._flushes) - rng.choice((0, 0, 1)) if rng.random() < 0.5 else rng.choice(self._moments)
        entries = self._entries[:moment + 1]
        image = self.place / "image"
        image_after(self._disk.record, entries, self._disk.size_bytes, image, rng)
        crashed = CrashedDisk(image, self._disk.root)
        host = next(h for h in self._rds.hosts if h.name == self.loses)
        try:
            checks.start_well(host)
            found = checks.found_on(host)
            host.kill()
            self.kills += 1
        finally:
            if host.process is not None and host.process.poll() is None:
                host.kill()
            crashed.close()
        completed = self.ledger.completed_by(entries[-1].end)
        self.ledger.check_has(found, completed, f"a write completed before the power loss at entry {moment} is lost")
        self.ledger.check_prefix(found)
        side = "Primary" if host is self._primary else "Secondary"
        return f"{side}: everything completed by then is there, in order"

    def keep(self, evidence: Path) -> None:
        for name in ("image", "record"):
            if (self.place / name).exists():
                shutil.copy(self.place / name, evidence)
        for host in self._rds.hosts if self._rds is not None else ():
            shutil.copy(host.dir / "worker.log", evidence / f"{host.name}.log")

    def close(self) -> None:
        if self._rds is not None:
            self._rds.close()
        shutil.rmtree(self.place)
