"""Two or more workers without engines: the data path alone, for tests that kill, freeze and compare.

The harness plays the engines' part: it configures workers over their sockets, listens on a replication port for
each, reads the hello line and hands the connection over.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from volrep.model.status import RvgStatus

DEADLINE_S = 30.0


def wait_for(predicate: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Poll until true. A status has no event to wait for, so this asks every 20 ms up to a deadline."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {deadline_s} s")
        pause.wait(0.02)


def make_identity(directory: Path) -> str:
    """cert.pem and key.pem as an engine makes them; the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, directory.name)])
    now = datetime.now(UTC)
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650)).sign(key, hashes.SHA256()))
    (directory / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    pem = cert.public_bytes(serialization.Encoding.PEM)
    (directory / "cert.pem").write_bytes(pem)
    return pem.decode()


class Host:
    """One RVG on one host: a state directory, volume files, a worker process, a replication port."""

    def __init__(self, root: Path, name: str, role: str, rds_id: str, volumes: list[int], srl_bytes: int,
                 file_of: Callable[[str, int], Path] | None = None) -> None:
        self.name, self.role, self.rds_id = name, role, rds_id
        self.dir = root / name
        self.dir.mkdir(parents=True)
        self.certificate = make_identity(self.dir)
        self.process: subprocess.Popen[bytes] | None = None
        self.rvg_id = uuid.uuid4().hex
        self.links: list[dict[str, Any]] = []
        self.exports: list[dict[str, str]] = []
        self.events: list[dict[str, Any]] = []
        self.startup = "serve"
        self._next_id = 0
        self._buffer = b""
        self._lock = threading.Lock()
        make = file_of or self._file
        self.volumes = [self._volume(make, i, f"dv{i:02}", size) for i, size in enumerate(volumes)]
        self.srl = self._volume(make, -1, "srl", srl_bytes)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.reachable = True
        threading.Thread(target=self._accept, daemon=True).start()
        self.control: socket.socket | None = None
        self.program: list[str] = [sys.executable, "-m", "volrep.rvg.main"]

    def _file(self, name: str, size: int) -> Path:
        path = self.dir / name
        with path.open("wb") as file:
            file.truncate(size)
        return path

    @staticmethod
    def _volume(make: Callable[[str, int], Path], index: int, name: str, size: int) -> dict[str, Any]:
        return {"index": index, "name": name, "path": str(make(name, size)), "size_bytes": size,
                "volume_id": uuid.uuid4().hex}

    @property
    def socket_path(self) -> Path:
        return self.dir / "w.sock"

    def path_of(self, name: str) -> str:
        """Of the SRL or of a data volume."""
        return str(next(v["path"] for v in (self.srl, *self.volumes) if v["name"] == name))

    def uri(self, index: int = 0) -> str:
        name = self.volumes[index]["name"]
        return f"nbd+unix:///{name}?socket={self.dir / (name + '.nbd')}"

    def start(self) -> None:
        log = (self.dir / "worker.log").open("ab")
        self.process = subprocess.Popen([*self.program, "--socket", str(self.socket_path)], stdout=log, stderr=log,
                                        start_new_session=True)
        log.close()
        control = wait_for(self._connect, f"{self.name}'s worker")
        with self._lock:  # a connection that is being handed over may still talk to the last worker
            self.control, self._buffer = control, b""
        self.configure()

    def _connect(self) -> socket.socket | None:
        assert self.process is not None
        assert self.process.poll() is None, (self.dir / "worker.log").read_text()[-2000:]
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(self.socket_path))
        except OSError:
            sock.close()
            return None
        sock.settimeout(60)
        return sock

    def config(self) -> dict[str, Any]:
        return {"rds_id": self.rds_id, "rvg_id": self.rvg_id, "dg": "dg", "name": "rvg", "host": self.name,
                "role": self.role, "srl": self.srl, "volumes": self.volumes, "links": self.links,
                "exports": self.exports, "certificate_path": str(self.dir / "cert.pem"),
                "private_key_path": str(self.dir / "key.pem"),
                "startup": self.startup}

    def configure(self) -> None:
        if self.role == "primary":
            self.exports = [{"volume": v["name"], "listen": f"unix:{self.dir / (v['name'] + '.nbd')}"}
                            for v in self.volumes]
        self.call("configure", self.config())

    def call(self, method: str, params: dict[str, Any] | None = None, fd: int | None = None) -> dict[str, Any]:
        with self._lock:
            assert self.control is not None
            self._next_id += 1
            line = json.dumps({"id": self._next_id, "method": method, "params": params or {}}).encode() + b"\n"
            if fd is None:
                self.control.sendall(line)
            else:
                socket.send_fds(self.control, [line], [fd])
            while True:
                answer = self._line()
                if "event" in answer:
                    self.events.append(answer["event"])
                elif answer["id"] == self._next_id:
                    break
        if "error" in answer:
            raise RuntimeError(f"VR-{answer['error']['number']}: {answer['error']['text']}")
        return dict(answer["result"])

    def _line(self) -> dict[str, Any]:
        assert self.control is not None
        while b"\n" not in self._buffer:
            data = self.control.recv(1 << 16)
            if not data:
                raise ConnectionError(f"{self.name}'s worker closed: {(self.dir / 'worker.log').read_text()[-3000:]}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return dict(json.loads(line))

    def status(self) -> RvgStatus:
        return RvgStatus.from_data(self.call("status"))

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            line = b""
            while not line.endswith(b"\n"):
                part = sock.recv(1)
                if not part:
                    break
                line += part
            if line.endswith(b"\n") and self.reachable and self.process is not None and self.process.poll() is None:
                link_id = line.split()[2].decode()
                with contextlib.suppress(OSError):  # the worker is being killed; the Primary dials again
                    self.call("link.accept", {"link_id": link_id}, sock.fileno())
            sock.close()

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self) -> None:
        self.stop()
        with contextlib.suppress(OSError):  # closed before
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.listener.close()

    def data(self, index: int) -> bytes:
        return Path(self.volumes[index]["path"]).read_bytes()


def pair_up(one: Host, other: Host, attributes: dict[str, str]) -> None:
    """Both ends of a link."""
    common = {"link_id": uuid.uuid4().hex, "key": os.urandom(32).hex(), "attributes": attributes}
    for here, there in ((one, other), (other, one)):
        here.links.append({**common, "name": f"rlk_{there.name}_rvg", "remote_host": there.name,
                           "remote_address": "127.0.0.1", "remote_port": there.port,
                           "peer_certificate": there.certificate})


class Rds:
    """A Primary and its Secondaries."""

    def __init__(self, root: Path, *, secondaries: int = 1, volumes: list[int], srl_bytes: int = 64 << 20,
                 attributes: dict[str, str] | None = None,
                 file_of: Callable[[str, str, int], Path] | None = None) -> None:
        self.root = root
        rds_id = uuid.uuid4().hex

        def maker(host: str) -> Callable[[str, int], Path] | None:
            return None if file_of is None else (lambda name, size: file_of(host, name, size))

        self.primary = Host(root, "london", "primary", rds_id, volumes, srl_bytes, maker("london"))
        names = ["tokyo", "paris", "oslo"][:secondaries]
        self.secondaries = [Host(root, n, "secondary", rds_id, volumes, srl_bytes, maker(n)) for n in names]
        for secondary in self.secondaries:
            pair_up(self.primary, secondary, attributes or {})

    def start(self) -> None:
        for host in self.hosts:
            host.start()

    @property
    def hosts(self) -> list[Host]:
        return [self.primary, *self.secondaries]

    def startrep(self, method: str) -> None:
        for link in self.primary.links:
            self.primary.call("link.start", {"link_id": link["link_id"], "method": method})

    def up_to_date(self) -> bool:
        status = self.primary.status()
        return all(link.connected and link.consistent and link.behind_bytes == 0 and link.sync is None
                   and link.applied_lsn == status.srl.end_lsn for link in status.links)

    def wait_up_to_date(self, deadline_s: float = DEADLINE_S) -> None:
        try:
            wait_for(self.up_to_date, "up to date", deadline_s)
        except AssertionError as error:
            logs = "".join(f"\n--- {h.name}\n{(h.dir / 'worker.log').read_text()[-3000:]}" for h in self.hosts)
            raise AssertionError(f"{error}\n{self.primary.status()}{logs}") from None

    def close(self) -> None:
        for host in self.hosts:
            host.close()
        shutil.rmtree(self.root, ignore_errors=True)


Kind = TypeVar("Kind", bound=Rds)


@contextlib.contextmanager
def rds_maker(kind: type[Kind], folder: Path, **defaults: Any) -> Iterator[Callable[..., Kind]]:
    """A function that makes and starts one RDS after the other; all are closed at the end."""
    made: list[Kind] = []

    def make(**kwargs: Any) -> Kind:
        made.append(kind(folder / f"rds{len(made)}", **(defaults | kwargs)))
        made[-1].start()
        return made[-1]

    try:
        yield make
    finally:
        for rds in made:
            rds.close()
