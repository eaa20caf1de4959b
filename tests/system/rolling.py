"""An RDS whose hosts change roles, without engines: every pair of hosts has a link, and a test plays the operator."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from tests.system.nbd_client import NbdClient
from tests.system.pair import Host, Rds, pair_up, rds_maker, wait_for
from volrep.model.config import Role
from volrep.model.status import LinkState, LinkStatus, RoleFlag, RvgStatus

BLOCK = 4096


def new_reign() -> str:
    return os.urandom(8).hex()


def stamp(number: int) -> bytes:
    return struct.pack("<Q", number) * (BLOCK // 8)


class RollingRds(Rds):
    """`primary` is whoever the test made Primary last."""

    def __init__(self, root: Path, **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        attributes = kwargs.get("attributes") or {}
        for one, other in combinations(self.secondaries, 2):
            pair_up(one, other, attributes)
        self.everybody = [self.primary, *self.secondaries]

    def host(self, name: str) -> Host:
        return next(host for host in self.everybody if host.name == name)

    def link(self, here: Host, there: Host) -> dict[str, Any]:
        return next(link for link in here.links if link["remote_host"] == there.name)

    def link_status(self, here: Host, there: Host) -> LinkStatus:
        return next(link for link in here.status().links if link.remote_host == there.name)

    def crown(self, host: Host) -> None:
        """Only what this harness keeps; the workers know already."""
        self.primary = host
        self.secondaries = [other for other in self.everybody if other is not host]
        for other in self.everybody:
            other.role = "primary" if other is host else "secondary"

    def demote(self, **changes: Any) -> int:
        to = changes.pop("to", None)
        link_id = self.link(self.primary, to)["link_id"] if to is not None else ""
        status = RvgStatus.from_data(self.primary.call("demote", {"link_id": link_id, **changes}))
        assert status.role == Role.SECONDARY
        return status.srl.end_lsn

    def promote(self, host: Host, how: str, **asked: Any) -> RvgStatus:
        status = RvgStatus.from_data(host.call("promote", {"how": how, "new_reign": new_reign(), **asked}))
        assert status.role == Role.PRIMARY
        self.crown(host)
        host.configure()
        return status

    def start_link(self, there: Host, method: str = "follow") -> None:
        self.primary.call("link.start", {"link_id": self.link(self.primary, there)["link_id"], "method": method})

    def follow(self) -> None:
        for other in self.secondaries:
            self.start_link(other)

    def migrate(self, to: Host, **changes: Any) -> None:
        """As a plan does it: demote, promote, let everybody follow."""
        end_lsn = self.demote(to=to, **changes)
        self.promote(to, "migrate", expect_lsn=end_lsn)
        self.follow()

    def assert_equal(self) -> None:
        self.wait_up_to_date()
        for index in range(len(self.primary.volumes)):
            for other in self.secondaries:
                assert self.primary.data(index) == other.data(index), f"volume {index} of {other.name} differs"

    def wait_heard(self, host: Host) -> None:
        """It follows, or its link is STALE because it would have to forget something."""
        def heard() -> bool:
            status = self.link_status(self.primary, host)
            return status.connected or status.state == LinkState.STALE

        wait_for(heard, f"{host.name} was heard")

    def come_home(self, *lost: Host) -> int:
        """fbsync for those that have history of their own, then migrate to the first; the bytes that were copied."""
        said = len(self.primary.events)
        for host in lost:
            self.wait_heard(host)
            if self.link_status(self.primary, host).state == LinkState.STALE:
                self.start_link(host, "failback")
        self.wait_up_to_date()
        self.primary.status()
        copied_bytes = sum(int(event["message"].split(", ")[1].split()[0]) for event in self.primary.events[said:]
                           if event["type"] == "resync_started")
        self.migrate(lost[0])
        self.wait_up_to_date()
        return copied_bytes

    def wait_flag(self, host: Host, flag: RoleFlag) -> RvgStatus:
        def flagged() -> RvgStatus | None:
            status = host.status()
            return status if flag in status.role_flags else None

        found: RvgStatus = wait_for(flagged, f"{host.name} is {flag}")
        return found

    def close(self) -> None:
        for host in self.everybody:
            host.close()
        super().close()


class Writer(threading.Thread):
    """Stamped writes to random-looking blocks of one volume, several in flight; remembers what was completed."""

    def __init__(self, host: Host, start: int = 0, *, blocks: int = 256, depth: int = 8, index: int = 0) -> None:
        super().__init__(daemon=True)
        self.client = NbdClient(host.uri(index))
        self.number = start
        self.issued: dict[int, int] = {}
        self.completed: dict[int, int] = {}
        self.order: list[tuple[int, int]] = []  # (number, block) as issued
        self.count = 0
        self._blocks = blocks
        self._depth = depth
        self._stopping = threading.Event()
        self.start()

    def run(self) -> None:
        in_flight: dict[int, int] = {}
        try:
            while not self._stopping.is_set() or in_flight:
                while len(in_flight) < self._depth and not self._stopping.is_set():
                    self.number += 1
                    block = self.number * 2654435761 % self._blocks
                    if block in in_flight.values():
                        continue  # two writes to one block in flight have no order
                    self.issued[block] = self.number
                    self.order.append((self.number, block))
                    in_flight[self.number] = block
                    self.client.issue(self.number, block * BLOCK, stamp(self.number))
                done = self.client.complete()
                self.completed[in_flight.pop(done)] = done
                self.count += 1
        except OSError:
            pass  # the Primary is gone, or its exports were closed: what was completed is what counts
        finally:
            self.client.close()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def wait_writes(self, count: int) -> None:
        goal = self.count + count
        wait_for(lambda: self.count >= goal or not self.is_alive(), f"{count} writes")


def block_number(data: bytes, block: int) -> int:
    """The number that a block was stamped with; 0 for none. Fails when it is torn."""
    found = int(struct.unpack_from("<Q", data, block * BLOCK)[0])
    assert data[block * BLOCK : (block + 1) * BLOCK] == stamp(found), f"block {block} is torn"
    return found


MakeRds = Callable[..., RollingRds]


def rolling_maker(folder: Path) -> Iterator[MakeRds]:
    """For a fixture: makes data sets that replicate and are up to date, and closes them at the end."""
    with rds_maker(RollingRds, folder) as start:
        def make(**kwargs: object) -> RollingRds:
            rds = start(**kwargs)
            rds.startrep("blank")
            rds.wait_up_to_date()
            return rds

        yield make
