"""An engine's own certificate: made once, at its first start, and pinned by its peers.

Self-signed, EC P-256. Peers compare the whole certificate (volrep.link.tls), so names and dates in it decide
nothing; the dates are wide so that a wrong clock or an old installation never breaks a link.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

from volrep.engine.store import Store
from volrep.ports.disk import save_file

_NOT_BEFORE, _NOT_AFTER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2126, 1, 1, tzinfo=UTC)


def ensure_certificate(certificate_path: Path, key_path: Path, name: str) -> str:
    """The certificate (PEM), made together with its key when either is missing or they do not belong together.

    The key is written first: a crash in between leaves a key that nobody has pinned, and both are made again. Whether
    an identity that peers have pinned was lost, `check_identity` says. Raises OSError.
    """
    if not _usable(certificate_path, key_path):
        key, certificate = _make(name)
        save_file(key_path, key, mode=0o600)
        save_file(certificate_path, certificate, mode=0o644)
    return certificate_path.read_text()


def _usable(certificate_path: Path, key_path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate_path, key_path)
    except (OSError, ssl.SSLError, ValueError):  # lost, damaged, or halves of two identities: no peer accepts it
        return False
    return True


def check_identity(store: Store, certificate: str) -> str:
    """Keep the fingerprint of the identity in use; why peers will refuse it when it is another than before, else ""."""
    before, now = store.setting("fingerprint"), fingerprint(certificate)
    if before != now:
        with store.change(None):
            store.put_setting("fingerprint", now)
    if before in (None, now):
        return ""
    return ("the engine's certificate or key was lost or damaged and both were made anew: other hosts refuse its links "
            "until `volrep engine rebuild` has made the change known to them")


def fingerprint(certificate: str) -> str:
    """SHA-256 of the DER form, in colon separated hex, as `openssl x509 -fingerprint -sha256` prints it."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).digest().hex(":").upper()


def _make(name: str) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "volrep"),
                         x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(int.from_bytes(os.urandom(19)) | 1)
        .not_valid_before(_NOT_BEFORE).not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return (key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
            certificate.public_bytes(pem))
