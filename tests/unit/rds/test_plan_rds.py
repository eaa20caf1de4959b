"""Plans that make and remove data sets: steps, refusals, and that one broken off anywhere can be finished."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.rds.hosts import DG, FRESH, MIB, VOLUMES, Hosts, fresh, numbered
from volrep.model.errors import VolrepError
from volrep.model.status import LinkState
from volrep.rds import plan_rds
from volrep.rds.drive import drive
from volrep.rds.step import Plan

WANTED = plan_rds.wanted_rvg(DG, "hr_rvg", "dv01,dv02", "srl")


def silently(_text: str) -> None:
    return


def setup(hosts: Hosts, number: int = 1) -> Plan:
    return plan_rds.plan_setup(hosts.world(), WANTED, "london", "tokyo", {"synchronous": "override"}, fresh(number))


def made(*names: str) -> Hosts:
    """A data set on these hosts, the first one the Primary; replication is not started."""
    hosts = Hosts(*names)
    drive(plan_rds.plan_createpri(hosts.world(), names[0], WANTED, fresh(1)), hosts, silently)
    for number, name in enumerate(names[1:], 2):
        world = hosts.world()
        drive(plan_rds.plan_addsec(world, world.rds(DG, "hr_rvg"), names[0], name, {}, numbered(10 * number)),
              hosts, silently)
    hosts.calls.clear()
    return hosts


def delsec(hosts: Hosts, secondary: str = "tokyo", *, force: bool = False, number: int = 9) -> Plan:
    world = hosts.world()
    return plan_rds.plan_delsec(world, world.rds(DG, "hr_rvg"), secondary, numbered(number), force=force)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(VolrepError) as caught:
        act()
    assert caught.value.hint
    return caught.value.id


def test_setup_makes_the_secondary_end_before_the_primary_end_and_starts_last() -> None:
    plan = setup(Hosts("london", "tokyo"))
    assert [(step.do.host, step.do.method, [undo.method for undo in step.undo]) for step in plan.steps] == [
        ("london", "rvg.create", ["rvg.delete"]),
        ("tokyo", "rvg.create", ["rvg.delete"]),
        ("tokyo", "link.add", ["link.remove"]),
        ("london", "link.add", ["link.remove"]),
        ("london", "link.start", ["link.stop"]),
    ]


def test_both_ends_share_identity_key_and_name_each_other() -> None:
    far, near = (step.do.request.data()["link"] for step in setup(Hosts("london", "tokyo")).steps
                 if step.do.method == "link.add")
    assert near["link_id"] == far["link_id"]
    assert near["key"] == far["key"] == fresh(1).key
    assert (near["name"], far["name"]) == ("rlk_tokyo_hr_rvg", "rlk_london_hr_rvg")
    assert (near["remote_address"], near["remote_port"], near["peer_certificate"]) == (
        "10.0.0.2", 4146, "certificate of tokyo")
    assert (far["remote_address"], far["remote_port"], far["peer_certificate"]) == (
        "10.0.0.1", 4145, "certificate of london")
    assert near["attributes"] == far["attributes"] == {"synchronous": "override"}


def test_setup_broken_off_behind_any_step_is_finished_by_the_same_command() -> None:
    whole = Hosts("london", "tokyo")
    count = len(drive(setup(whole), whole, silently))
    for done in range(count):
        hosts = Hosts("london", "tokyo")
        for step in setup(hosts).steps[:done]:
            hosts.call(step.do.host, step.do.method, step.do.request)
        drive(setup(hosts, number=2), hosts, silently)
        (_, _, _, _, ends) = hosts.snapshot()["london", DG, "hr_rvg"]
        assert [name for name, _, _ in ends] == ["rlk_tokyo_hr_rvg"], done
        pair = [config.links[0] for config in hosts.rvgs.values()]
        assert pair[0].key == pair[1].key, done
        assert len({config.rds_id for config in hosts.rvgs.values()}) == 1, done
        assert list(hosts.states.values())[-1] is LinkState.ACTIVE
        assert setup(hosts, number=3).steps == (), done


@pytest.mark.parametrize("failing", range(1, 6))
def test_setup_that_fails_at_any_step_leaves_nothing(failing: int) -> None:
    hosts = Hosts("london", "tokyo")
    plan = setup(hosts)
    hosts.fail_at = failing
    assert refusal(lambda: drive(plan, hosts, silently)) == "VR-1700"
    assert hosts.rvgs == {}


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("failing", range(1, 6))
def test_setup_whose_host_dies_at_any_step_and_stays_away_while_it_is_undone_is_finished_by_the_same_command(
        failing: int, done: bool) -> None:
    hosts = Hosts("london", "tokyo")
    plan = setup(hosts)
    hosts.fail_at, hosts.dies, hosts.done = failing, True, done
    assert refusal(lambda: drive(plan, hosts, silently)) == "VR-1330"
    hosts.silent.clear()
    drive(setup(hosts, number=2), hosts, silently)
    assert len({config.rds_id for config in hosts.rvgs.values()}) == 1
    assert {host: [link.remote_host for link in config.links] for (host, _, _), config in hosts.rvgs.items()} == {
        "london": ["tokyo"], "tokyo": ["london"]}
    assert setup(hosts, number=3).steps == ()


@pytest.mark.parametrize("failing", range(1, 4))
def test_delsec_that_fails_at_any_step_leaves_the_pair_as_it_was(failing: int) -> None:
    hosts = made("london", "tokyo")
    before = hosts.snapshot()
    plan = delsec(hosts)
    assert len(plan.steps) == 3
    hosts.fail_at = failing
    assert refusal(lambda: drive(plan, hosts, silently)) == "VR-1700"
    assert hosts.snapshot() == before
    keys = {link.key for config in hosts.rvgs.values() for link in config.links}
    assert len(keys) == 1


def test_delsec_broken_off_behind_any_step_is_finished_by_the_same_command() -> None:
    for done in range(3):
        hosts = made("london", "tokyo", "paris")
        for step in delsec(hosts).steps[:done]:
            hosts.call(step.do.host, step.do.method, step.do.request)
        drive(delsec(hosts), hosts, silently)
        assert set(hosts.snapshot()) == {("london", DG, "hr_rvg"), ("paris", DG, "hr_rvg")}, done
        assert [link.remote_host for link in hosts.rvgs["london", DG, "hr_rvg"].links] == ["paris"], done


def test_every_pair_of_hosts_has_a_link_of_its_own_and_delsec_takes_all_of_one_host() -> None:
    hosts = made("london", "tokyo", "paris")
    ends = {(host, link.remote_host): link.link_id for (host, _, _), config in hosts.rvgs.items()
            for link in config.links}
    assert len(ends) == 6
    assert all(ends[a, b] == ends[b, a] for a, b in ends)
    assert len(set(ends.values())) == 3
    assert addsec_to(hosts, "paris").steps == ()
    for failing in range(1, 6):
        hosts = made("london", "tokyo", "paris")
        before, plan = hosts.snapshot(), delsec(hosts, "paris")
        hosts.fail_at = failing
        assert refusal(lambda: drive(plan, hosts, silently)) == "VR-1700"  # noqa: B023  # called at once
        assert hosts.snapshot() == before
    drive(delsec(hosts, "paris"), hosts, silently)
    assert {link.remote_host for config in hosts.rvgs.values() for link in config.links} == {"london", "tokyo"}


def test_delsec_wants_replication_stopped_first_unless_forced() -> None:
    hosts = made("london", "tokyo")
    (link,) = hosts.rvgs["london", DG, "hr_rvg"].links
    hosts.states["london", link.link_id] = LinkState.ACTIVE
    assert refusal(lambda: delsec(hosts)) == "VR-1320"
    assert [step.do.method for step in delsec(hosts, force=True).steps] == [
        "link.stop", "link.remove", "link.remove", "rvg.delete"]


def test_a_secondary_that_is_gone_for_good_is_removed_by_force_alone() -> None:
    hosts = made("london", "tokyo")
    hosts.silent.add("tokyo")
    assert refusal(lambda: delsec(hosts)) == "VR-1700"
    drive(delsec(hosts, force=True), hosts, silently)
    assert hosts.rvgs["london", DG, "hr_rvg"].links == []


def test_createpri_said_again_finds_its_work_done_and_another_set_of_volumes_refused() -> None:
    hosts = made("london")
    assert plan_rds.plan_createpri(hosts.world(), "london", WANTED, FRESH).steps == ()
    other = plan_rds.wanted_rvg(DG, "hr_rvg", "dv01", "srl")
    assert refusal(lambda: plan_rds.plan_createpri(hosts.world(), "london", other, FRESH)) == "VR-1313"


def addsec_to(hosts: Hosts, secondary: str = "tokyo", primary: str = "london", **attributes: str) -> Plan:
    world = hosts.world()
    return plan_rds.plan_addsec(world, world.rds(DG, "hr_rvg"), primary, secondary, attributes, numbered(5))


def test_addsec_refuses_what_does_not_fit_before_the_first_step() -> None:
    def unlike(**sizes: int) -> Hosts:
        hosts = made("london")
        hosts.names = ("london", "tokyo")
        hosts.volumes |= {("tokyo", DG, name): sizes.get(name, size) for name, size in VOLUMES.items()}
        return hosts

    hosts = unlike(dv02=33 * MIB)
    with pytest.raises(VolrepError) as caught:
        addsec_to(hosts)
    assert caught.value.id == "VR-1311"
    assert all(part in caught.value.text for part in ("dv02", str(33 * MIB), str(32 * MIB)))
    hosts = unlike()
    del hosts.volumes["tokyo", DG, "dv01"]
    assert refusal(lambda: addsec_to(hosts)) == "VR-1310"
    hosts = unlike()
    drive(plan_rds.plan_createpri(hosts.world(), "tokyo", plan_rds.wanted_rvg(DG, "other", "dv01", "dv02"), fresh(7)),
          hosts, silently)
    assert refusal(lambda: addsec_to(hosts)) == "VR-1312"
    assert refusal(lambda: addsec_to(unlike(), "london")) == "VR-1314"
    assert refusal(lambda: addsec_to(unlike(), "london", "tokyo")) == "VR-1315"
    assert refusal(lambda: addsec_to(unlike(), "rome")) == "VR-1100"
    assert refusal(lambda: addsec_to(unlike(), compression="lz4")) == "VR-1021"
    hosts = unlike()
    hosts.silent.add("tokyo")
    assert refusal(lambda: addsec_to(hosts)) == "VR-1700"


def test_an_srl_too_small_is_refused_with_the_minimum() -> None:
    hosts = Hosts("london", volumes={**VOLUMES, "srl": 1 * MIB})
    with pytest.raises(VolrepError) as caught:
        plan_rds.plan_createpri(hosts.world(), "london", WANTED, FRESH)
    assert caught.value.id == "VR-1500"
    assert "minimum" in caught.value.text


def test_delpri_keeps_a_primary_that_has_secondaries() -> None:
    hosts = made("london", "tokyo")
    assert refusal(lambda: plan_rds.plan_delpri(hosts.world().rds(DG, "hr_rvg"), force=False)) == "VR-1321"
    drive(delsec(hosts), hosts, silently)
    drive(plan_rds.plan_delpri(hosts.world().rds(DG, "hr_rvg"), force=False), hosts, silently)
    assert hosts.rvgs == {}


@pytest.mark.parametrize(("volumes", "srl", "id_"), [
    ("dv01,", "srl", "VR-1316"), ("", "srl", "VR-1316"), ("dv01,dv01", "srl", "VR-1735"), ("dv01", "dv01", "VR-1735"),
    ("dv 01", "srl", "VR-1011"), ("dv01", "../srl", "VR-1011")])
def test_a_list_of_volumes_is_checked(volumes: str, srl: str, id_: str) -> None:
    assert refusal(lambda: plan_rds.wanted_rvg(DG, "hr_rvg", volumes, srl)) == id_
