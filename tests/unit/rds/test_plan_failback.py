"""Bringing hosts back: fbsync, makesec and elect, and who is said to follow whom in a split brain."""

from __future__ import annotations

import pytest

from tests.unit.rds.hosts import DG, SECONDARY, numbered
from tests.unit.rds.role_hosts import NOW_NS, RVG, RoleHosts, roles, split
from tests.unit.rds.test_plan_rds import refusal, silently
from tests.unit.rds.test_plan_roles import ALL_HOOKS, lost, migrate, takeover
from volrep.model.errors import VolrepError
from volrep.model.status import LinkState
from volrep.model.units import Reign
from volrep.rds import report, report_roles
from volrep.rds.drive import drive
from volrep.rds.plan_failback import plan_elect, plan_fbsync, plan_makesec
from volrep.rds.plan_links import overwritten
from volrep.rds.readiness import Mark, for_migrate, for_takeover
from volrep.rds.sites import ACTING


def returned() -> RoleHosts:
    hosts = lost("london", "tokyo")
    drive(takeover(hosts), hosts, silently)
    hosts.silent.clear()
    hosts.rvgs["london", DG, RVG].role = SECONDARY
    hosts.flags["london"] = [ACTING]
    for (host, id_), _ in list(hosts.states.items()):
        hosts.states[host, id_] = LinkState.STALE
    hosts.calls.clear()
    return hosts


def test_fbsync_copies_back_to_the_one_acting_secondary() -> None:
    hosts = returned()
    plan = plan_fbsync(hosts.sites(), "", numbered())
    drive(plan, hosts, silently)
    assert hosts.follow[-1] == ("tokyo", "london", "failback")
    assert "migrate hr_rvg london" in plan.notes[0]
    # Said again while its link waits to let it follow, it is an order to copy back all the same
    assert [step.do.method for step in plan_fbsync(hosts.sites(), "london", numbered()).steps] == ["link.start"]
    hosts.flags["london"] = []
    assert refusal(lambda: plan_fbsync(hosts.sites(), "", numbered())) == "VR-1363"
    follows = plan_fbsync(hosts.sites(), "london", numbered())
    assert follows.steps == ()
    assert "london follows tokyo already" in follows.notes[0]
    for (host, id_), _ in list(hosts.states.items()):
        hosts.states[host, id_] = LinkState.STALE
    assert refusal(lambda: plan_fbsync(hosts.sites(), "london", numbered())) == "VR-1362"
    hosts.silent.add("london")
    assert "london did not answer" in str(_raised(hosts))


def test_a_link_says_that_its_other_end_is_brought_back_by_a_failback() -> None:
    hosts = returned()
    world = hosts.world()
    (rds,) = report.printrvg(world, [world.rds(DG, RVG)])["rds"]
    assert [(link["remote_host"], link["remote_role"], link["fails_back"]) for link in rds["primary"]["links"]] == [
        ("london", "acting Secondary", True)]
    document = report.repstatus(world, world.rds(DG, RVG))
    assert [row["data_status"] for row in document["secondaries"]] == ["consistent, diverged"]
    hosts.silent.add("london")
    world = hosts.world()
    (rds,) = report.printrvg(world, [world.rds(DG, RVG)])["rds"]
    assert [(link["remote_role"], link["fails_back"]) for link in rds["primary"]["links"]] == [("N/A", False)]


def _raised(hosts: RoleHosts) -> VolrepError:
    with pytest.raises(VolrepError) as caught:
        plan_fbsync(hosts.sites(), "", numbered())
    return caught.value


def test_elect_makes_the_loser_step_down_and_copies_to_it() -> None:
    hosts = split("london", "tokyo")
    hosts.hooks = {"london": ALL_HOOKS}
    assert refusal(lambda: migrate(hosts)) == "VR-1360"
    assert refusal(lambda: plan_fbsync(hosts.sites(), "", numbered())) == "VR-1364"
    assert refusal(hosts.sites().rds.primary) == "VR-1364"
    drive(plan_elect(hosts.sites(), "tokyo", numbered()), hosts, silently)
    assert hosts.calls == ["london hook.run", "london rvg.makesec", "tokyo rvg.promote", "tokyo link.start"]
    assert (hosts.primaries(), hosts.follow) == (["tokyo"], [("tokyo", "london", "failback")])
    assert refusal(lambda: plan_elect(hosts.sites(), "london", numbered())) == "VR-1368"
    hosts.flags["london"] = []
    again = plan_elect(hosts.sites(), "tokyo", numbered())  # its own error says: run the same command again
    assert again.steps == ()
    assert again.notes == ("tokyo is the only Primary already: there is nothing to elect",
                           "to move the role: volrep -g hrdg migrate hr_rvg london")


def parted() -> RoleHosts:
    """London (reign 1) and tokyo (reign 2) are both Primary; paris has followed tokyo."""
    hosts = split("london", "tokyo", "paris")
    first, second = Reign(1, 8, "aa" * 8), Reign(2, 4096, "bb" * 8)
    hosts.histories = {"london": [first], "tokyo": [first, second], "paris": [first, second]}
    return hosts


def test_a_third_host_goes_back_with_the_reign_that_is_given_up() -> None:
    hosts = parted()
    plan = plan_elect(hosts.sites(), "london", numbered())
    document = report_roles.review(hosts.sites(), "elect", "london", [], plan, None, NOW_NS)
    assert document["lost"][1] == "what paris holds is overwritten: 904 of log of another reign that the Primary lacks"
    assert [site["after"] for site in document["sites"]] == ["Primary", "Secondary", "Secondary"]
    drive(plan, hosts, silently)
    assert hosts.follow == [("london", "tokyo", "failback"), ("london", "paris", "failback")]
    assert [step.do.method for step in plan_elect(parted().sites(), "tokyo", numbered()).steps] == [
        "rvg.makesec", "rvg.promote", "link.start"]  # paris follows tokyo as it did


def test_who_was_away_when_the_primary_was_elected_is_brought_back_by_fbsync() -> None:
    hosts = parted()
    hosts.silent.add("paris")
    plan = plan_elect(hosts.sites(), "london", numbered())
    assert any("fbsync hr_rvg paris" in note for note in plan.notes)
    drive(plan, hosts, silently)
    hosts.silent.clear()
    hosts.flags["tokyo"] = []
    hosts.histories["london"] = hosts.histories["tokyo"] = [Reign(1, 8, "aa" * 8), Reign(3, 5000, "cc" * 8)]
    assert [site.host for site in hosts.sites().returning()] == ["paris"]
    assert [row["fails_back"] for row in report.printrvg(hosts.world(), [hosts.sites().rds])["rds"][0]["hosts"]] == [
        False, False, True]
    said, asks = overwritten(hosts.sites().rds, "paris")
    assert asks
    assert said == "what paris holds: 904 of log of another reign that the Primary lacks"
    hosts.follow.clear()
    drive(plan_fbsync(hosts.sites(), "", numbered()), hosts, silently)
    assert hosts.follow == [("london", "paris", "failback")]


def test_who_only_holds_more_of_a_shared_reign_is_copied_over_with_a_word_and_without_a_question() -> None:
    """As after `recover -f` of a Primary, which has asked, or a takeover by the host that held less, which has, too."""
    hosts = roles("london", "tokyo")
    first = Reign(1, 8, "aa" * 8)
    hosts.histories = {"london": [first, Reign(2, 4096, "bb" * 8)], "tokyo": [first]}
    assert [site.host for site in hosts.sites().returning()] == ["tokyo"]
    assert overwritten(hosts.sites().rds, "tokyo") == ("what tokyo holds: 904 of log that the Primary lacks", False)


def test_nobody_goes_back_to_a_reign_that_is_not_the_newest() -> None:
    """Before the operator has chosen, a Primary of an older reign takes nobody from the newer one."""
    hosts = parted()
    hosts.rvgs["tokyo", DG, RVG].role = SECONDARY
    assert hosts.sites().returning() == []
    assert overwritten(hosts.sites().rds, "paris") == ("", False)
    assert refusal(lambda: plan_fbsync(hosts.sites(), "", numbered())) == "VR-1363"


def test_a_conflict_with_a_host_that_is_gone_is_settled_by_electing_who_is_left() -> None:
    hosts = parted()
    hosts.silent |= {"tokyo", "paris"}
    plan = plan_elect(hosts.sites(), "london", numbered())
    assert [step.do.method for step in plan.steps] == ["rvg.promote"]


def test_makesec_of_the_newer_reign_names_everybody_who_is_to_be_brought_back() -> None:
    hosts = parted()
    plan = plan_makesec(hosts.sites(), "tokyo", "london", numbered(), force=False)
    assert [step.do.method for step in plan.steps] == ["rvg.makesec", "rvg.promote"]
    assert ["tokyo" in plan.notes[0], "fbsync hr_rvg paris" in plan.notes[1]] == [True, True]


def test_in_a_split_brain_nobody_is_said_to_follow_who_does_not() -> None:
    hosts = parted()
    said = {item.what: item for item in for_migrate(hosts.sites(), "paris")}
    assert said["Primary"].mark is Mark.NO
    said = {item.what: item for item in for_takeover(hosts.sites(), "paris", NOW_NS)}
    assert (said["tokyo"].mark, said["tokyo"].says) == (Mark.WARN, "tokyo is a Primary, too, and stays one")
    hosts.rvgs["tokyo", DG, RVG].role, hosts.flags["tokyo"] = SECONDARY, [ACTING]
    said = {item.what: item for item in for_takeover(hosts.sites(), "paris", NOW_NS)}
    assert (said["tokyo"].mark, "fbsync" in said["tokyo"].remedy) == (Mark.WARN, True)


def test_makesec_alone_leaves_the_copying_to_the_operator() -> None:
    hosts = split("london", "tokyo")
    plan = plan_makesec(hosts.sites(), "", "tokyo", numbered(), force=False)
    drive(plan, hosts, silently)
    assert hosts.calls == ["london rvg.makesec", "tokyo rvg.promote"]  # else nobody of a newer reign would follow it
    assert "fbsync" in plan.notes[0]
    assert plan_makesec(hosts.sites(), "london", "tokyo", numbered(), force=False).steps == ()
    assert refusal(lambda: plan_makesec(hosts.sites(), "", "london", numbered(), force=False)) == "VR-1368"
    assert refusal(lambda: plan_makesec(roles("london", "tokyo").sites(), "", "london", numbered(),
                                        force=False)) == "VR-1362"
