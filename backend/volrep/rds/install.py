"""`host install`: volrep carried to a host over SSH, put in place there, its engine started.

The host needs Python and sshd, and no way to the internet. What runs there is `on_host.py`, given to the host's
own Python as text. Knows the order: look, build what fits, carry, run, ask the engine. Nothing is changed on a
host before all that can be checked from here has been.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volrep.model.errors import VolrepError
from volrep.model.messages import hosts as messages
from volrep.rds import on_host
from volrep.rds.inventory import Host

if TYPE_CHECKING:
    from volrep.rds.ssh import SshHost
    from volrep.rds.wheelhouse import Platform, Release

PYTHON_OLDEST = (3, 11)  # requires-python of pyproject.toml
MACHINES = ("x86_64", "aarch64", "ppc64le", "s390x", "riscv64", "armv7l", "i686")
COMPILED_SHARE = 1.6  # unpacked files plus the byte code that Python puts beside them, measured
UNIT = Path(__file__).with_name(on_host.UNIT_NAME)

# The first Python that is new enough, else what there is.
FIND_PYTHON = """for p in python3 python3.14 python3.13 python3.12 python3.11; do
  command -v "$p" >/dev/null 2>&1 || continue
  "$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && exec "$p" -I - "$@"
  found="$found, $("$p" -V 2>&1)"
done
echo "no-python$found"
exit 3"""

Say = Callable[[str], None]


def install_on(host: Host, say: Say) -> dict[str, Any]:
    """Install or upgrade, and start or keep the engine; the same again changes nothing.

    {"host", "version", "release", "before", "changed", "directory", "command", "state_dir", "started_by", "engine",
    "log", "notes"}. Raises VR-1110 to VR-1119 (no way in), VR-1115, VR-1124 (not a host for volrep), VR-1121 (no build
    for it), VR-1125 (no room), VR-1120 (it failed there and was undone), VR-1150 (and could not be undone altogether).
    """
    from volrep.rds.ssh import SshHost

    ssh = SshHost(host)
    try:
        return _install(host, ssh, say)
    finally:
        ssh.close()


def _install(host: Host, ssh: SshHost, say: Say) -> dict[str, Any]:
    from volrep.rds import wheelhouse

    say(f"{host.name}: looking what is there")
    found = _run(host, ssh, ["probe"])
    platform = platform_of(host.name, found)
    release = wheelhouse.build(platform, wheelhouse.cache_dir(os.environ))
    _check_room(host.name, found, release)
    said = _carry(host, ssh, found, release, say)
    if not said["ok"]:
        raise _failure(host.name, said)
    answer = {"host": host.name, "version": release.version, "directory": found["base"], "state_dir": said["state"],
              "started_by": f"systemd ({on_host.UNIT_NAME})" if said["systemd"] else "host install",
              **{key: said[key] for key in ("release", "before", "changed", "command", "engine", "log", "notes")}}
    if not said["systemd"]:
        answer["notes"].append("no systemd unit starts the engine at boot: "
                               f"let `{said['command']} engine run --state {said['state']}` run there then")
    for note in answer["notes"]:
        say(f"note: {host.name}: {note}")
    return answer


def platform_of(host: str, found: dict[str, Any]) -> Platform:
    """What a host says of itself, as far as builds go by it. Raises VR-1115, VR-1124."""
    from volrep.rds.wheelhouse import Platform

    python = (int(found["python"][0]), int(found["python"][1]))
    version = (int(found["libc_version"][0]), int(found["libc_version"][1]))
    if found["implementation"] != "cpython":
        raise VolrepError(messages.NO_PYTHON, host=host, wanted=_dotted(PYTHON_OLDEST),
                          found=f" (it has {found['implementation']})")
    if found["system"] != "Linux" or found["machine"] not in MACHINES or found["libc"] not in ("glibc", "musl"):
        raise VolrepError(messages.INSTALL_ARCHITECTURE, host=host,
                          found=f"{found['system']} on {found['machine']} with {found['libc']}")
    return Platform(python, found["machine"], found["libc"], version)


def _check_room(host: str, found: dict[str, Any], release: Release) -> None:
    needed = int(release.size_bytes * COMPILED_SHARE) + len(release.archive)
    if release.name != found["release"] and found["free_bytes"] < needed:
        raise VolrepError(messages.NO_ROOM, host=host, free_bytes=found["free_bytes"], directory=found["free_in"],
                          size_bytes=needed)


def _carry(host: Host, ssh: SshHost, found: dict[str, Any], release: Release, say: Say) -> dict[str, Any]:
    """The archive, unless the host has this release; then the installation itself."""
    folder = _made_folder(host, ssh)
    archive = f"{folder}/volrep.tar.gz"
    try:
        if release.name != found["release"]:
            say(f"{host.name}: carrying volrep {release.version}, {len(release.archive) / 1e6:.0f} MB")
            _put(host, ssh, release.archive, archive)
        say(f"{host.name}: installing in {found['base']}, engine state in {found['state']}")
        return _run(host, ssh, ["install", archive, release.name, host.name, unit_text(found, host.name)])
    finally:
        ssh.run(f"rm -rf {shlex.quote(folder)}")


def _put(host: Host, ssh: SshHost, data: bytes, path: str) -> None:
    from paramiko import SFTPError, SSHException

    try:
        ssh.put(data, path)
    except (OSError, EOFError, SFTPError, SSHException) as error:
        raise VolrepError(messages.INSTALL_STEP, host=host.name, step="carrying it there",
                          reason=getattr(error, "strerror", None) or error) from error


def _made_folder(host: Host, ssh: SshHost) -> str:
    status, out, err = ssh.run('mktemp -d "${TMPDIR:-/tmp}/volrep-install.XXXXXXXX"')
    if status or not out.startswith("/"):
        raise VolrepError(messages.INSTALL_STEP, host=host.name, step="making a temporary directory",
                          reason=err.strip() or f"mktemp ended with status {status}")
    return out.strip()


def unit_text(found: dict[str, Any], name: str) -> str:
    """The systemd unit with the paths of the host."""
    command = f"ExecStart={found['base']}/bin/volrep engine run --state {found['state']} --name {name}"
    lines = UNIT.read_text().splitlines(keepends=True)
    return "".join(f"{command}\n" if line.startswith("ExecStart=") else line for line in lines)


def _run(host: Host, ssh: SshHost, arguments: list[str]) -> dict[str, Any]:
    """`on_host.py` there: its answer. Raises VR-1115, VR-1151."""
    words = " ".join(shlex.quote(word) for word in arguments)
    status, out, err = ssh.run(f"sh -c {shlex.quote(FIND_PYTHON)} sh {words}", Path(on_host.__file__).read_bytes())
    if out.startswith("no-python"):
        there = out.removeprefix("no-python").strip(" ,\n")
        raise VolrepError(messages.NO_PYTHON, host=host.name, wanted=_dotted(PYTHON_OLDEST),
                          found=f" (it has {there})" if there else "")
    try:
        return dict(json.loads(out))
    except ValueError as error:
        words_there = (err or out).strip().splitlines()
        raise VolrepError(messages.INSTALL_UNCLEAR, host=host.name, step=arguments[0],
                          reason=words_there[-1] if words_there else f"it ended with status {status}") from error


def _failure(host: str, said: dict[str, Any]) -> VolrepError:
    if said["left"]:
        return VolrepError(messages.INSTALL_LEFT, host=host, step=said["step"], reason=said["reason"],
                           left="; ".join(said["left"]))
    return VolrepError(messages.INSTALL_STEP, host=host, step=said["step"], reason=said["reason"])


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
