"""The main job as an operator does it: three hosts, everything from the console alone, while applications write.

The applications write through attached block devices, whose I/O waits while a worker is away, as a database would.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.system.hosts import Host, TestBed
from tests.system.rds import Rds
from tests.system.smit import SLOW_S, done, form, go_to, pick_both_volumes, run
from tests.system.terminal import Terminal
from tests.system.waiting import wait_for

NAMES = ("london", "tokyo", "paris")
VOLUMES = ("hr_dv01", "hr_dv02")
SIZE_MIB = 48
FIO_TIMEOUT_S = 240


def fio(target: str | Path, *extra: str, seed: int = 1) -> list[str]:
    """Every block of the target once, in random order at depth 32, with a checksum in each."""
    return ["fio", "--name=load", f"--filename={target}", "--ioengine=libaio", "--bs=4k", f"--size={SIZE_MIB}m",
            "--iodepth=32", "--rw=randwrite", f"--randseed={seed}", "--verify=crc32c", "--verify_fatal=1",
            "--verify_state_save=0", "--allow_file_create=0", "--eta=never", *extra]


class Writers:
    """One fio for each device of the Primary."""

    def __init__(self, bed: TestBed, host: Host, devices: list[str], seed: int, rate_per_s: int) -> None:
        self.host, self.devices, self.seed = host, devices, seed
        self._logs = [bed.folder / f"fio-{seed}-{number}.log" for number in range(len(devices))]
        self._running = [host.popen(fio(device, "--direct=1", "--do_verify=0", f"--rate_iops={rate_per_s}", seed=seed),
                                    log)
                         for device, log in zip(devices, self._logs, strict=True)]

    def running(self) -> bool:
        return all(process.poll() is None for process in self._running)

    def finish(self) -> None:
        """No write failed."""
        for process, log in zip(self._running, self._logs, strict=True):
            assert process.wait(FIO_TIMEOUT_S) == 0, log.read_text(errors="replace")[-3000:]

    def verify(self, targets: list[str] | list[Path]) -> None:
        """Every completed write is in the targets."""
        for target in targets:
            self.host.run(fio(target, "--verify_only=1", seed=self.seed), FIO_TIMEOUT_S)


def killed(host: Host) -> None:
    """Each worker of the host dies by SIGKILL, and its engine starts another one."""
    before = host.kill_workers()
    assert before != []
    wait_for(lambda: host.worker_pids() and not set(host.worker_pids()) & set(before), SLOW_S,
             f"a new worker on {host.name}")


def set_up(screen: Terminal, bed: TestBed) -> None:
    """From nothing to an RVG with two Secondaries, not started yet."""
    go_to(screen, "host_add")
    for name in NAMES:
        form(screen, name, name, bed.hosts[name].address)
        screen.until(f"volrep host add {name} ssh={name} address=")
        done(screen)
    go_to(screen, "volume_create")
    for name in NAMES:
        for volume, size in (*((v, f"{SIZE_MIB}m") for v in VOLUMES), ("hr_srl", "128m")):
            form(screen, name, "hrdg", volume, size)
            screen.until(f"volrep -H {name} -g hrdg volume create {volume} {size}")
            done(screen)
    go_to(screen, "createpri")
    form(screen, "london", "hrdg", "hr_rvg")
    pick_both_volumes(screen)
    screen.text("hr_srl")
    screen.until("volrep -H london -g hrdg createpri hr_rvg hr_dv01,hr_dv02 hr_srl")
    done(screen)
    go_to(screen, "addsec")
    for name in NAMES[1:]:
        form(screen, "hrdg", "hr_rvg", "london", name)
        screen.until(f"volrep -g hrdg addsec hr_rvg london {name}")
        done(screen)


def attach(screen: Terminal) -> list[str]:
    """Both volumes of the Primary; their devices as COMMAND STATUS shows them."""
    devices = []
    go_to(screen, "attach")
    for volume in VOLUMES:
        form(screen, "london", "hrdg", volume)
        screen.until(f"volrep -H london -g hrdg attach {volume}")
        shown = run(screen)
        devices += [word for word in shown.split() if word.startswith("/dev/")]
        screen.keys("F3")
        screen.until("Entry Fields")
    return devices


def start(screen: Terminal) -> None:
    go_to(screen, "startrep")
    for name in NAMES[1:]:
        form(screen, "hrdg", "hr_rvg", name)
        screen.until(f"volrep -g hrdg -a startrep hr_rvg {name}")
        done(screen)


def detach(screen: Terminal) -> None:
    for volume in VOLUMES:
        go_to(screen, "detach")
        form(screen, "london", "hrdg", volume)
        screen.until(f"volrep -H london -g hrdg -s detach {volume}")
        screen.keys("Enter")
        screen.until("ARE YOU SURE")
        screen.keys("Tab", "Enter")
        screen.until("^ Command: OK", SLOW_S)
        screen.keys("F3")  # there is nothing left to do in the form: back to the menu
        screen.until("Move cursor to desired item")


def until_up_to_date(screen: Terminal) -> None:
    """What the live overview says; two Secondaries, so twice."""
    go_to(screen, "overview")
    screen.until(r"(?s)consistent, up-to-date.*consistent, up-to-date", 120)


def accidents(bed: TestBed) -> list[Callable[[], None]]:
    """Both links cut and restored twice; each worker and each engine killed once, in between."""
    london, tokyo, paris = (bed.hosts[name] for name in NAMES)

    def cut(name: str) -> Callable[[], None]:
        def done() -> None:
            bed.cut_link("london", name)
            wait_for(lambda: "disconnected" in str(bed.operator.show("-g", "hrdg", "repstatus", "hr_rvg")), SLOW_S,
                     f"the link to {name} to be missed")
            bed.restore_link("london", name)
        return done

    def engine(host: Host) -> Callable[[], None]:
        def done() -> None:
            host.engine.kill()
            host.engine.start()
        return done

    return [cut("tokyo"), lambda: killed(tokyo), engine(tokyo), cut("paris"), lambda: killed(london), engine(london),
            cut("tokyo"), lambda: killed(paris), engine(paris), cut("paris")]


def test_three_hosts_by_the_console_alone_with_every_process_killed_once(bed: TestBed) -> None:
    for name in NAMES:
        bed.add_host(name)
    london = bed.hosts["london"]
    with Terminal(bed.operator, bed.folder, ["volrep", "console"], columns=110, lines=32) as screen:
        screen.until("Volume Replication")
        set_up(screen, bed)
        devices = attach(screen)
        assert len(devices) == len(VOLUMES)

        first = Writers(bed, london, devices, seed=1, rate_per_s=600)
        start(screen)  # autosync, while fio writes
        assert first.running()
        until_up_to_date(screen)
        first.finish()

        second = Writers(bed, london, devices, seed=2, rate_per_s=300)
        for accident in accidents(bed):
            assert second.running(), "the load ended before all accidents had happened"
            accident()
        second.finish()
        until_up_to_date(screen)
        second.verify(devices)
        detach(screen)
        screen.keys("F10")

    rds = Rds(bed, NAMES)
    rds.until_up_to_date()
    rds.assert_equal()
    for host in bed.hosts.values():
        second.verify([rds.path(host, volume) for volume in VOLUMES])


def test_file_systems_made_on_an_attached_volume_are_whole_on_the_secondary(pair: TestBed) -> None:
    """ext4 and xfs: files written and synced here pass fsck and are the same there."""
    rds = Rds(pair, ("london", "tokyo"))
    rds.create(size="400m")  # xfs wants 300 MiB
    rds.start()
    rds.until_up_to_date()
    london = rds.primary
    mounts = {}
    for volume, make in zip(rds.volumes, (("mkfs.ext4", "-q"), ("mkfs.xfs", "-q", "-f")), strict=True):
        device = rds.show("-H", "london", "attach", volume)["device"]
        london.run([*make, device])
        rds.volrep("-H", "london", "detach", volume)
        mounts[volume] = pair.folder / volume
        mounts[volume].mkdir()
        rds.volrep("-H", "london", "attach", volume, f"mount={mounts[volume]}")
    digests = {volume: fill(mount) for volume, mount in mounts.items()}
    killed(london)
    for volume, mount in mounts.items():
        digests[volume] |= fill(mount, "more")
    os.sync()
    rds.until_up_to_date()
    for volume, check in zip(rds.volumes, (("e2fsck", "-fn"), ("xfs_repair", "-n")), strict=True):
        image = pair.folder / f"{volume}.image"
        image.write_bytes(rds.path(rds.secondaries[0], volume).read_bytes())
        there = pair.folder / f"{volume}.there"
        there.mkdir()
        # Mounted there, the journal is replayed, as after a take over; then the check must find nothing.
        subprocess.run(["mount", "-o", "loop,nouuid" if "xfs" in check[0] else "loop", str(image), str(there)],
                       check=True, timeout=60)
        try:
            assert tree(there) == digests[volume]
        finally:
            subprocess.run(["umount", str(there)], check=True, timeout=60)
        subprocess.run([*check, str(image)], check=True, timeout=120, stdout=subprocess.DEVNULL)
        rds.volrep("-H", "london", "detach", volume)


def fill(mount: Path, name: str = "files") -> dict[str, bytes]:
    """Files of many sizes, synced; their contents by name."""
    made = {}
    folder = mount / name
    folder.mkdir()
    for number in range(60):
        path = folder / f"f{number}"
        data = os.urandom(1 << (number % 18))
        path.write_bytes(data)
        made[str(path.relative_to(mount))] = data
    return made


def tree(mount: Path) -> dict[str, bytes]:
    return {str(path.relative_to(mount)): path.read_bytes() for path in sorted(mount.rglob("*")) if path.is_file()}
