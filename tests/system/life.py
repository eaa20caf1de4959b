"""The life of a data set verb by verb, on two real engines of this machine, with a SIGKILL in the middle of any verb.

A life is run undisturbed first: it gives what both hosts look like behind each verb, and how long each takes. A
disturbed life kills an engine, a worker or the operator's command while a verb runs, starts again what an init system
would start again, says the same verb again, and compares.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.engines import EngineProcess
from tests.system.waiting import wait_for
from volrep.engine.api import EngineState
from volrep.engine.client import EngineClient, connect_local
from volrep.model.errors import VolrepError

DG, RVG = "hrdg", "hr_rvg"
HOSTS = ("london", "tokyo")
DEADLINE_S = 60
REVIVE_EVERY_S = 10.0  # much longer than a verb takes that waits for no engine
# What a verb that takes something away says when an interrupted run of it had done its work already.
GONE = ("VR-1732", "VR-1300", "VR-1304", "VR-1305", "VR-1324", "VR-1740")


@dataclass(frozen=True, slots=True)
class Verb:
    """`host`: whose engine or worker a kill may hit ("" either). `gone`: done already may be told as VR-id."""

    argv: tuple[str, ...]
    host: str = ""
    gone: bool = False
    disturb: bool = True
    before: str = ""  # a method of Life that prepares it


def on(host: str, *argv: str, **how: Any) -> Verb:
    return Verb(("-g", DG, "-H", host, *argv), host, **how)


def verbs(folder: Path) -> list[Verb]:
    """Every changing verb, in an order in which each makes sense."""
    mount = f"mount={folder / 'mnt'}"
    sizes = (("dv01", "8m"), ("srl", "20m"))
    both = [on(host, "volume", "create", name, size, disturb=host == "london")
            for host in HOSTS for name, size in sizes]
    return [
        Verb(("host", "add", "london", f"local={folder / 'london'}")),
        Verb(("host", "add", "tokyo", f"local={folder / 'tokyo'}"), disturb=False),
        *both,
        on("london", "volume", "add", "dv02", str(folder / "added.london")),
        on("tokyo", "volume", "add", "dv02", str(folder / "added.tokyo"), disturb=False),
        on("london", "createpri", RVG, "dv01,dv02", "srl"),
        Verb(("-g", DG, "addsec", RVG, "london", "tokyo", "encryption=off")),
        Verb(("-g", DG, "-a", "startrep", RVG, "tokyo"), "london"),
        Verb(("-g", DG, "set", RVG, "tokyo", "synchronous=override")),
        Verb(("-g", DG, "pauserep", RVG, "tokyo"), "london"),
        Verb(("-g", DG, "resumerep", RVG, "tokyo"), "london"),
        on("london", "export", "dv01"),
        on("london", "attach", "dv01"),
        on("london", "detach", "dv01", before="make_file_system"),
        on("london", "attach", "dv01", mount),
        on("london", "-s", "detach", "dv01"),
        on("london", "-s", "unexport", "dv01"),
        Verb(("-g", DG, "-s", "stoprep", RVG, "tokyo"), "london"),
        Verb(("-g", DG, "-s", "delsec", RVG, "tokyo"), gone=True),
        Verb(("-g", DG, "-s", "delpri", RVG), "london", gone=True),
        Verb(("-g", DG, "setup", RVG, "dv01,dv02", "srl", "london", "tokyo", "encryption=off")),
        Verb(("-g", DG, "-s", "stoprep", RVG, "tokyo"), disturb=False),
        Verb(("-g", DG, "-s", "delsec", RVG, "tokyo"), disturb=False),
        Verb(("-g", DG, "-s", "delpri", RVG), disturb=False),
        on("london", "-s", "volume", "destroy", "dv02", gone=True),
        on("london", "-s", "volume", "destroy", "dv01", gone=True),
    ]


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    text: str


class Command:
    """A command of the operator in a process of its own, forked from this one: it need not load the program first."""

    def __init__(self, argv: tuple[str, ...], env: dict[str, str], out: Path, *, held: bool = False) -> None:
        """`held`: it does nothing before a SIGCONT."""
        self._out = out
        self.pid = os.fork()
        if self.pid == 0:
            self._become(argv, env, held=held)
        if held:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def _become(self, argv: tuple[str, ...], env: dict[str, str], *, held: bool) -> None:
        code = 99
        try:
            fd = os.open(self._out, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            for target in (1, 2):
                os.dup2(fd, target)
            os.environ.clear()
            os.environ.update(env)
            sys.stdout = sys.stderr = open(1, "w", closefd=False)  # noqa: SIM115 (the process ends with it)
            from volrep.cli.main import main

            if held:
                os.kill(os.getpid(), signal.SIGSTOP)
            code = main(list(argv))
            sys.stdout.flush()
        finally:
            os._exit(code)

    def wait(self, revive: Callable[[], None] = lambda: None) -> Done:
        """`revive`: done every REVIVE_EVERY_S meanwhile; a command that waits for an engine would wait for ever."""
        ended = os.pidfd_open(self.pid)
        try:
            while not select.select([ended], [], [], REVIVE_EVERY_S)[0]:
                revive()
        finally:
            os.close(ended)
        _, status = os.waitpid(self.pid, 0)
        return Done(os.waitstatus_to_exitcode(status), self._out.read_text())


class Life:
    """Two engines in a folder with a short path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = os.environ | {"VOLREP_CONFIG_DIR": str(folder / "config"), "VOLREP_STATE": str(folder / "none")}
        self.engines = {name: EngineProcess(name, folder / name, folder / f"{name}.log") for name in HOSTS}
        self.down: set[str] = set()  # hosts that nothing starts again, and nobody asks

    @property
    def up(self) -> list[str]:
        return [host for host in HOSTS if host not in self.down]

    def start(self) -> None:
        (self.folder / "mnt").mkdir()
        for name, engine in self.engines.items():
            engine.state_dir.mkdir()
            with (self.folder / f"added.{name}").open("wb") as file:
                file.truncate(8 << 20)
            self.start_engine(name)

    def start_engine(self, name: str) -> None:
        self.engines[name].start("--listen", "127.0.0.1", "--port", "0")

    def stop(self) -> None:
        for host in HOSTS:
            with contextlib.suppress(VolrepError), self.client(host) as client:
                for attached in client.call("attach.list").attached:
                    self.run(on(host, "-s", "detach", attached.volume))
        for engine in self.engines.values():
            engine.stop()

    # ---- verbs

    def begin(self, verb: Verb) -> Command:
        return Command(verb.argv, self.env, self.folder / "out")

    def run(self, verb: Verb) -> Done:
        return self.begin(verb).wait()

    def show(self, *argv: str) -> Any:
        """The document; warnings stand before it."""
        _, brace, rest = self.run(Verb(("--json", *argv))).text.partition("{")
        return json.loads(brace + rest)

    def client(self, host: str) -> EngineClient:
        return connect_local(self.folder / host)

    def make_file_system(self) -> None:
        with self.client("london") as client:
            (attached,) = client.call("attach.list").attached
        subprocess.run(["mkfs.ext4", "-q", "-F", attached.device], check=True, capture_output=True, timeout=60)

    # ---- what the hosts look like

    def running(self) -> bool:
        """Engines serve and workers are up: what restarts by itself has done so."""
        for host in self.up:
            with self.client(host) as client:
                if client.call("engine.status").state is EngineState.DAMAGED:
                    continue  # nothing will restart by itself
                if any(info.status is None or info.status.kstate == "RECOVER" for info in client.call("rvg.list").rvgs):
                    return False
        return True

    def unsettled(self) -> str:
        """What is still under way: engines, workers, copies, links that are not what their state says; "" nothing."""
        for host in self.up:
            with self.client(host) as client:
                status = client.call("engine.status")
                if status.state is not EngineState.SERVING:
                    return f"{host}: {status.problem}"
                for info in client.call("rvg.list").rvgs:
                    if info.status is None or info.status.kstate != "ENABLED":
                        return f"{host}: {info.problem or info.status}"
                    for link in info.status.links if info.config.role == "primary" else ():
                        ends = link.state == "STALE" or "primary_paused" in link.flags  # else it comes back by itself
                        waits = not ends and link.remote_host not in self.down
                        fine = not waits or (link.connected and link.consistent)
                        if link.sync is not None or not fine:
                            return f"{host}: {link}"
        return ""

    def picture(self) -> Any:
        """Everything of both hosts that has no business being different after a kill."""
        try:
            wait_for(lambda: not self.unsettled(), DEADLINE_S, "everything to settle")
        except AssertionError as error:
            said = "".join(f"\n{host}: {info.status}" for host in self.up for info in self._infos(host))
            raise AssertionError(f"{error}: {self.unsettled()}{said}") from None
        wait_for(lambda: len(self.workers()) == self._rvgs(), DEADLINE_S, "no worker without an RVG")
        return {host: self._picture(host) for host in self.up} | {
            "inventory": sorted(path.name for path in (self.folder / "config").glob("*")),
            "mounts": sorted(line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()
                             if str(self.folder) in line.split()[1]),
            "loops": len([path for path in Path("/sys/block").glob("loop*/loop/backing_file")
                          if str(self.folder) in path.read_text()]),
            "helpers": len(self._processes("qemu-storage-daemon"))}

    def _infos(self, host: str) -> list[Any]:
        with self.client(host) as client:
            return list(client.call("rvg.list").rvgs)

    def _rvgs(self) -> int:
        return sum(client.call("engine.status").rvgs for host in self.up for client in [self.client(host)])

    def workers(self, host: str = "") -> list[int]:
        return self._processes("volrep.rvg.main", host)

    def _processes(self, program: str, host: str = "") -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes()
                if program.encode() in words and str(self.folder / host).encode() in words:
                    found.append(int(path.parent.name))
        return found

    def _picture(self, host: str) -> Any:
        state = self.folder / host
        with self.client(host) as client:
            rvgs = client.call("rvg.list").rvgs
            volumes = client.call("volume.list").volumes
            attached = client.call("attach.list").attached
        ids = {info.config.rvg_id for info in rvgs}
        keys = {link.link_id for info in rvgs for link in info.config.links}  # volrep.rvg.maps
        keys |= {f"{what}-{id_}" for what in ("changes", "divergence") for id_ in ids}
        return {
            "rvgs": [(info.config.name, info.config.role.value, [v.name for v in info.config.volumes],
                      [(link.name, link.remote_host, sorted(link.attributes.items())) for link in info.config.links],
                      [(link.state.value, link.consistent) for link in info.status.links
                       if info.config.role == "primary"])  # a Secondary may not have heard the last word
                     for info in rvgs],
            "volumes": sorted((v.config.name, v.config.size_bytes, v.config.created_by_us, v.use, bool(v.export))
                              for v in volumes),
            "attached": [(found.volume, found.mount) for found in attached],
            "files": sorted(str(path.relative_to(state)) for path in state.rglob("*")
                            if not path.is_socket() and path.parent.name not in ("made", "log", "attach")
                            and path.parent.parent.name != "attach"
                            and not path.name.startswith(("config.db-", "config.db.damaged-"))
                            and "maps" not in (path.name, path.parent.name)),
            "sockets": sorted(path.name for path in state.rglob("*") if path.is_socket()),
            "attach folders": sorted(path.name for path in (state / "run" / "attach").glob("*")),
            "made": len([path for path in (state / "made").glob("*") if path.name in ids]),
            "made for nobody": [path.name for path in (state / "made").glob("*") if path.name not in ids],
            "maps for nobody": [path.name for path in (state / "maps").glob("*") if path.stem not in keys],
        }

    # ---- kills

    def revive(self) -> None:
        """What an init system does."""
        for name in self.up:
            if not self.engines[name].running:
                self.start_engine(name)

    def kill(self, what: str, pid: int) -> bool:
        """Whether there was something to kill."""
        if what == "command":
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return True
        if what == "worker":
            workers = [worker for worker in self.workers() if Path(f"/proc/{worker}").exists()]
            for worker in workers[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
            return bool(workers)
        self.engines[what].kill()
        return True

    def again(self, verb: Verb, picture: Any, told: str) -> None:
        """Say the verb again; both hosts must look as `picture` then."""
        self.revive()
        wait_for(self.running, DEADLINE_S, "engines and workers to be up again")
        done = self.run(verb)
        if done.code != 0 and verb.gone and any(id_ in done.text for id_ in GONE):
            done = Done(0, done.text)
        assert done.code == 0, f"{told}\nsaid again: {' '.join(verb.argv)}: exit {done.code}\n{done.text}"
        assert "Traceback" not in done.text
        found = self.picture()
        assert found == picture, f"{told}\nsaid again: {done.text}\n{differences(found, picture)}"

    def disturbed(self, verb: Verb, picture: Any, kill: Callable[[int], str]) -> str:
        """One verb with `kill(pid of the command)` in it; what was killed, and when."""
        if verb.before:
            getattr(self, verb.before)()
        command = self.begin(verb)
        told = kill(command.pid)
        first = command.wait(self.revive)
        told = f"{' '.join(verb.argv)}: {told}; it said {first.code}: {first.text.strip()[-600:]}"
        self.again(verb, picture, told)
        return told


def differences(found: Any, wanted: Any, path: str = "") -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        return "".join(differences(found.get(key), wanted.get(key), f"{path}/{key}")
                       for key in sorted({*found, *wanted}) if found.get(key) != wanted.get(key))
    return f"{path}: is {json.dumps(found)}, should be {json.dumps(wanted)}\n"


def undisturbed(folder: Path) -> tuple[list[Any], list[float]]:
    """(picture behind each verb, seconds each took)."""
    life = Life(folder)
    pictures, durations = [], []
    life.start()
    try:
        for verb in verbs(folder):
            if verb.before:
                getattr(life, verb.before)()
            began_s = time.monotonic()
            done = life.run(verb)
            durations.append(time.monotonic() - began_s)
            assert done.code == 0, f"{verb.argv}: {done.code}\n{done.text}"
            pictures.append(life.picture())
    finally:
        life.stop()
    return pictures, durations


def at_random(life: Life, verb: Verb, duration_s: float, chance: random.Random) -> Callable[[int], str]:
    """A kill at a moment within the verb's usual duration (a little more: also behind its end)."""
    what = chance.choice(["command", verb.host or chance.choice(HOSTS), verb.host or chance.choice(HOSTS), "worker"])
    after_s = chance.uniform(0.0, 1.1 * duration_s)

    def kill(pid: int) -> str:
        time.sleep(after_s)
        life.kill(what, pid)
        return f"{what} killed after {after_s * 1000:.0f} of {duration_s * 1000:.0f} ms"

    return kill


def clean(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
