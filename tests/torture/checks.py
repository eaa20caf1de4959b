"""What is found on a host: read from the volumes themselves, or from a copy that was recovered."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rounds import same_bytes
from tests.system.pair import Host, Rds, wait_for
from tests.torture.ledger import Found, Violation, read_stamps
from volrep.model.config import RvgConfig
from volrep.model.errors import VolrepError
from volrep.model.messages.log import SYNC_FAILED
from volrep.model.status import KState, LinkState, RvgState
from volrep.ports.disk import DiskFile
from volrep.rvg.opening import open_rvg

CONVERGE_S = 60.0
SYNC_S = 60.0


def found_on(host: Host) -> Found:
    """The numbers in all volumes of a host whose worker has nothing under way."""
    found: Found = {}
    for volume in host.volumes:
        found |= read_stamps(volume["index"], Path(volume["path"]).read_bytes())
    return found


@contextmanager
def frozen(host: Host) -> Iterator[None]:
    """The worker stands still, if it is alive."""
    alive = host.process is not None and host.process.poll() is None
    if alive:
        assert host.process is not None
        host.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: _stands_still(host), f"{host.name}'s worker to stand still")
    try:
        yield
    finally:
        if alive:
            assert host.process is not None
            host.process.send_signal(signal.SIGCONT)


def _stands_still(host: Host) -> bool:
    """Every thread has stopped: none is in a system call any more."""
    assert host.process is not None
    tasks = Path(f"/proc/{host.process.pid}/task").iterdir()
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


def recovered_copy(host: Host, copy: Path) -> Found | None:
    """Copy the files of a worker that stands still or is dead, recover the copy, and read it.

    None when it says itself that it is inconsistent: in the middle of a synchronization it is no image of any moment.
    """
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    config = RvgConfig.from_data(host.config())
    for named in [config.srl, *config.volumes]:
        source, named.path = named.path, str(copy / named.name)
        with Path(source).open("rb") as reading, Path(named.path).open("wb") as writing:
            shutil.copyfileobj(reading, writing, 4 << 20)
    config.accept = "volume_changed:" + ",".join(v.name for v in config.volumes)  # copies are other files
    try:
        opened = open_rvg(config, DiskFile.open)
    except VolrepError as error:
        raise Violation(f"a copy of {host.name} cannot be recovered: {error.id} {error.text}") from error
    found: Found = {}
    for volume in opened.volumes:
        assert volume is not None
        volume.file.close()
        found |= read_stamps(volume.index, (copy / volume.name).read_bytes())
    consistent = opened.srl.header.consistent
    opened.srl.close()
    shutil.rmtree(copy)
    return found if consistent else None


def start_well(host: Host) -> None:
    """Start the worker; it must recover. Raises Violation."""
    host.start()
    status = host.status()
    if (status.state, status.kstate) != (RvgState.ACTIVE, KState.ENABLED):
        raise Violation(f"{host.name} does not recover: {status.state}, {status.reason}")


def start_after_repair(host: Host) -> bool:
    """As `start_well`; but the kernel may still have to say that earlier writes failed: FAIL for that reason, once for
    each volume. It says so to the sync of what was replayed, which goes on behind the start.

    Whether it did.
    """
    late: list[str] = []
    while True:
        host.start()
        wait_for(lambda: host.status().state == RvgState.FAIL or _checkpointed(host), f"{host.name}'s first sync",
                 SYNC_S)
        status = host.status()
        if status.state == RvgState.ACTIVE:
            return bool(late)
        if not status.reason.startswith(SYNC_FAILED.id) or status.reason in late:
            raise Violation(f"{host.name} does not recover: {status.state}, {status.reason}, before: {late}")
        late.append(status.reason)
        host.kill()


def _checkpointed(host: Host) -> bool:
    """Whether everything that the start replayed is durable in the volumes."""
    recovered = host.status().recovered
    return recovered is not None and host.call("log.dump", {"limit": 0})["header"]["applied_lsn"] >= recovered.end_lsn


def await_fail(host: Host, deadline_s: float) -> str:
    """The reason once the RVG is in FAIL."""
    wait_for(lambda: host.status().state == RvgState.FAIL, f"{host.name} in FAIL", deadline_s)
    return host.status().reason


def synchronize_stale(rds: Rds) -> int:
    """What an operator does about links that were left behind because the SRL is small; how many there were."""
    stale = [link for link in rds.primary.status().links if link.state == LinkState.STALE]
    for link in stale:
        if link.reason != "the SRL overflowed":
            raise Violation(f"link {link.name} is STALE: {link.reason}")
        rds.primary.call("link.start", {"link_id": link.link_id, "method": "autosync"})
    return len(stale)


def converge(rds: Rds) -> None:
    """Everybody is up to date, and all volumes are equal byte by byte. Raises Violation."""
    synchronize_stale(rds)
    try:
        rds.wait_up_to_date(CONVERGE_S)
        for secondary in rds.secondaries:
            for mine, theirs in zip(rds.primary.volumes, secondary.volumes, strict=True):
                wait_for(lambda a=mine, b=theirs: same_bytes(Path(a["path"]), Path(b["path"])),  # type: ignore[misc]
                         f"{theirs['name']} on {secondary.name} equal to the Primary's")
    except AssertionError as error:
        raise Violation(f"both sides do not converge: {error}") from error
