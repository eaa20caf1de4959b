"""Conversations with engines: over the local unix socket, or over SSH through `volrep engine connect`.

Knows the way to an engine and how its absence is told. Must not know what is asked.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volrep.engine.client import EngineClient, connect_local
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as engine_messages
from volrep.model.messages import hosts as messages
from volrep.rds.inventory import LOOPBACK, Host

if TYPE_CHECKING:
    from volrep.rds.ssh import SshHost

# Where `host install` puts the program, after whatever the login's PATH has. "$0" keeps quoting out of it.
CONNECT_COMMAND = ('PATH="$PATH:/usr/local/bin:/opt/volrep/bin:$HOME/.local/bin"; export PATH; '
                   'command -v volrep >/dev/null 2>&1 || exit 127; exec volrep engine connect')
NOT_FOUND = 127
_WORDS_MAX_BYTES = 4096  # of stderr, for the reason


class SshClient(EngineClient):
    """A conversation whose end also closes the connection it went over."""

    def __init__(self, ssh: SshHost, channel: Any) -> None:
        from volrep.rds.ssh import Pipe

        super().__init__(io.BufferedReader(Pipe(channel.recv)), io.BufferedWriter(Pipe(send=channel.send)))
        self._ssh = ssh
        self._channel = channel

    def close(self) -> None:
        self._channel.close()
        self._ssh.close()

    def last_words(self) -> tuple[int, str]:
        """(exit status, stderr) of a remote end that ended before it answered."""
        from volrep.rds.ssh import Pipe

        words = io.BufferedReader(Pipe(self._channel.recv_stderr)).read(_WORDS_MAX_BYTES)
        return self._channel.recv_exit_status(), words.decode(errors="replace").strip()


def open_engine(host: Host, client: str) -> EngineClient:
    """A conversation with the engine of a host, hello said.

    Raises VR-1106 (another engine than the inventory says), VR-1110 to VR-1118, VR-1700, VR-1712.
    """
    return connect_local(Path(host.local), client) if host.local else _open_over_ssh(host, client)


def _open_over_ssh(host: Host, client: str) -> EngineClient:
    from volrep.rds.ssh import SshHost

    ssh = SshHost(host)
    try:
        made = SshClient(ssh, ssh.channel(CONNECT_COMMAND))
    except BaseException:
        ssh.close()
        raise
    try:
        made.hello(client)
    except VolrepError as error:
        try:
            if error.message is engine_messages.ENGINE_CLOSED:
                raise _why_not(host, *made.last_words()) from error
            raise
        finally:
            made.close()
    except BaseException:
        made.close()
        raise
    return made


def _why_not(host: Host, status: int, words: str) -> VolrepError:
    """What the remote end meant by ending: it says VR-1700 when no engine runs there."""
    lines = words.splitlines()
    if status == NOT_FOUND:
        return VolrepError(messages.NO_VOLREP, host=host.name)
    told = next((line for line in lines if line.startswith(f"{engine_messages.ENGINE_NOT_RUNNING.id}: ")), "")
    if told:
        return VolrepError(messages.ENGINE_DOWN, host=host.name, reason=told.partition(": ")[2])
    reason = lines[-1] if lines else f"it ended with status {status}"
    return VolrepError(messages.CONNECT_FAILED, host=host.name, command="volrep engine connect", reason=reason)


def replication_address(host: Host) -> str:
    """Where other hosts reach this one: as the inventory says, else the address of its SSH, else loopback."""
    if host.address:
        return host.address
    if not host.ssh:
        return LOOPBACK
    from volrep.rds.ssh import resolved_address

    return resolved_address(host.ssh)
