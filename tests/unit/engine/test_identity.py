"""An engine's certificate: made once, private, and good for TLS between pinned peers."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

from volrep.engine.identity import ensure_certificate, fingerprint
from volrep.link.connect import Security, accept, dial, hello_line


def test_a_certificate_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    first = ensure_certificate(*paths, "london")
    assert ensure_certificate(*paths, "london") == first
    assert paths[1].stat().st_mode & 0o777 == 0o600


def test_the_fingerprint_is_what_openssl_says(tmp_path: Path) -> None:
    pem = ensure_certificate(tmp_path / "cert.pem", tmp_path / "key.pem", "london")
    said = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256"], input=pem, text=True,
                          capture_output=True, check=True).stdout
    assert said.strip().rpartition("=")[2] == fingerprint(pem)


def test_two_engines_prove_themselves_with_their_certificates(tmp_path: Path) -> None:
    line = hello_line("r", "l", "london")
    pems = {name: ensure_certificate(tmp_path / f"{name}.pem", tmp_path / f"{name}.key", name)
            for name in ("london", "tokyo")}
    london, tokyo = (Security("tls", tmp_path / f"{name}.pem", tmp_path / f"{name}.key", pems[peer], b"")
                     for name, peer in (("london", "tokyo"), ("tokyo", "london")))
    with socket.create_server(("127.0.0.1", 0)) as server:
        dialled = []
        dialling = threading.Thread(target=lambda: dialled.append(
            dial("127.0.0.1", server.getsockname()[1], line, london)))
        dialling.start()
        sock, _ = server.accept()
        assert sock.recv(len(line), socket.MSG_WAITALL) == line
        accepted = accept(sock, line, tokyo)
        dialling.join(10)
        assert dialled, "the dialling end did not accept"
        accepted.close()
        dialled[0].close()
