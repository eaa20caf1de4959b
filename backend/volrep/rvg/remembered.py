"""What outlives a connection of a link, and what a connection depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from volrep.link.negotiate import Order
from volrep.model.attributes import effective
from volrep.model.config import LinkConfig, StartMethod
from volrep.model.status import LinkState


@dataclass(slots=True)
class Remembered:
    """What the SRL header keeps of a link."""

    state: str = LinkState.STALE
    reason: str = "replication was never started"
    order_id: str = ""  # of the last startrep; empty: never
    method: str = ""
    begin_lsn: int = 0
    delivered: bool = False  # the Secondary has carried the order out
    acked_lsn: int = 0  # durable there
    fault: str = ""  # what the Secondary suffers from (`LinkFault`): the link goes on by itself when that has passed
    syncing: bool = False  # regions are still to be copied
    consistent_after_lsn: int = 0  # all regions copied: consistent when this is applied there
    consistent: bool = False
    copied_frames: int = 0  # region frames of the copy that were acknowledged; while it goes on `rvg.copyout` counts
    copy_bytes: int = 0  # of a failback: what was to be copied when it began

    def order(self) -> Order:
        """The last order, as `link.negotiate` asks for it."""
        return Order(self.order_id, self.begin_lsn, self.consistent and not self.syncing, self.delivered,
                     StartMethod(self.method), self.acked_lsn, self.copied_frames)

    def fail_back(self, new_id: Callable[[], str]) -> None:
        """The order becomes a failback, unless it is one that still waits for the Secondary."""
        if self.method != StartMethod.FAILBACK or self.delivered:
            self.method, self.order_id, self.delivered = StartMethod.FAILBACK.value, new_id(), False
            self.copied_frames = 0


def connection_part(config: LinkConfig) -> tuple[object, ...]:
    """When this changes, a new connection is needed."""
    chosen = effective(config.attributes)
    return (config.remote_address, config.remote_port, config.peer_certificate, config.key, chosen["encryption"],
            chosen["sync_ack"])
