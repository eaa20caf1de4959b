"""All that a host needs to run volrep, as one archive: volrep itself and the distributions that it imports.

Taken from the operator's own installation where a build fits the host (pure Python fits every host; the tags of
the others say which they fit), fetched through pip otherwise, in exactly the operator's versions. The host
itself never reaches a registry. Knows distributions and tags. Must not know how the archive gets to a host.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

import volrep  # type: ignore[import-not-found, unused-ignore]  # a namespace: no file of its own
from volrep.model.errors import VolrepError
from volrep.model.messages import hosts as messages

ROOT = "volrep"
PIP_TIMEOUT_S = 300
DIGEST_CHARS = 12  # 48 bits tell apart the few builds that one host ever sees
MTIME_S = 315_532_800  # 1980-01-01: the same content gives the same archive

# What manylinux names mean in versions of glibc (PEP 600)
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_NUMBERED = re.compile(r"(manylinux|musllinux)_(\d+)_(\d+)_(\w+)")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_NOT_CARRIED = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}  # of the operator's own installation

Payload = dict[str, bytes]  # path below site-packages -> content


@dataclass(frozen=True, slots=True)
class Platform:
    """What decides whether a build runs on a host."""

    python: tuple[int, int]
    machine: str
    libc: str  # glibc | musl
    libc_version: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Release:
    """`name` is version and digest of the content: equal names mean equal content."""

    name: str
    version: str
    archive: bytes  # tar.gz of site-packages
    size_bytes: int  # unpacked


def build(platform: Platform, cache: Path) -> Release:
    """The release for a host. `cache` keeps what had to be fetched. Raises VR-1121."""
    needed = closure(ROOT)
    payload: Payload = {}
    for name, found in needed.items():
        payload |= _own_files(found) if name == ROOT else _files(found, platform, cache)
    version = needed[ROOT].version
    return Release(f"{version}-{digest(payload)}", version, pack(payload), sum(map(len, payload.values())))


# ---- which distributions


def closure(root: str) -> dict[str, Distribution]:
    """`root` and all that it needs, without extras, as installed here; in order of names.

    A requirement with a marker that is not installed here is not needed on Linux with this Python or newer:
    had the marker been true, pip would have installed it.
    """
    found: dict[str, Distribution] = {}
    waiting = [root]
    while waiting:
        name = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found:
            continue
        found[key] = importlib.metadata.distribution(name)
        for line in found[key].requires or []:
            requirement, _, marker = line.partition(";")
            match = _REQUIREMENT.match(requirement)
            assert match is not None, f"{name} requires {line!r}"
            if "extra" not in marker and (not marker or _installed(match[1])):
                waiting.append(match[1])
    return dict(sorted(found.items()))


def _installed(name: str) -> bool:
    return next(iter(importlib.metadata.distributions(name=name)), None) is not None


# ---- whether a build fits


def fits(tag: str, platform: Platform) -> bool:
    """Whether a build with this tag (interpreter-abi-platform) runs there."""
    interpreter, abi, where = tag.split("-", 2)
    return _fits_python(interpreter, abi, platform.python) and (where == "any" or _fits_system(where, platform))


def _fits_python(interpreter: str, abi: str, python: tuple[int, int]) -> bool:
    match = re.fullmatch(r"(py|cp)(\d)(\d*)", interpreter)
    if match is None or int(match[2]) != python[0]:
        return False
    minor = int(match[3] or 0)
    if match[1] == "py" or abi == "abi3":
        return minor <= python[1]
    return minor == python[1] and abi in ("none", f"cp{python[0]}{python[1]}")


def _fits_system(where: str, platform: Platform) -> bool:
    name, _, machine = where.partition("_")
    if name in _LEGACY:
        return platform.libc == "glibc" and machine == platform.machine and _LEGACY[name] <= platform.libc_version
    match = _NUMBERED.fullmatch(where)
    return match is not None and match[4] == platform.machine and (int(match[2]), int(match[3])) <= \
        platform.libc_version and platform.libc == {"manylinux": "glibc", "musllinux": "musl"}[match[1]]


def pip_platforms(platform: Platform) -> list[str]:
    """The platform names under which builds for that host are published."""
    major, minor = platform.libc_version
    if platform.libc == "musl":
        return [f"musllinux_{major}_{m}_{platform.machine}" for m in range(minor, -1, -1)]
    legacy = [name for name, version in _LEGACY.items() if version <= platform.libc_version]
    return [f"manylinux_{major}_{m}_{platform.machine}" for m in range(minor, 4, -1)] + \
        [f"{name}_{platform.machine}" for name in legacy]


# ---- their files


def _files(found: Distribution, platform: Platform, cache: Path) -> Payload:
    tags = [line.partition(":")[2].strip() for line in (found.read_text("WHEEL") or "").splitlines()
            if line.startswith("Tag:")]
    if found.files is not None and any(fits(tag, platform) for tag in tags):
        return _installed_files(found)
    return _fetched_files(found, platform, cache)


def _carried(path: PurePosixPath) -> bool:
    """Neither scripts outside of site-packages nor compiled files nor the bookkeeping of an installer."""
    return not (path.is_absolute() or ".." in path.parts or "__pycache__" in path.parts or path.suffix == ".pyc"
                or (path.parts[0].endswith(".dist-info") and path.name in _NOT_CARRIED))


def _installed_files(found: Distribution) -> Payload:
    return {str(path): Path(str(found.locate_file(path))).read_bytes()
            for path in found.files or () if _carried(path)}


def _own_files(found: Distribution) -> Payload:
    """Every portion of the namespace, wherever it lies: an installation from a checkout has three."""
    payload = {str(path): content for path, content in _installed_files(found).items()
               if PurePosixPath(path).parts[0].endswith(".dist-info")}
    for portion in volrep.__path__:
        for path in sorted(Path(portion).rglob("*")):
            name = PurePosixPath(ROOT, *path.relative_to(portion).parts)
            if path.is_file() and _carried(name) and not path.name.startswith("."):
                payload[str(name)] = path.read_bytes()
    return payload


def _fetched_files(found: Distribution, platform: Platform, cache: Path) -> Payload:
    folder = cache / f"{platform.libc}{platform.libc_version[0]}.{platform.libc_version[1]}-{platform.machine}" / \
        f"cp{platform.python[0]}{platform.python[1]}" / found.name
    wheel = _wheel(folder, found.version) or _fetch(found, platform, folder)
    payload = {}
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = PurePosixPath(entry.filename)
            if len(path.parts) > 2 and path.parts[0].endswith(".data") and path.parts[1] in ("purelib", "platlib"):
                path = PurePosixPath(*path.parts[2:])
            if not entry.is_dir() and _carried(path) and not path.parts[0].endswith(".data"):
                payload[str(path)] = archive.read(entry)
    return payload


def _wheel(folder: Path, version: str) -> Path | None:
    return next(iter(sorted(folder.glob(f"*-{version}-*.whl"))), None)


def _fetch(found: Distribution, platform: Platform, folder: Path) -> Path:
    """One wheel through pip, with the operator's settings for it; other versions of it leave the cache."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    tag = f"cp{platform.python[0]}{platform.python[1]}"
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input",
            "--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", tag[2:],
            "--abi", tag, "--abi", "abi3", "--abi", "none", "--dest", str(folder)]
    for name in pip_platforms(platform):
        argv += ["--platform", name]
    try:
        done = subprocess.run([*argv, f"{found.name}=={found.version}"], capture_output=True, text=True, check=False,
                              timeout=PIP_TIMEOUT_S, stdin=subprocess.DEVNULL)
        lines = done.stderr.strip().splitlines()
        reason = (lines[-1] if lines else f"pip ended with status {done.returncode}") if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    wheel = _wheel(folder, found.version)
    if reason or wheel is None:
        raise VolrepError(messages.INSTALL_NO_WHEEL, name=found.name, version=found.version,
                          python=".".join(map(str, platform.python)), reason=reason or "pip brought none",
                          machine=f"{platform.machine} with {platform.libc} "
                                  f"{'.'.join(map(str, platform.libc_version))}",
                          own=".".join(map(str, sys.version_info[:2])))
    return wheel


# ---- the archive


def digest(payload: Mapping[str, bytes]) -> str:
    total = hashlib.sha256()
    for name in sorted(payload):
        total.update(f"{name}\0".encode() + hashlib.sha256(payload[name]).digest())
    return total.hexdigest()[:DIGEST_CHARS]


def pack(payload: Mapping[str, bytes]) -> bytes:
    """tar.gz; libraries keep no mode of their own, every file is 0644."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=4, mtime=MTIME_S) as packed, \
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(payload):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(payload[name]), 0o644, MTIME_S
            tar.addfile(entry, io.BytesIO(payload[name]))
    return out.getvalue()


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Where fetched builds are kept: $XDG_CACHE_HOME/volrep/wheels."""
    base = environ.get("XDG_CACHE_HOME") or os.path.join(environ.get("HOME", "/"), ".cache")
    return Path(base) / "volrep" / "wheels"
