"""Every recovery procedure of docs/recovery.md: the fault on real parts, the documented commands, and the end compared.

Faults are made while neither engine nor worker of the host runs, except where the fault is that a disk fails at work.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.rounds import same_bytes
from tests.system.engines import EngineProcess
from tests.system.injection import is_traced, strace
from tests.system.nbd_client import NbdClient
from tests.system.rotting import block_of, rot, rot_record
from tests.system.two_engines import DG, RVG, Pair
from tests.system.waiting import wait_for
from volrep.engine.api import EventsRequest
from volrep.log.ring import HEADER_AREA_BYTES
from volrep.rds import report

BLOCK = 4096
MIB = 1 << 20
DEADLINE_S = 30


class Site(Pair):
    """A pair that replicates synchronously, an application that counts what was completed, and ways to break things."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.completed: dict[int, int] = {}  # block of dv01 -> number
        self.number = 0
        self.began_ns = 0
        self.sound = False

    def set_up(self) -> None:
        self.start()
        self.volrep("-g", DG, "-H", "london", "createpri", RVG, "dv01,dv02", "srl")
        self.volrep("-g", DG, "addsec", RVG, "london", "tokyo", "synchronous=override")
        self.volrep("-g", DG, "-b", "startrep", RVG, "tokyo")
        self.volrep("-g", DG, "-H", "london", "export", "dv01")
        self.until_equal()

    # ---- the application

    def uri(self) -> str:
        return str(self.show("exports")["exports"][0]["uri"])

    def write(self, count: int, blocks: int = 64) -> None:
        """`count` completed writes, each with a number of its own."""
        client = NbdClient(self.uri())
        for _ in range(count):
            self.number += 1
            client.write(self.number % blocks * BLOCK, block_of(self.number))
            self.completed[self.number % blocks] = self.number
        client.close()

    def write_much(self, length: int) -> None:
        """So much log behind what was written before that it must have been appended later."""
        client = NbdClient(self.uri())
        for offset in range(0, length, MIB):
            client.write(MIB + offset % (8 * MIB), bytes([offset >> 20]) * MIB)
        client.close()

    def assert_nothing_lost(self, *, but: int = 0) -> None:
        """Every completed write is on london's volume, except the named one."""
        data = self.path("london", "dv01").read_bytes()
        for block, number in self.completed.items():
            found = data[block * BLOCK:(block + 1) * BLOCK]
            assert number == but or found == block_of(number), f"block {block}: write {number} is lost"

    # ---- what is there

    def path(self, host: str, volume: str) -> Path:
        volumes = self.show("volume", "list")["volumes"]
        return Path(next(v["path"] for v in volumes if (v["host"], v["name"]) == (host, volume)))

    def srl(self) -> str:
        """London's."""
        return str(self.status()["primary"]["srl"]["name"])

    def status(self) -> Any:
        """As `repstatus --json`, without a process for each look."""
        with self.fleet() as fleet:
            world = fleet.observe(events=True)
        return report.repstatus(world, world.rds(DG, RVG))

    def link(self) -> Any:
        (secondary,) = self.status()["secondaries"]
        return secondary

    def events(self) -> list[tuple[str, str]]:
        """(host, type) of what happened since the test began."""
        with self.fleet() as fleet:
            return [(host, event.type) for host in self.engines
                    for event in fleet.call(host, "events.list", EventsRequest(limit=10_000)).events
                    if event.time_ns > self.began_ns]

    def copied(self) -> bool:
        return ("london", "resync_started") in self.events()

    def damage(self, host: str) -> Any:
        status = self.status()
        return status["primary"]["damage"] if host == "london" else status["secondaries"][0]["damage"]

    def until_damaged(self, host: str, kind: str) -> Any:
        wait_for(lambda: self.damage(host), DEADLINE_S, f"{host} to be in FAIL")
        damage = self.damage(host)
        assert damage["kind"] == kind, damage
        shown = self.volrep("-g", DG, "repstatus", RVG)
        assert damage["safe"] in shown
        assert all(move in shown for move in damage["next"])
        return damage

    def until_link(self, state: str, flag: str = "") -> None:
        wait_for(lambda: self.link()["state"] == state, DEADLINE_S, f"the link to be {state}")
        assert flag in ("", *self.link()["flags"])

    def until_equal(self) -> None:
        def equal() -> bool:
            link = self.link()
            return (link["connected"] and link["data_status"] == "consistent, up-to-date" and all(
                same_bytes(self.path("london", v), self.path("tokyo", v)) for v in ("dv01", "dv02")))

        wait_for(equal, DEADLINE_S, "both hosts to be equal")

    def works_again(self, *, but: int = 0) -> None:
        """Replicating and byte-equal, nothing lost, and new writes arrive."""
        self.until_equal()
        self.assert_nothing_lost(but=but)
        self.write(64)
        self.until_equal()
        self.sound = True

    # ---- faults

    def kill(self, host: str) -> None:
        """Engine and worker of a host, as when the host dies; its disks stay."""
        with self.fleet() as fleet:
            pid = fleet.call(host, "rvg.list").rvgs[0].worker_pid
        self.engines[host].kill()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{pid}/exe").exists(), DEADLINE_S, "the worker to be gone")

    def start_engine(self, host: str) -> None:
        engine: EngineProcess = self.engines[host]
        engine.start("--listen", "127.0.0.1", "--port", self.ports[host])

    @contextmanager
    def broken(self, host: str, *volumes: str) -> Iterator[list[Path]]:
        """The host is down; what is done to the files of its volumes shows when it is up again."""
        paths = [self.path(host, volume) for volume in volumes]
        self.ports = {name: str(self.port(name)) for name in self.engines}
        self.kill(host)
        yield paths
        self.start_engine(host)

    def port(self, host: str) -> int:
        with self.fleet() as fleet:
            return int(fleet.call(host, "engine.status").port)


def until_rotten(site: Site, host: str, more: int) -> int:
    """The number of a write whose record is damaged; again when a checkpoint came in between, as one does every 5 s."""
    for _ in range(10):
        site.write(20)
        number = site.number
        site.write_much(more)
        with site.broken(host, site.srl() if host == "london" else "srl") as (srl,):
            rotten = rot_record(srl, number)
        if rotten:
            return number
        site.until_equal()
    raise AssertionError("a checkpoint came in between, ten times")


class House:
    """One pair for all tests of the module, as long as each leaves it sound; a fresh one after a failure."""

    def __init__(self) -> None:
        self.site: Site | None = None
        self.folder: tempfile.TemporaryDirectory[str] | None = None

    def fresh(self) -> Site:
        self.close()
        self.folder = tempfile.TemporaryDirectory(prefix="vr")  # sockets need a short path
        self.site = Site(Path(self.folder.name))
        self.site.set_up()
        return self.site

    def close(self) -> None:
        if self.site is not None and self.folder is not None:
            for engine in self.site.engines.values():
                engine.stop()
            self.folder.cleanup()


@pytest.fixture(scope="module")
def house() -> Generator[House]:
    with closing(House()) as made:
        yield made


@pytest.fixture
def site(house: House) -> Site:
    site = house.site if house.site is not None and house.site.sound else house.fresh()
    site.sound = False
    site.began_ns = time.time_ns()
    return site


# ---- Primary: data volume


@pytest.mark.skipif(shutil.which("strace") is None or os.geteuid() != 0, reason="strace, as root, makes calls fail")
def test_a_data_volume_of_the_primary_that_fails_for_a_while(site: Site) -> None:
    site.write(100)
    path = site.path("london", "dv01")
    with site.fleet() as fleet:
        pid = fleet.call("london", "rvg.list").rvgs[0].worker_pid
    tracer = subprocess.Popen([*strace(str(path), "pwritev2", "error=EIO"), "-p", str(pid)])
    try:
        wait_for(lambda: is_traced(pid), DEADLINE_S, "strace is attached")
        with pytest.raises(OSError, match="NBD error"):
            site.write(1000)
    finally:
        tracer.terminate()
        tracer.wait()
    site.until_damaged("london", "volume_io")
    site.volrep("-g", DG, "-H", "london", "recover", RVG)
    site.works_again()
    assert not site.copied()


def test_a_data_volume_of_the_primary_that_is_away_for_a_while(site: Site) -> None:
    site.write(100)
    with site.broken("london", "dv01") as (path,):
        path.rename(path.with_name("elsewhere"))
    site.until_damaged("london", "volume_missing")
    assert [v["state"] for h in site.show("-g", DG, "printvol")["rds"][0]["hosts"] if h["host"] == "london"
            for v in h["volumes"]] == ["FAIL", "DISABLED", "DISABLED"]
    assert "VR-1770" in site.volrep("-g", DG, "recover", RVG, exit_code=1)
    path.with_name("elsewhere").rename(path)
    site.volrep("-g", DG, "recover", RVG)
    site.works_again()
    assert not site.copied()


def test_a_data_volume_of_the_primary_that_is_lost(site: Site) -> None:
    """The best copy is the Secondary's: up to date, it has every completed write."""
    site.write(100)
    site.until_equal()
    copy = site.folder / "copy-of-tokyo"
    with site.broken("london", "dv01") as (path,):
        path.unlink()
    site.until_damaged("london", "volume_missing")
    shutil.copyfile(site.path("tokyo", "dv01"), copy)
    assert "VR-1030" in site.volrep("-g", DG, "-H", "london", "volume", "replace", "dv01", str(copy), exit_code=3)
    site.volrep("-g", DG, "-H", "london", "-s", "volume", "replace", "dv01", str(copy))
    site.until_link("STALE")
    site.volrep("-g", DG, "-a", "startrep", RVG, "tokyo")
    site.works_again()


def test_another_file_in_the_place_of_a_data_volume_of_the_primary(site: Site) -> None:
    """A copy, say onto a new disk: -f says that it is one."""
    site.write(100)
    with site.broken("london", "dv01") as (path,):
        shutil.copyfile(path, path.with_name("copy"))
        path.with_name("copy").rename(path)
    site.until_damaged("london", "volume_changed")
    site.volrep("-g", DG, "-f", "-s", "recover", RVG)
    site.until_link("STALE")
    site.volrep("-g", DG, "-a", "startrep", RVG, "tokyo")
    site.works_again()


# ---- Primary: SRL


def test_a_damaged_record_in_the_srl_of_the_primary(site: Site) -> None:
    damaged = until_rotten(site, "london", MIB)
    damage = site.until_damaged("london", "srl_data")
    (lost,) = damage["records"]
    assert (lost["volume"], lost["offset"], lost["length"]) == ("dv01", damaged % 64 * BLOCK, BLOCK)
    assert "VR-1770" in site.volrep("-g", DG, "recover", RVG, exit_code=1)
    assert "VR-1030" in site.volrep("-g", DG, "-f", "recover", RVG, exit_code=3)
    said = site.volrep("-g", DG, "-f", "-s", "recover", RVG)
    assert "1 damaged parts of the log given up" in said
    site.until_link("STALE")
    site.volrep("-g", DG, "-a", "-w", "startrep", RVG, "tokyo")
    for host in ("tokyo", "london"):  # both logs begin where the copy began, and nothing is in them yet
        site.volrep("-g", DG, "-s", "migrate", RVG, host)
        site.until_equal()
    site.works_again(but=damaged)


@pytest.mark.parametrize("broken", ["header", "lost", "foreign"])
def test_an_srl_of_the_primary_without_a_header(site: Site, broken: str) -> None:
    """London's volumes hold what was applied, and its kernel did not stop: nothing is lost."""
    site.write(100)
    site.until_equal()
    old, name = site.srl(), f"srl_{broken}"
    site.volrep("-g", DG, "-H", "london", "volume", "create", name, "64m")
    with site.broken("london", old) as (srl,):
        if broken == "header":
            rot(srl, 0, HEADER_AREA_BYTES)
        elif broken == "lost":
            srl.unlink()
        else:
            shutil.copyfile(site.path("tokyo", "srl"), srl)
    site.until_damaged("london", {"header": "srl_header", "lost": "srl_missing", "foreign": "srl_foreign"}[broken])
    assert "VR-1770" in site.volrep("-g", DG, "recover", RVG, exit_code=1)
    assert "VR-1350" in site.volrep("-g", DG, "-f", "-s", "recover", RVG, exit_code=3)
    name = old if broken == "header" else name
    assert "VR-1030" in site.volrep("-g", DG, "aslog", RVG, name, exit_code=3)
    said = site.volrep("-g", DG, "-H", "london", "-s", "aslog", RVG, name)
    assert f"copy again: volrep -g {DG} -a startrep {RVG} tokyo" in said
    site.volrep("-g", DG, "-a", "startrep", RVG, "tokyo")
    site.works_again()


def test_a_sound_srl_moves_to_another_volume_without_a_copy(site: Site) -> None:
    site.write(100)
    site.until_equal()
    old = site.srl()
    site.volrep("-g", DG, "-H", "london", "volume", "create", "larger", "96m")
    site.volrep("-g", DG, "-H", "london", "-s", "aslog", RVG, "larger")
    site.works_again()
    assert site.link()["state"] == "ACTIVE"
    assert not site.copied()
    uses = {v["name"]: v["use"] for v in site.show("volume", "list")["volumes"] if v["host"] == "london"}
    assert (uses[old], uses["larger"]) == ("free", "srl")


# ---- Secondary


def test_a_data_volume_of_the_secondary_that_is_lost(site: Site) -> None:
    site.write(50)
    with site.broken("tokyo", "dv02") as (path,):
        path.unlink()
    site.until_damaged("tokyo", "volume_missing")
    site.until_link("FAIL", "fail")
    assert "VR-1531" in site.link()["reason"]
    site.write(50)  # applications notice nothing
    site.volrep("-g", DG, "-s", "volume", "replace", "dv02")
    site.until_link("STALE")
    site.volrep("-g", DG, "-a", "startrep", RVG, "tokyo")
    site.works_again()


def test_a_data_volume_of_the_secondary_that_is_away_for_a_while(site: Site) -> None:
    site.write(50)
    with site.broken("tokyo", "dv02") as (path,):
        path.rename(path.with_name("elsewhere"))
    site.until_link("FAIL", "fail")
    site.write(50)
    path.with_name("elsewhere").rename(path)
    site.volrep("-g", DG, "recover", RVG)
    site.works_again()
    assert not site.copied()


def test_a_damaged_record_in_the_srl_of_the_secondary(site: Site) -> None:
    """It comes again from the Primary's log, without a copy; until then the Secondary is inconsistent."""
    until_rotten(site, "tokyo", 13 * MIB)
    site.until_damaged("tokyo", "srl_data")
    site.until_link("PAUSE", "secondary_log_err")
    site.write(50)
    site.volrep("-g", DG, "-f", "-s", "recover", RVG)
    assert "is not in FAIL" in site.volrep("-g", DG, "-f", "-s", "recover", RVG), "what was done is found done"
    site.works_again()
    assert not site.copied()
    assert ("tokyo", "resync_stopped") in site.events(), "it was inconsistent in between"


def test_an_srl_of_the_secondary_without_a_header(site: Site) -> None:
    site.write(50)
    with site.broken("tokyo", "srl") as (srl,):
        rot(srl, 0, HEADER_AREA_BYTES)
    site.until_damaged("tokyo", "srl_header")
    site.until_link("PAUSE", "secondary_log_err")
    site.write(50)
    site.volrep("-g", DG, "-s", "aslog", RVG, "srl")
    site.until_link("STALE")
    site.volrep("-g", DG, "-a", "startrep", RVG, "tokyo")
    site.works_again()


# ---- configuration


def test_volumes_that_do_not_match_at_attach() -> None:
    with tempfile.TemporaryDirectory(prefix="vr") as folder:
        pair = Pair(Path(folder))
        try:
            pair.start()
            pair.volrep("-g", DG, "-H", "london", "createpri", RVG, "dv01,dv02", "srl")
            before = pair.configuration()

            def refused(vr_id: str) -> None:
                assert vr_id in pair.volrep("-g", DG, "addsec", RVG, "london", "tokyo", exit_code=3)
                assert [row[1] for row in pair.configuration()] == [row[1] for row in before]

            pair.volrep("-g", DG, "-H", "tokyo", "-s", "volume", "destroy", "dv02")
            refused("VR-1310")  # missing, which a different name is too
            pair.volrep("-g", DG, "-H", "tokyo", "volume", "create", "dv02", "9m")
            refused("VR-1311")
            pair.volrep("-g", DG, "-H", "tokyo", "-s", "volume", "destroy", "dv02")
            pair.volrep("-g", DG, "-H", "tokyo", "volume", "create", "dv02", "8m")
            pair.volrep("-g", DG, "addsec", RVG, "london", "tokyo")
        finally:
            for engine in pair.engines.values():
                engine.stop()


def test_a_volume_of_the_secondary_that_changed_its_size(site: Site) -> None:
    site.write(50)
    with site.broken("tokyo", "dv02") as (path,):
        os.truncate(path, 9 * MIB)
    site.until_damaged("tokyo", "volume_size")
    site.until_link("PAUSE", "secondary_config_err")
    site.write(50)
    os.truncate(path, 8 * MIB)
    site.volrep("-g", DG, "recover", RVG)
    site.works_again()
