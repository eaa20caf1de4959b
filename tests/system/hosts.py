"""Hosts for system tests: each with a network namespace, an sshd and an engine of its own; and the operator.

    with TestBed() as bed:
        bed.add_host("london"); bed.add_host("tokyo")
        bed.operator.volrep("host", "list")

What separates the hosts is what separates real ones as far as volrep can see: network, sshd with its
own host key and environment, state directory. They share the file system, so a test can compare
volumes of two hosts byte by byte.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.system.engines import PROGRAM, EngineProcess
from tests.system.netns import Network, Node, run_in
from tests.system.waiting import wait_for

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
SSHD_DEADLINE_S = 10
COMMAND_TIMEOUT_S = 120


def _keygen(path: Path, comment: str) -> str:
    """Make an Ed25519 key pair; returns the public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)],
                   check=True, timeout=30, stdin=subprocess.DEVNULL)
    return path.with_suffix(".pub").read_text().strip()


def _which(program: str) -> str:
    for folder in PATH.split(":"):
        candidate = Path(folder) / program
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    raise AssertionError(f"{program} is not installed; packaging/setup-system.sh test installs it")


PRIVATE = ("/etc", "/opt", "/usr/local", "/var/lib")


def private(folder: Path) -> list[str]:
    """Command prefix: a mount namespace in which changes below PRIVATE are seen by nobody else, and no systemd is.

    Overlays with their changes in memory: every path stays readable (a Python below /usr/local works), and
    nothing of an installation survives the last process of the host.
    """
    changes = folder / "changes"
    changes.mkdir()
    script = [f"mount -t tmpfs changes {changes}"]
    for number, path in enumerate(path for path in PRIVATE if Path(path).is_dir()):
        upper, work = changes / f"{number}.upper", changes / f"{number}.work"
        script.append(f"mkdir {upper} {work}")
        script.append(f"mount -t overlay -o lowerdir={path},upperdir={upper},workdir={work} overlay {path}")
    if Path("/run/systemd").is_dir():
        script.append("mount -t tmpfs none /run/systemd")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f'{"; ".join(script)}; exec "$@"', "sh"]


def link_tools_without_python(folder: Path) -> None:
    """A PATH directory with everything that this machine has except any Python."""
    folder.mkdir()
    for source in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        for program in Path(source).iterdir():
            link = folder / program.name
            if not program.name.startswith("python") and not link.is_symlink():
                link.symlink_to(program)


class Host:
    """One host. `bare` has sshd (and Python, unless `python` is False) but no volrep, for installing it over SSH.

    The directories where an installation may write are private to a bare host: it sees this machine's, but
    what it changes there is gone with it (see `private`).
    """

    def __init__(self, node: Node, folder: Path, operator_key: str, *, bare: bool, python: bool = True) -> None:
        self.name = node.name
        self.address = node.address
        self.node = node
        self.folder = folder
        self.state_dir = folder / "state"
        self.home = folder / "home"
        for path in (self.state_dir, self.home, folder / "bin", folder / "volumes"):
            path.mkdir(parents=True)
        self.host_key = _keygen(folder / "host_key", f"host {self.name}")
        (folder / "authorized_keys").write_text(operator_key + "\n")
        self.env = {"PATH": f"{folder / 'bin'}:{PATH}", "HOME": str(self.home), "LANG": "C.UTF-8"}
        if not python:
            link_tools_without_python(folder / "tools")
            self.env["PATH"] = str(folder / "tools")
        self._enter_sshd = (*node.enter, *private(folder)) if bare else node.enter
        self.hooks = folder / "config" / "hooks"
        if not bare:
            self.env["VOLREP_STATE"] = str(self.state_dir)
            self.env["VOLREP_CONFIG_DIR"] = str(folder / "config")
            wrapper = folder / "bin" / "volrep"
            wrapper.write_text(f'#!/bin/sh\nexec {PROGRAM} "$@"\n')
            wrapper.chmod(0o755)
        self.engine = EngineProcess(self.name, self.state_dir, folder / "engine.log", enter=node.enter, env=self.env)
        self._sshd: subprocess.Popen[bytes] | None = None

    def start_sshd(self) -> None:
        """On port 22 of the host's own network; ready when it sends its banner."""
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd refuses to start without it
        config = self.folder / "sshd_config"
        settings = " ".join(f'{name}="{value}"' for name, value in self.env.items())
        config.write_text("\n".join((
            f"ListenAddress {self.address}", "Port 22", f"HostKey {self.folder / 'host_key'}",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}", "PidFile none", "UsePAM no",
            "StrictModes no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
            "PermitRootLogin yes", "PrintMotd no", "UseDNS no", "MaxStartups 100", "MaxSessions 100",
            "Subsystem sftp internal-sftp", f"SetEnv {settings}", "")))
        with (self.folder / "sshd.log").open("ab") as log:
            self._sshd = subprocess.Popen([*self._enter_sshd, _which("sshd"), "-D", "-e", "-f", str(config)],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        wait_for(self._listens, SSHD_DEADLINE_S, f"sshd of {self.name} to listen")

    def _listens(self) -> bool:
        assert self._sshd is not None
        assert self._sshd.poll() is None, (self.folder / "sshd.log").read_text()
        return bool(self.run(["ss", "-Hltn", "sport = :22"]).stdout)

    def stop_sshd(self) -> None:
        if self._sshd is not None and self._sshd.poll() is None:
            self._sshd.terminate()
            self._sshd.wait(SSHD_DEADLINE_S)

    def change_host_key(self) -> None:
        """As when somebody else answers at this address."""
        self.stop_sshd()
        for name in ("host_key", "host_key.pub"):
            (self.folder / name).unlink()
        self.host_key = _keygen(self.folder / "host_key", f"another host {self.name}")
        self.start_sshd()

    def run(self, argv: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S, *,
            check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program on this host."""
        return run_in(self.node, argv, timeout_s, check=check, env=self.env)

    def popen(self, argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program on this host, its output in `log`. It is ended with the test bed at the latest."""
        with log.open("wb") as sink:
            return subprocess.Popen([*self.node.enter, *argv], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                                    env=self.env)

    def worker_pids(self) -> list[int]:
        """The RVG workers of this host: live processes of its network that run volrep.rvg.main."""
        found = []
        for pid in self.node.pids():
            try:
                argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            if b"volrep.rvg.main" in argv:
                found.append(pid)
        return found

    def kill_workers(self) -> list[int]:
        """SIGKILL every RVG worker of this host; returns who it was."""
        pids = self.worker_pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids


class Operator:
    """Where the operator sits: reaches every host, has its own HOME with SSH key, config and known hosts."""

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        self.home = folder / "home"
        self.config_dir = folder / "config"
        self.ssh_dir = self.home / ".ssh"
        for path in (self.ssh_dir, self.config_dir):
            path.mkdir(parents=True, mode=0o700)
        self.public_key = _keygen(self.ssh_dir / "id_ed25519", "operator")
        self.ssh_config = self.ssh_dir / "config"
        self.known_hosts = self.ssh_dir / "known_hosts"
        self.known_hosts.touch()
        # OpenSSH takes ~ from the password database, not from HOME: every path here is absolute
        self.ssh_config.write_text(
            f"Host *\n  IdentityFile {self.ssh_dir / 'id_ed25519'}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  StrictHostKeyChecking yes\n  BatchMode yes\n"
            "  ConnectTimeout 5\n")
        self.env = {"PATH": f"{PROGRAM.parent}:{PATH}", "HOME": str(self.home), "LANG": "C.UTF-8", "TERM": "xterm",
                    "VOLREP_CONFIG_DIR": str(self.config_dir), "VOLREP_STATE": str(folder / "no-engine-here")}

    def meet(self, host: Host) -> None:
        """Name the host in ~/.ssh/config and accept its key, as an administrator has done it once by hand."""
        with self.ssh_config.open("a") as config:
            config.write(f"Host {host.name}\n  HostName {host.address}\n  User root\n")
        self.accept_key(host)

    def accept_key(self, host: Host) -> None:
        kind, key = host.host_key.split()[:2]
        lines = [line for line in self.known_hosts.read_text().splitlines() if not line.startswith(f"{host.name},")]
        self.known_hosts.write_text("\n".join([*lines, f"{host.name},{host.address} {kind} {key}", ""]))

    def forget_key(self, host: Host) -> None:
        lines = [line for line in self.known_hosts.read_text().splitlines() if not line.startswith(f"{host.name},")]
        self.known_hosts.write_text("\n".join([*lines, ""]))

    def run(self, argv: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S, *,
            check: bool = True) -> subprocess.CompletedProcess[str]:
        return run_in(self.node, argv, timeout_s, check=check, env=self.env)

    def ssh(self, host: Host, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Plain OpenSSH, to see what volrep's own transport must agree with."""
        return self.run(["ssh", "-F", str(self.ssh_config), host.name, *command], 30, check=check)

    def volrep(self, *argv: str, exit_code: int | None = 0,
               timeout_s: float = COMMAND_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """The command line as the operator types it; fails unless it exits with `exit_code` (None: any)."""
        done = self.run([str(PROGRAM), *argv], timeout_s, check=False)
        assert exit_code is None or done.returncode == exit_code, (
            f"volrep {' '.join(argv)}: exit {done.returncode}, expected {exit_code}\n{done.stdout}\n{done.stderr}")
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def show(self, *argv: str) -> Any:
        """What a verb says with --json."""
        return json.loads(self.volrep("--json", *argv).stdout)

    def until(self, what: str, *argv: str, deadline_s: float = 60, **expected: str) -> Any:
        """Ask `repstatus` until every Secondary shows the expected fields; `argv` as for `show`.

        until("all up to date", "-g", "hrdg", "repstatus", "hr_rvg", replication_status="...")
        """

        def settled() -> Any:
            status = self.show(*argv)
            rows = status["secondaries"]
            agree = all(str(row[field]) == value for row in rows for field, value in expected.items())
            return status if rows and agree else None

        return wait_for(settled, deadline_s, what)


class TestBed:
    """The network, the operator and the hosts of one test; everything is removed at the end, whatever happened."""

    __test__ = False  # not a test class, whatever its name suggests to pytest

    def __init__(self) -> None:
        self.network = Network()
        # Not pytest's tmp_path: paths of unix sockets end at 107 bytes
        self._folder = tempfile.TemporaryDirectory(prefix="vr", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self.hosts: dict[str, Host] = {}
        self.operator = Operator(self.network.add("operator"), self.folder / "operator")

    def add_host(self, name: str, *, bare: bool = False, python: bool = True, engine: bool = True) -> Host:
        """A host with its sshd running, known to the operator's SSH; with an engine unless told otherwise."""
        assert python or bare, "an engine needs Python"
        host = Host(self.network.add(name), self.folder / name, self.operator.public_key, bare=bare, python=python)
        self.hosts[name] = host
        host.start_sshd()
        self.operator.meet(host)
        if engine and not bare:
            host.engine.start()
        return host

    def enter_in_inventory(self, *names: str) -> None:
        """`host add` for these hosts (default: all), over SSH and with their replication address."""
        for name in names or tuple(self.hosts):
            self.operator.volrep("host", "add", name, f"ssh={name}", f"address={self.hosts[name].address}")

    def cut_link(self, a: str, b: str) -> None:
        self.network.cut(a, b)

    def restore_link(self, a: str, b: str) -> None:
        self.network.restore(a, b)

    def logs(self) -> str:
        """The end of every log, for the report of a failed test."""
        parts = []
        for path in sorted(self.folder.glob("*/*.log")):
            parts.append(f"--- {path.parent.name}/{path.name}\n{path.read_text(errors='replace')[-8000:]}")
        return "\n".join(parts)

    def close(self) -> None:
        try:
            self._unmount()
        finally:
            try:
                self.network.close()
            finally:
                self._folder.cleanup()

    def _unmount(self) -> None:
        """What `attach` or a test mounted below this folder, deepest first."""
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for point in sorted((m for m in mounts if m.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run(["umount", "--lazy", point], check=True, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()
