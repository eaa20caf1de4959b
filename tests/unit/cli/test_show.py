"""Documents as text: nothing that an operator needs gets lost between the two."""

from __future__ import annotations

from tests.unit.rds.hosts import DG
from tests.unit.rds.test_plan_rds import made
from volrep.cli import show
from volrep.rds import report


def test_the_long_listing_keeps_the_problem_of_an_rvg() -> None:
    world = made("london", "tokyo").world()
    for host in world.hosts:
        host.rvgs[0].status, host.rvgs[0].problem = None, "the worker is down"
    text = show.printrvg(report.printrvg(world, world.all_rds(DG)), long=True)
    assert text.count("Problem:      the worker is down") == 2
    assert "srl:          srl (128m)" in text
