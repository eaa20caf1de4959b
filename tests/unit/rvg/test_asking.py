"""When a starting Primary may serve."""

from __future__ import annotations

from dataclasses import dataclass

from tests.unit.link.test_session import Hand
from volrep.model.config import LinkConfig, Startup
from volrep.ports.reactor import Reactor
from volrep.rvg.asking import Asking
from volrep.rvg.limits import STARTUP_ASK_S


@dataclass
class Link:
    config: LinkConfig
    was_started: bool = True
    attached: bool = True
    asked: int = 0

    def ask(self) -> None:
        self.asked += 1


def a_link(name: str, **changes: bool) -> Link:
    return Link(LinkConfig(link_id=name, name=name, remote_host=name, remote_address="", remote_port=1,
                           peer_certificate="", key=""), **changes)


class Case:
    def __init__(self, startup: Startup, *links: Link) -> None:
        self.hand = Hand()
        self.loop = Reactor(self.hand)
        self.done = self.lasted = 0
        self.asking = Asking({link.config.link_id: link for link in links}, startup, self.loop, self._done, self._lasts)
        self.asking.begin()

    def _done(self) -> None:
        self.done += 1

    def _lasts(self) -> None:
        self.lasted += 1

    def moment(self) -> None:
        """The time that is always waited is over."""
        self.hand.now_s += STARTUP_ASK_S + 0.1
        self.loop.call_at(self.hand.now_s, self.loop.stop)
        self.loop.run()


def test_nobody_is_asked_who_never_had_the_data() -> None:
    fresh = a_link("tokyo", was_started=False)
    assert Case(Startup.ASK_PEERS, fresh).done == 1
    assert fresh.asked == 0


def test_all_answers_open_the_exports_at_once() -> None:
    tokyo, paris = a_link("tokyo"), a_link("paris", attached=False)
    case = Case(Startup.SERVE, tokyo, paris)
    assert (tokyo.asked, paris.asked) == (1, 1)
    case.asking.answered(tokyo)
    assert (case.done, case.asking.hosts()) == (0, ["paris"])
    case.asking.answered(paris)
    case.asking.answered(paris)
    assert (case.done, case.lasted) == (1, 0)


def test_serve_waits_a_moment_and_no_longer() -> None:
    case = Case(Startup.SERVE, a_link("tokyo"))
    case.moment()
    assert (case.done, case.lasted) == (1, 0)


def test_ask_peers_waits_for_those_that_are_attached_until_told_not_to() -> None:
    stale = a_link("paris", attached=False)
    case = Case(Startup.ASK_PEERS, a_link("tokyo"), stale)
    case.moment()
    assert (case.done, case.lasted) == (0, 1)
    case.asking.end()
    case.asking.end()
    assert case.done == 1


def test_ask_peers_does_not_wait_for_a_stale_link() -> None:
    case = Case(Startup.ASK_PEERS, a_link("paris", attached=False))
    case.moment()
    assert case.done == 1
