"""Rounds on a pair of workers: kills, failing system calls, short writes, failing files, full file systems.

A round returns what came of it in a few words, and raises Violation (or anything else) when a promise was broken.
"""

from __future__ import annotations

import errno
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tests.system.injection import injected, program_failing
from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, wait_for
from tests.torture import checks, faults
from tests.torture.ground import Ground
from tests.torture.ledger import BLOCK, Violation
from tests.torture.scene import Scene
from volrep.model.status import RvgState

FAIL_S = 12.0  # a checkpoint comes after 4 MiB of log, or 5 s


def kill_round(scene: Scene, meanwhile: AbstractContextManager[object] | None = None) -> str:
    """SIGKILL of the Primary's worker, the Secondary's, or both, under load; sometimes again while they recover.

    `meanwhile`: what else holds until everything that dies is dead.
    """
    rng = scene.rng
    victims = rng.choice(([scene.primary], [scene.secondary], [scene.primary, scene.secondary]))
    in_force = scene.in_force()
    with meanwhile or nullcontext():
        writer = scene.write()
        faults.pause(rng, 0.005, 0.3)
        for victim in rng.sample(victims, len(victims)):
            scene.kill(victim)
        if scene.primary not in victims:
            faults.pause(rng, 0.005, 0.1)
        error = writer.stop()
    if (error is None) != (scene.primary not in victims):
        raise Violation(f"the application saw {error!r} when {[v.name for v in victims]} were killed")
    scene.check_secondary(synchronous=in_force() and scene.secondary not in victims)
    for victim in victims:
        scene.restart(victim, disturbed=0.2)
    if scene.primary in victims:
        scene.check_primary()
    if rng.random() < 0.3:  # mostly the next round begins while the Secondary still catches up
        checks.converge(scene.rds)
    return "recovered: " + " and ".join("Primary" if v is scene.primary else "Secondary" for v in victims)


def slow_round(scene: Scene) -> str:
    """As `kill_round`, with a data volume on one host that takes long to become durable."""
    return kill_round(scene, faults.slow_syncs(scene.rng.choice(scene.rds.hosts)))


def sync_round(scene: Scene) -> str:
    """As `kill_round`, in the middle of a synchronization: a Secondary that calls itself consistent is a prefix."""
    scene.primary.call("link.stop", {"link_id": scene.primary.links[0]["link_id"]})
    scene.rds.startrep("autosync")
    said = kill_round(scene)
    if scene.rng.random() < 0.5:
        checks.converge(scene.rds)
    return said


def short_round(scene: Scene) -> str:
    """As `kill_round`, with reads and writes that the disk cuts short."""
    for host in scene.rds.hosts:
        if host.program != faults.SHORT_WRITES:
            host.program = list(faults.SHORT_WRITES)
            scene.kill(host)
            scene.restart(host)
    return kill_round(scene)


def _after_fail(scene: Scene, host: Host, *, refused: OSError | None) -> None:
    """The disk is well again, the RVG is still in FAIL: nothing is lied about. A restart brings everything back."""
    if host is scene.primary:
        if refused is None or refused.errno != errno.EIO:
            raise Violation(f"the Primary is in FAIL, and the application saw {refused!r}")
        client = NbdClient(host.uri())
        try:
            client.write(0, bytes(BLOCK))
            raise Violation("a write was completed by a Primary in FAIL")
        except OSError as error:
            if error.errno != errno.EIO:
                raise
        finally:
            client.close()
    scene.kill(host)
    scene.restart(host)
    if host is scene.primary:
        scene.check_primary()
    scene.check_secondary()
    checks.converge(scene.rds)


def call_round(scene: Scene) -> str:
    """A system call of a running worker fails, once or from then on: FAIL, and never a lie."""
    rng = scene.rng
    host, fault = rng.choice(scene.rds.hosts), rng.choice(faults.WHILE_RUNNING)
    role = "Primary" if host is scene.primary else "Secondary"
    log = scene.place / "strace.log"
    writer = scene.write(depth=16)
    with faults.inject(host, fault, rng, log) as hits:
        wait_for(lambda: hits() > 0 or writer.error is not None, f"{fault} to be met", FAIL_S)
        checks.await_fail(host, FAIL_S)
    refused = writer.stop()
    if host is not scene.primary and refused is not None:
        raise Violation(f"the Secondary is in FAIL, and the application saw {refused!r}")
    _after_fail(scene, host, refused=refused)
    return f"{role} {fault}: FAIL, recovered after restart"


def start_round(scene: Scene) -> str:
    """A system call fails while a killed worker recovers: it is in FAIL, and the next start finds everything.

    What cannot be read of the SRL at once is read again page by page: when that succeeds, nothing has happened.
    """
    rng = scene.rng
    host, fault = rng.choice(scene.rds.hosts), rng.choice(faults.WHILE_STARTING)
    writer = scene.write()
    faults.pause(rng, 0.02, 0.2)
    scene.kill(host)
    writer.stop()
    log, program = scene.place / "strace.log", host.program
    log.unlink(missing_ok=True)
    host.program = program_failing(program, host.path_of(fault.file), fault.call,
                                   f"error={fault.error}:when={rng.choice((1, 1, 2))}", log)
    try:
        host.start()
    finally:
        host.program = program

    read_again = fault.file == "srl" and fault.call == "preadv2"
    hits, failed = 0, False

    def told() -> bool:
        nonlocal hits, failed
        hits, failed = injected(log), host.status().state == RvgState.FAIL
        return (hits > 0) == failed or read_again

    try:
        wait_for(told, "a failed call to be told")  # what was replayed is synced behind the start
    except AssertionError as error:
        raise Violation(f"{host.name} started with {injected(log)} x {fault}: {host.status().reason}") from error
    scene.kill(host)
    scene.restart(host)
    if host is scene.primary:
        scene.check_primary()
    scene.check_secondary()
    checks.converge(scene.rds)
    if not hits:
        return f"{fault}: not met at this start"
    return f"{fault}: " + ("start refused, recovered by the next" if failed else "read again, nothing missing")


# failing files and full file systems

FAILING = ("london-srl", "london-dv00", "tokyo-srl", "tokyo-dv01")


def failing_file(ground: Ground, host: str, name: str, size_bytes: int) -> Path:
    """`scene.FileOf`: some files are served through an error layer."""
    make = ground.failing_file if f"{host}-{name}" in FAILING else ground.file
    return make(host, name, size_bytes)


def layer_round(scene: Scene) -> str:
    """The layer under one file fails writes with EIO."""
    key = scene.rng.choice(FAILING)
    host = scene.primary if key.startswith("london") else scene.secondary
    trigger = scene.ground.triggers[key]
    writer = scene.write(depth=16)
    faults.pause(scene.rng, 0.0, 0.3)
    trigger.touch()
    try:
        checks.await_fail(host, FAIL_S)
    finally:
        trigger.unlink()
    refused = writer.stop()
    if host is not scene.primary and refused is not None:
        raise Violation(f"the Secondary is in FAIL, and the application saw {refused!r}")
    _after_fail(scene, host, refused=refused)
    return f"{'Primary' if host is scene.primary else 'Secondary'} {key.partition('-')[2]}: FAIL, recovered"


def full_round(scene: Scene) -> str:
    """The file system under sparse data volumes is full: writes that need new blocks fail."""
    rng, ground = scene.rng, scene.ground
    scene.blocks = min(scene.blocks + 256, scene.primary.volumes[0]["size_bytes"] // BLOCK)  # blocks not there yet
    ground.fill()
    writer = scene.write(depth=16)
    try:
        wait_for(lambda: any(h.status().state == RvgState.FAIL for h in scene.rds.hosts), "FAIL", FAIL_S)
        faults.pause(rng, 0.0, 0.2)
    finally:
        ground.empty()
    failed = [h for h in scene.rds.hosts if h.status().state == RvgState.FAIL]
    refused = writer.stop()
    if (refused is None) != (scene.primary not in failed):
        raise Violation(f"{[h.name for h in failed]} in FAIL, and the application saw {refused!r}")
    for host in failed:
        scene.kill(host)
    late = [checks.start_after_repair(host) for host in failed]
    if scene.primary in failed:
        scene.check_primary()
    checks.converge(scene.rds)
    return (" and ".join("Primary" if h is scene.primary else "Secondary" for h in failed)
            + (": FAIL, late errors at the next start, recovered" if any(late) else ": FAIL, recovered"))

