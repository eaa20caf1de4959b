"""Two whole hosts with engines, a Replicated Data Set over them, its volumes attached on the Primary."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.rounds import same_bytes
from tests.system.hosts import Host, TestBed
from tests.system.rds import Rds
from tests.system.waiting import wait_for
from tests.torture.ground import MIB, Undo, make_file_system
from tests.torture.ledger import Violation
from volrep.engine.blockdev import DeviceBusy, attach_loop, detach_loop, mount_points
from volrep.engine.tools import run
from volrep.log.srl import Srl
from volrep.model.config import Role, RvgConfig, RvgVolume
from volrep.model.errors import VolrepError
from volrep.ports.disk import DiskFile
from volrep.rvg.opening import open_rvg

SRL_BYTES = 64 * MIB
GONE_S = 20.0
DEADLINE_S = 60.0


class HostStage:
    """Data volumes of `size_mib` each, attached as block devices; mounted at `mounts[name]` when `fs` is told."""

    def __init__(self, where: Path, rng: random.Random, *, volumes: tuple[str, ...], size_mib: int,
                 fs: str = "") -> None:
        self.rng, self.fs = rng, fs
        self.kills = 0
        self.writes = 0
        self.place = Path(tempfile.mkdtemp(prefix="vrt", dir=where))
        self.place.chmod(0o755)
        self.undo = Undo()
        self.undo.add(lambda: shutil.rmtree(self.place))
        self.synchronous = rng.choice(("off", "override"))
        self.text = f"{fs or 'raw devices'}, two hosts, synchronous={self.synchronous}"
        self.devices: dict[str, str] = {}
        self.mounts = {name: self.place / name for name in volumes}
        try:
            self.bed = TestBed()
            self.undo.add(self.bed.close)
            for name in ("london", "tokyo"):
                self.bed.add_host(name)
            self.bed.enter_in_inventory()
            self.rds = Rds(self.bed, ("london", "tokyo"), volumes=volumes)
            self.rds.create(f"{size_mib}m", f"{SRL_BYTES // MIB}m",
                            (f"synchronous={self.synchronous}", "sync_ack=data"))
            self.paths = {(v["host"], v["name"]): Path(v["path"]) for v in self.rds.show("volume", "list")["volumes"]}
            self.rds.start()
            self.rds.export()
            self.undo.add(self._let_go)
            self.attach()
            for name in volumes if fs else ():
                make_file_system(self.devices[name], fs)
            self.mount()
            self.rds.until_up_to_date()
        except BaseException:
            with suppress(Exception):
                self.undo.close()
            raise

    @property
    def primary(self) -> Host:
        return self.rds.primary

    @property
    def secondary(self) -> Host:
        return self.rds.secondaries[0]

    def attach(self) -> None:
        for name in self.mounts:  # refused while the RVG recovers
            wait_for(lambda name=name: self.bed.operator.volrep(  # type: ignore[misc]  # bound here
                "-g", self.rds.dg, "-H", self.primary.name, "attach", name, exit_code=None).returncode == 0,
                DEADLINE_S, f"{name} to be attached")
        self.devices = {e["volume"]: e["device"] for e in self.rds.show("exports")["exports"]
                        if e["host"] == self.primary.name}

    def mount(self) -> None:
        for name in self.mounts if self.fs else ():
            self.mounts[name].mkdir(exist_ok=True)
            run("mount", self.devices[name], str(self.mounts[name]))

    def _let_go(self) -> None:
        """Whoever had files open has been ended."""
        for device in self.devices.values():
            for point in mount_points(device):
                run("umount", point)
        for name in self.mounts:
            self.rds.volrep("-H", self.primary.name, "detach", name, exit_code=None)
        for device in self.devices.values():
            with suppress(DeviceBusy):  # taken by somebody else since it was given back
                if str(self.bed.folder) in _backing(device):
                    detach_loop(device, flush=False)  # only after a failed round

    # faults

    def kill_worker(self, host: Host) -> None:
        """And the engine starts it again."""
        wait_for(host.worker_pids, DEADLINE_S, f"a worker on {host.name}")
        self.kills += len(host.kill_workers())

    def kill_engine(self, host: Host) -> None:
        host.engine.kill()
        self.kills += 1
        if self.rng.random() < 0.5:
            self.kills += len(host.kill_workers())  # if there is one: with no engine, nobody starts it again
        host.engine.start()

    def kill_host(self, host: Host) -> None:
        """Every process of the host at once: sshd, engine, workers, helpers, applications."""
        left = host.node.pids()
        while left:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1
            wait_for(lambda pids=left: not any(is_alive(pid) for pid in pids),  # type: ignore[misc]  # bound here
                     GONE_S, f"the processes of {host.name} to be gone")
            left = [pid for pid in host.node.pids() if is_alive(pid)]
        host.engine.stop()
        host.stop_sshd()

    def return_host(self, host: Host) -> None:
        """As after its boot; on the Primary the devices are made again."""
        if host is self.primary:
            for device in self.devices.values():
                for point in mount_points(device):
                    run("umount", point)  # nothing can be written to it any more: its helper is gone
        host.start_sshd()
        host.engine.start()
        wait_for(host.worker_pids, DEADLINE_S, f"a worker on {host.name}")
        if host is self.primary:
            self.attach()
            self.mount()

    # what the Secondary has

    @contextmanager
    def secondary_copy(self) -> Iterator[dict[str, Path]]:
        """Its volumes as they are now, copied, recovered, and mounted read-write where nobody else looks."""
        copy = self.place / "copy"
        copy.mkdir()
        undo = Undo()
        undo.add(lambda: shutil.rmtree(copy))
        try:
            names = (self.rds.srl, *self.rds.volumes)
            paths = {name: self.paths["tokyo", name] for name in names}
            pids = self.secondary.worker_pids()
            try:
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                    wait_for(lambda pid=pid: _stands_still(pid), DEADLINE_S,  # type: ignore[misc]  # bound here
                             "the Secondary's worker to stand still")
                for name, path in paths.items():
                    subprocess.run(["cp", "--sparse=always", str(path), str(copy / name)], check=True)
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
            _recover(copy, self.rds.srl)
            points = {}
            for name in self.rds.volumes:
                device = attach_loop(copy / name)
                undo.add(lambda device=device: detach_loop(device))  # type: ignore[misc]  # bound here
                points[name] = copy / f"{name}.m"
                points[name].mkdir()
                if self.fs:
                    options = "nouuid" if self.fs == "xfs" else "defaults"
                    run("mount", "-o", options, device, str(points[name]))
                    undo.add(lambda point=points[name]: run("umount", str(point)))  # type: ignore[misc]  # bound here
            yield points
        finally:
            undo.close()

    def converge(self) -> None:
        """Nothing is written any more; both sides become equal byte by byte. Raises Violation."""
        if self.fs:
            for point in self.mounts.values():
                run("sync", "-f", str(point))
        try:
            self.rds.until_up_to_date()
            for name in self.rds.volumes:
                mine, theirs = self.paths["london", name], self.paths["tokyo", name]
                wait_for(lambda a=mine, b=theirs: same_bytes(a, b), DEADLINE_S,  # type: ignore[misc]  # bound here
                         f"{name} on tokyo to equal the Primary's")
        except AssertionError as error:
            raise Violation(f"both sides do not converge: {error}") from error

    def keep(self, evidence: Path) -> None:
        (evidence / "logs.txt").write_text(self.bed.logs())
        for host in (self.primary, self.secondary):
            kept = evidence / host.name
            kept.mkdir(exist_ok=True)
            for path in sorted((host.state_dir / "volumes").rglob("*")):
                if path.is_file():
                    subprocess.run(["cp", "--sparse=always", str(path), str(kept / path.name)], check=False)

    def close(self) -> None:
        self.undo.close()


def _backing(device: str) -> str:
    file = Path("/sys/block") / Path(device).name / "loop" / "backing_file"
    return file.read_text() if file.exists() else ""


def pause(rng: random.Random, least_s: float, most_s: float) -> None:
    threading.Event().wait(rng.uniform(least_s, most_s))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _stands_still(pid: int) -> bool:
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
               for task in Path(f"/proc/{pid}/task").iterdir())


def _recover(copy: Path, srl: str) -> None:
    """What a worker does at its start, with the files of `copy`. Raises Violation."""
    file = DiskFile.open(copy / srl)
    header = Srl.open(file).header
    file.close()
    volumes = [RvgVolume(index=v["index"], name=v["name"], path=str(copy / v["name"]), size_bytes=v["size_bytes"],
                         volume_id=v["volume_id"]) for v in header.volumes]
    config = RvgConfig(rds_id=header.rds_id, rvg_id=header.rvg_id, dg=header.dg, name=header.rvg, host=header.host,
                       role=Role(header.role), volumes=volumes, certificate_path="", private_key_path="",
                       accept="volume_changed:" + ",".join(v.name for v in volumes),  # copies are other files
                       srl=RvgVolume(index=-1, name=srl, path=str(copy / srl), volume_id="",
                                     size_bytes=(copy / srl).stat().st_size))
    try:
        opened = open_rvg(config, DiskFile.open)
    except VolrepError as error:
        raise Violation(f"a copy of the Secondary cannot be recovered: {error.id} {error.text}") from error
    for volume in opened.volumes:
        if volume is not None:
            volume.file.close()
    opened.srl.close()
