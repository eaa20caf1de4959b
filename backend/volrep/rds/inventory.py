"""The operator's hosts: `hosts.toml`.

Knows names and addresses. Must not know how a host is reached, or what it says.

    [hosts.tokyo]
    ssh = "root@tokyo.example:22"      or   local = "/var/lib/volrep"
    address = "10.0.0.2"               replication address, if another than that of ssh
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from volrep.model.errors import VolrepError
from volrep.model.messages import hosts as messages
from volrep.model.names import check_name
from volrep.model.shape import BadShape, Shape

_SSH = re.compile(r"(?:(?P<user>[^@\s:]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<host>[^@\s:\[\]]+))"
                  r"(?::(?P<port>\d{1,5}))?")
_ADDRESS = re.compile(r"[0-9A-Za-z_.:%-]{1,253}")
LOOPBACK = "127.0.0.1"
HERE = "localhost"  # what the local engine is called until it has said its name


class HostEntry(Shape):
    """One host as it stands in the file. Exactly one of `ssh` and `local` is set."""

    ssh: str = ""
    local: str = ""
    address: str = ""


class InventoryFile(Shape):
    hosts: dict[str, HostEntry] = {}


@dataclass(frozen=True, slots=True)
class SshAddress:
    """`port` 0 and `user` "" leave the choice to ~/.ssh/config."""

    user: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Host:
    """A host of the inventory. `implicit`: no file names it, it is the local engine."""

    name: str
    ssh: str = ""
    local: str = ""
    address: str = ""
    implicit: bool = False


def parse_ssh(text: str) -> SshAddress:
    """Raises VR-1104."""
    match = _SSH.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65535 or text.startswith("-"):
        raise VolrepError(messages.BAD_SSH, value=text)
    return SshAddress(match["user"] or "", match["v6"] or match["host"], int(match["port"] or 0))


def make_host(name: str, ssh: str, local: str, address: str) -> Host:
    """A host as `host add` gives it. Raises VR-1011, VR-1104, VR-1105, VR-1107, VR-1109."""
    check_name("host", name)
    if ssh and local:
        raise VolrepError(messages.SSH_AND_LOCAL, host=name)
    if local and not Path(local).is_absolute():
        raise VolrepError(messages.LOCAL_NOT_ABSOLUTE, value=local)
    if address and not _ADDRESS.fullmatch(address):
        raise VolrepError(messages.BAD_ADDRESS, value=address)
    if not local:
        parse_ssh(ssh or name)
    return Host(name, "" if local else ssh or name, local, address)


class Inventory:
    """`hosts.toml` of one configuration directory. Without hosts in it, the local engine is the one host."""

    def __init__(self, directory: Path, local_state: Path) -> None:
        """Raises VR-1102."""
        self.path = directory / "hosts.toml"
        self._local_state = local_state
        self._entries = self._read()

    def _read(self) -> dict[str, HostEntry]:
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise VolrepError(messages.INVENTORY_DAMAGED, path=self.path, reason=error) from error
        try:
            entries = InventoryFile.from_data(tomllib.loads(text)).hosts
            for name, entry in entries.items():
                make_host(name, entry.ssh, entry.local, entry.address)
        except (tomllib.TOMLDecodeError, BadShape) as error:
            reason = str(error).splitlines()
            raise VolrepError(messages.INVENTORY_DAMAGED, path=self.path, reason="; ".join(reason[:3])) from error
        except VolrepError as error:
            raise VolrepError(messages.INVENTORY_DAMAGED, path=self.path, reason=error.text) from error
        return entries

    def hosts(self) -> list[Host]:
        """In the order of their names; the local engine when there are none."""
        if not self._entries:
            return [Host(HERE, local=str(self._local_state), implicit=True)]
        return [Host(name, entry.ssh, entry.local, entry.address) for name, entry in sorted(self._entries.items())]

    def add(self, host: Host) -> bool:
        """Whether it is new. Raises VR-1101 (there with other values), VR-1103."""
        entry = HostEntry(ssh=host.ssh, local=host.local, address=host.address)
        found = self._entries.get(host.name)
        if found == entry:
            return False
        if found is not None:
            shown = ", ".join(f"{key}={value}" for key, value in found.data().items() if value)
            raise VolrepError(messages.HOST_DIFFERS, host=host.name, found=shown)
        self._entries[host.name] = entry
        self._write()
        return True

    def remove(self, name: str) -> None:
        """Raises VR-1100, VR-1103."""
        if name not in self._entries:
            raise VolrepError(messages.HOST_UNKNOWN, host=name, known=", ".join(sorted(self._entries)) or "none")
        del self._entries[name]
        self._write()

    def _write(self) -> None:
        from volrep.ports.disk import save_file  # every command reads the file, few write it

        lines = ["# Hosts of volrep; written by `volrep host add` and `volrep host remove`.\n"]
        for name, entry in sorted(self._entries.items()):
            lines.append(f"\n[hosts.{json.dumps(name)}]\n")
            # a JSON string is a TOML basic string as long as it holds no control characters, and none gets in here
            lines.extend(f"{key} = {json.dumps(value, ensure_ascii=False)}\n"
                         for key, value in entry.data().items() if value)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            save_file(self.path, "".join(lines).encode())
        except OSError as error:
            raise VolrepError(messages.INVENTORY_UNWRITABLE, path=self.path, reason=error.strerror or error) from error
