"""A host over SSH: Fabric with its choice of host keys replaced, and every failure worded for an operator.

Honours ~/.ssh/config (addresses, users, ports, keys, jump hosts), the agent, known_hosts. Fabric accepts unknown
host keys by default; here they are refused, with the fingerprint. Imported only when a host has `ssh=`.
"""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable
from typing import Any

import fabric
import paramiko
from paramiko.ssh_exception import (
    AuthenticationException,
    BadHostKeyException,
    NoValidConnectionsError,
    SSHException,
)

from volrep.model.errors import VolrepError
from volrep.model.messages import hosts as messages
from volrep.rds.inventory import Host, SshAddress, parse_ssh

CONNECT_TIMEOUT_S = 10.0
OUTPUT_MAX_BYTES = 64 << 10  # what is kept of a remote command's words: enough for any error text
SYSTEM_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts",)


class _UnknownKey(SSHException):  # type: ignore[misc]  # paramiko has no types
    """Raised by the policy; carries the key."""

    def __init__(self, known_as: str, key: paramiko.PKey) -> None:
        super().__init__(f"unknown host key of {known_as}")
        self.known_as = known_as
        self.key = key


class _Refuse(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko has no types
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise _UnknownKey(hostname, key)


class SshHost:
    """A connection to one host, opened at once. Raises VR-1104, VR-1110 to VR-1113, VR-1119."""

    def __init__(self, host: Host) -> None:
        self.name = host.name
        self._ssh = host.ssh
        address = parse_ssh(host.ssh)
        try:
            self._connection = _connection(address)
            _prepare(self._connection)
        except (OSError, ValueError, paramiko.ConfigParseError) as error:
            raise VolrepError(messages.SSH_CONFIG_BAD, reason=error) from error
        self.address = str(self._connection.host)
        self._open()

    def _open(self) -> None:
        shown: dict[str, Any] = {"host": self.name, "address": self.address, "ssh": self._ssh}
        try:
            self._connection.open()
        except _UnknownKey as error:
            raise VolrepError(messages.KEY_UNKNOWN, kind=error.key.get_name(), fingerprint=error.key.fingerprint,
                              **shown) from error
        except BadHostKeyException as error:
            raise VolrepError(messages.KEY_CHANGED, kind=error.key.get_name(), fingerprint=error.key.fingerprint,
                              known_as=error.hostname, **shown) from error
        except AuthenticationException as error:
            raise VolrepError(messages.AUTH_FAILED, user=self._connection.user, reason=_worded(error),
                              **shown) from error
        except (SSHException, OSError, EOFError) as error:
            if isinstance(error, SSHException) and "authentication methods" in str(error).lower():
                raise VolrepError(messages.AUTH_FAILED, user=self._connection.user, reason="no key to offer",
                                  **shown) from error
            raise VolrepError(messages.UNREACHABLE, reason=_worded(error), **shown) from error

    def channel(self, command: str) -> paramiko.Channel:
        """The command, started; its stdin, stdout and stderr are the channel's. Raises VR-1110."""
        try:
            channel = self._connection.transport.open_session(timeout=CONNECT_TIMEOUT_S)
            channel.exec_command(command)
        except (SSHException, OSError, EOFError) as error:
            raise VolrepError(messages.UNREACHABLE, host=self.name, address=self.address, ssh=self._ssh,
                              reason=_worded(error)) from error
        return channel

    def run(self, command: str, data: bytes = b"") -> tuple[int, str, str]:
        """(exit status, stdout, stderr) of a short command that reads `data`. Raises VR-1110."""
        channel = self.channel(command)
        try:
            if data:
                channel.sendall(data)
            channel.shutdown_write()
            out = io.BufferedReader(Pipe(channel.recv)).read(OUTPUT_MAX_BYTES)
            err = io.BufferedReader(Pipe(channel.recv_stderr)).read(OUTPUT_MAX_BYTES)
            return channel.recv_exit_status(), out.decode(errors="replace"), err.decode(errors="replace")
        except (SSHException, OSError, EOFError) as error:
            raise VolrepError(messages.UNREACHABLE, host=self.name, address=self.address, ssh=self._ssh,
                              reason=_worded(error)) from error
        finally:
            channel.close()

    def put(self, data: bytes, path: str) -> None:
        """Upload over SFTP. Raises OSError."""
        self._connection.put(io.BytesIO(data), path)

    def close(self) -> None:
        self._connection.close()


class Pipe(io.RawIOBase):
    """One direction of a channel as Python's own kind of file.

    Not paramiko's `makefile`: collected as part of a cycle, it flushes a buffer that is gone already, and the
    interpreter prints a traceback.
    """

    def __init__(self, receive: Callable[[int], bytes] | None = None, send: Callable[[Any], int] | None = None) -> None:
        self._receive = receive
        self._send = send

    def readable(self) -> bool:
        return self._receive is not None

    def writable(self) -> bool:
        return self._send is not None

    def readinto(self, buffer: Any) -> int:
        assert self._receive is not None, "opened for writing"
        data = self._receive(len(buffer))
        buffer[:len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        assert self._send is not None, "opened for reading"
        return self._send(bytes(data))


def resolved_address(ssh: str) -> str:
    """The address that ~/.ssh/config gives for an SSH address. Raises VR-1104."""
    return str(_connection(parse_ssh(ssh)).host)


def _connection(address: SshAddress) -> Any:
    return fabric.Connection(address.host, user=address.user or None, port=address.port or None,
                             connect_timeout=int(CONNECT_TIMEOUT_S),
                             connect_kwargs={"banner_timeout": CONNECT_TIMEOUT_S, "auth_timeout": CONNECT_TIMEOUT_S})


def _prepare(connection: Any) -> None:
    """Known hosts loaded, unknown ones refused, keys that are not there left out; on the jump hosts too."""
    while connection is not None and not isinstance(connection, str):
        client = connection.client
        keys = connection.connect_kwargs.get("key_filename") or []
        connection.connect_kwargs["key_filename"] = [
            key for key in ([keys] if isinstance(keys, str) else keys) if os.path.exists(os.path.expanduser(key))]
        client.set_missing_host_key_policy(_Refuse())
        client.load_system_host_keys()
        named = connection.ssh_config.get("userknownhostsfile", "").split()
        for path in (*SYSTEM_KNOWN_HOSTS, *(os.path.expanduser(name) for name in named)):
            if os.path.isfile(path):
                client.load_system_host_keys(path)
        connection = connection.gateway


def _worded(error: BaseException) -> str:
    """The cause without Python's or paramiko's dress."""
    if isinstance(error, NoValidConnectionsError):
        causes = {cause.strerror or str(cause) for cause in error.errors.values()}
        return ", ".join(sorted(causes)).lower()
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_TIMEOUT_S:g} s"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().rstrip(".")

