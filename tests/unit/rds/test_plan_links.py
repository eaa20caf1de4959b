"""Plans that start, stop, pause and change replication."""

from __future__ import annotations

import pytest

from tests.unit.rds.hosts import DG, Hosts
from tests.unit.rds.test_plan_rds import made, refusal, silently
from volrep.model.config import StartMethod
from volrep.model.status import LinkState
from volrep.rds import plan_links
from volrep.rds.drive import drive
from volrep.rds.world import Rds


def rds_of(hosts: Hosts) -> Rds:
    return hosts.world().rds(DG, "hr_rvg")


def bring(hosts: Hosts, state: LinkState) -> None:
    for link in hosts.rvgs["london", DG, "hr_rvg"].links:
        hosts.states["london", link.link_id] = state


@pytest.mark.parametrize(("state", "verb", "outcome"), [
    (LinkState.STALE, "start", "link.start"), (LinkState.ACTIVE, "start", ""), (LinkState.PAUSE, "start", ""),
    (LinkState.ACTIVE, "stop", "link.stop"), (LinkState.PAUSE, "stop", "link.stop"), (LinkState.STALE, "stop", ""),
    (LinkState.ACTIVE, "pause", "link.pause"), (LinkState.PAUSE, "pause", ""), (LinkState.STALE, "pause", "VR-1400"),
    (LinkState.PAUSE, "resume", "link.resume"), (LinkState.ACTIVE, "resume", ""),
    (LinkState.STALE, "resume", "VR-1400")])
def test_what_is_so_already_is_left_out_and_what_the_state_table_lacks_is_refused(
        state: LinkState, verb: str, outcome: str) -> None:
    hosts = made("london", "tokyo")
    bring(hosts, state)
    plans = {"start": lambda: plan_links.plan_startrep(rds_of(hosts), "", StartMethod.AUTOSYNC),
             "stop": lambda: plan_links.plan_stoprep(rds_of(hosts), ""),
             "pause": lambda: plan_links.plan_pauserep(rds_of(hosts), ""),
             "resume": lambda: plan_links.plan_resumerep(rds_of(hosts), "")}
    if outcome.startswith("VR-"):
        assert refusal(plans[verb]) == outcome
        return
    plan = plans[verb]()
    assert [step.do.method for step in plan.steps] == ([outcome] if outcome else [])
    assert plan.steps or plan.notes


def test_the_secondary_may_be_left_out_only_when_there_is_one() -> None:
    two = rds_of(made("london", "tokyo", "paris"))
    assert refusal(lambda: plan_links.plan_stoprep(two, "")) == "VR-1305"
    assert refusal(lambda: plan_links.plan_stoprep(two, "rome")) == "VR-1304"
    assert refusal(lambda: plan_links.plan_stoprep(rds_of(made("london")), "")) == "VR-1306"


def test_without_its_primary_nothing_is_started() -> None:
    hosts = made("london", "tokyo")
    hosts.silent.add("london")
    assert refusal(lambda: plan_links.plan_startrep(rds_of(hosts), "tokyo", StartMethod.BLANK)) == "VR-1302"


def test_set_changes_both_ends_of_all_links_and_a_failure_gives_the_old_values_back() -> None:
    hosts = made("london", "tokyo", "paris")
    world = hosts.world()
    plan = plan_links.plan_set(world, world.rds(DG, "hr_rvg"), "", {"synchronous": "override", "sync_ack": "network"})
    assert [(step.do.host, step.do.request.data()["attributes"]) for step in plan.steps] == [
        (host, {"synchronous": "override"}) for host in ("paris", "london", "tokyo", "london")]
    hosts.fail_at = 4
    assert refusal(lambda: drive(plan, hosts, silently)) == "VR-1700"
    assert {link.attributes.get("synchronous") for config in hosts.rvgs.values() for link in config.links} == {
        "off", None}
    hosts.fail_at = 0
    drive(plan, hosts, silently)
    world = hosts.world()
    assert plan_links.plan_set(world, world.rds(DG, "hr_rvg"), "", {"synchronous": "override"}).steps == ()


def test_set_wants_both_hosts() -> None:
    hosts = made("london", "tokyo")
    hosts.silent.add("tokyo")
    world = hosts.world()
    assert refusal(lambda: plan_links.plan_set(world, world.rds(DG, "hr_rvg"), "tokyo", {"synchronous": "off"})) \
        == "VR-1700"
