"""Whose log is whose: reigns that follow each other, and lines of one reign that part when its host is put back.

volrep knows a reign by its id. A Primary that is put back to an older image goes on under the same id with other
records: another line of that reign, with a history of its own. Which line a host is on cannot be read from its header:
a Primary's is its own, a Secondary is on the line of the Primary whose START it carried out last.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.sim.history import History


@dataclass(slots=True, eq=False)
class ReignNode:
    """One line of a reign. `before`: the line it came from, of the reign before or, put back, of the same one.

    `inherited_lsn`: of the line before, everything to here is in this one, at its beginning perhaps anew.
    """

    history: History
    reign_id: str
    start_lsn: int
    host: str
    before: ReignNode | None
    inherited_lsn: int
    began_s: float

    def line(self) -> list[ReignNode]:
        """The oldest first."""
        return [*(self.before.line() if self.before is not None else []), self]

    def reign_ids(self) -> list[str]:
        return [node.reign_id for node in self.line()]


@dataclass(slots=True)
class Image:
    """What a host's disks held at one moment. `history`: of `node`, as it was then."""

    node: ReignNode
    history: History


@dataclass
class Tree:
    nodes: list[ReignNode] = field(default_factory=list)
    at: dict[str, ReignNode] = field(default_factory=dict)  # by host
    _serving: dict[tuple[str, str], ReignNode] = field(default_factory=dict)  # by process and reign id

    def find(self, host: str, reign_id: str) -> ReignNode | None:
        """The line that a host with this newest reign is on: its own, else one that it came from, else the newest."""
        here = self.at.get(host)
        mine = here.line() if here is not None else []
        return next((node for node in reversed(mine) if node.reign_id == reign_id), None) or self.newest(reign_id)

    def newest(self, reign_id: str) -> ReignNode | None:
        """The line that the Primary of this reign is on; who hears of its end may not have heard of its beginning."""
        return next((node for node in reversed(self.nodes) if node.reign_id == reign_id), None)

    def knows(self, reign_id: str) -> bool:
        return self.newest(reign_id) is not None

    def add(self, node: ReignNode) -> ReignNode:
        self.nodes.append(node)
        self.at[node.host] = node
        return node

    def serves(self, process: str, host: str, node: ReignNode) -> None:
        """A Primary's process, and what it writes."""
        self.at[host] = node
        self._serving[process, node.reign_id] = node

    def follows(self, host: str, primary_process: str, reign_id: str) -> None:
        """A Secondary goes on with what this process writes."""
        node = self._serving.get((primary_process, reign_id))
        if node is not None:
            self.at[host] = node

    def image(self, host: str) -> Image | None:
        """None of a host that has no log yet."""
        node = self.at.get(host)
        return Image(node, node.history.copy()) if node is not None else None

    def put_back(self, host: str, image: Image, now_s: float) -> None:
        """From now on the host is where it was; a reign of its own goes on as another line."""
        node = image.node
        self.at[host] = node
        if node.host == host and node.reign_id:
            at_lsn = image.history.end_lsn
            self.add(replace(node, history=image.history, start_lsn=at_lsn, before=node, inherited_lsn=at_lsn,
                             began_s=now_s))


def parting_lsn(a: ReignNode, b: ReignNode) -> int:
    """Up to there both logs are the same."""
    one, other = a.line(), b.line()
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] is other[shared]:
        shared += 1
    if not shared:
        return 0
    return min((line[shared].start_lsn for line in (one, other) if len(line) > shared), default=1 << 63)
