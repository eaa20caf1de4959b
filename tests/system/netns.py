"""A network of its own for a test: namespaces joined by a bridge that nothing else reaches.

Knows: network namespaces, addresses, cutting links. Knows nothing of volrep or SSH.

        [switch namespace: bridge]
          |        |        |
       london    tokyo    operator        one namespace each, 10.77.0.x

All addresses exist only inside the namespaces, so runs beside each other never meet. Programs enter
with `nsenter --net`, which (unlike `ip netns exec`) leaves mounts shared: a file system that one
program mounts is there for the others, as on a real host.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.system.waiting import wait_for

RUN_DIR = Path("/run/netns")
SUBNET = "10.77.0"
NAME_MAX = 15  # IFNAMSIZ - 1; namespaces share the limit because interfaces are named after them
NODES_MAX = 200  # addresses .1 to .200


class NoNamespaces(Exception):
    """This machine cannot make network namespaces; `str()` says why."""


def _run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(argv)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Node:
    """One namespace on the network."""

    def __init__(self, name: str, netns: str, address: str) -> None:
        self.name = name
        self.netns = netns
        self.address = address
        self.enter = ("nsenter", f"--net={RUN_DIR / netns}", "--")

    def pids(self) -> list[int]:
        """Processes whose network is this namespace."""
        return [int(pid) for pid in _run("ip", "netns", "pids", self.netns).split()]

    def _nft(self, script: str) -> None:
        subprocess.run([*self.enter, "nft", "-f", "-"], input=script, text=True, timeout=30, check=True)

    def prepare_firewall(self) -> None:
        self._nft("table inet cut {\n"
                  "  set peers { type ipv4_addr; }\n"
                  "  chain input { type filter hook input priority 0; ip saddr @peers drop; }\n"
                  "  chain output { type filter hook output priority 0; ip daddr @peers drop; }\n"
                  "}\n")

    def drop_peer(self, address: str) -> None:
        self._nft(f"add element inet cut peers {{ {address} }}\n")

    def admit_peer(self, address: str) -> None:
        self._nft(f"delete element inet cut peers {{ {address} }}\n")


class Network:
    """A bridge in a namespace of its own, and the nodes joined to it. `close` removes all of it, once or twice."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise NoNamespaces("network namespaces need root")
        remove_leftovers()
        self._prefix = f"vr{os.getpid()}"
        self._switch = f"{self._prefix}-sw"
        self.nodes: dict[str, Node] = {}
        try:
            _run("ip", "netns", "add", self._switch)
        except OSError as error:
            raise NoNamespaces(str(error)) from error
        _run("ip", "-n", self._switch, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", self._switch, "link", "set", "br0", "up")

    def add(self, name: str) -> Node:
        number = len(self.nodes) + 1
        assert number <= NODES_MAX
        assert name not in self.nodes
        node = Node(name, f"{self._prefix}-{number}", f"{SUBNET}.{number}")
        assert len(node.netns) <= NAME_MAX
        _run("ip", "netns", "add", node.netns)
        self.nodes[name] = node
        _run("ip", "-n", node.netns, "link", "set", "lo", "up")
        _run("ip", "-n", node.netns, "link", "add", "eth0", "type", "veth",
             "peer", "name", f"port{number}", "netns", self._switch)
        _run("ip", "-n", self._switch, "link", "set", f"port{number}", "master", "br0", "up")
        _run("ip", "-n", node.netns, "address", "add", f"{node.address}/24", "dev", "eth0")
        _run("ip", "-n", node.netns, "link", "set", "eth0", "up")
        node.prepare_firewall()
        return node

    def cut(self, a: str, b: str) -> None:
        """Packets between the two vanish, in both directions; nobody is told (no reset)."""
        self.nodes[a].drop_peer(self.nodes[b].address)
        self.nodes[b].drop_peer(self.nodes[a].address)

    def restore(self, a: str, b: str) -> None:
        self.nodes[a].admit_peer(self.nodes[b].address)
        self.nodes[b].admit_peer(self.nodes[a].address)

    def unplug(self, name: str) -> None:
        """The node's cable is out: it reaches nobody, the operator included."""
        _run("ip", "-n", self.nodes[name].netns, "link", "set", "eth0", "down")

    def plug(self, name: str) -> None:
        _run("ip", "-n", self.nodes[name].netns, "link", "set", "eth0", "up")

    def close(self) -> None:
        """Ends every process that still lives in these namespaces, by its pid, and removes them."""
        for netns in (*(node.netns for node in self.nodes.values()), self._switch):
            if (RUN_DIR / netns).exists():
                end_all(netns)
                _run("ip", "netns", "delete", netns)
        self.nodes.clear()


def end_all(netns: str) -> None:
    """SIGKILL to every process in a namespace until none is left (a dying parent may just have made one)."""

    def none_left() -> bool:
        pids = [int(pid) for pid in _run("ip", "netns", "pids", netns).split()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it ended between the listing and the signal
        return not pids

    wait_for(none_left, 10, f"namespace {netns} to be empty")


def remove_leftovers() -> None:
    """Namespaces of test runs that were killed before they could clean up. Their owner's pid is in the name."""
    if not RUN_DIR.is_dir():
        return
    for path in RUN_DIR.iterdir():
        match = re.fullmatch(r"vr(\d+)-(\d+|sw)", path.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            end_all(path.name)
            _run("ip", "netns", "delete", path.name)


def run_in(node: Node, argv: Sequence[str], timeout_s: float = 60, *, check: bool = True,
           env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program in the node's network; its output is captured, and shown when it fails."""
    done = subprocess.run([*node.enter, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout_s, check=False, env=env)
    if check:
        assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
