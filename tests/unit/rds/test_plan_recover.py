"""Where recovery acts, and what it refuses to give up."""

from __future__ import annotations

import pytest

from tests.unit.rds.hosts import DG
from tests.unit.rds.test_plan_rds import made
from volrep.model.damage import Damage, DamageKind
from volrep.model.errors import VolrepError
from volrep.model.status import RvgState
from volrep.rds import plan_recover
from volrep.rds.world import Rds, World

RVG = "hr_rvg"


def world(**damaged: DamageKind) -> World:
    """London is Primary, tokyo Secondary; those named are in FAIL with that damage."""
    found = made("london", "tokyo").world()
    for view in found.hosts:
        status = view.rvgs[0].status
        assert status is not None
        if view.name in damaged:
            kind = damaged[view.name]
            accept = f"{kind}:8192" if kind is DamageKind.SRL_DATA else ""
            status.state = RvgState.FAIL
            status.damage = Damage(kind=kind, part="p", path="/p", found="f", safe="s", lost="l", next=["n"],
                                   accept=accept, gives_up="g" if accept else "")
    return found


def rds(found: World) -> Rds:
    return found.rds(DG, RVG)


def test_every_failed_host_is_tried_the_primary_first() -> None:
    found = world(tokyo=DamageKind.VOLUME_MISSING, london=DamageKind.SRL_HEADER)
    members = plan_recover.failed_members(found, rds(found), "")
    assert [member.host.name for member in members] == ["london", "tokyo"]
    (step,) = plan_recover.plan_recover(rds(found), members[0]).steps
    assert (step.do.host, step.do.method, step.do.request.data()["accept"]) == ("london", "rvg.recover", "")
    assert plan_recover.failed_members(world(), rds(world()), "") == []


def test_only_what_was_shown_is_given_up() -> None:
    found = world(tokyo=DamageKind.SRL_DATA)
    plan, member, damage = plan_recover.plan_give_up(rds(found), plan_recover.failed_members(found, rds(found), ""))
    assert member.host.name == "tokyo"
    assert plan.steps[0].do.request.data()["accept"] == damage.accept == "srl_data:8192"


@pytest.mark.parametrize(("damaged", "vr_id"), [
    ({"london": DamageKind.SRL_HEADER}, "VR-1350"), ({}, "VR-1350"),
    ({"london": DamageKind.SRL_DATA, "tokyo": DamageKind.SRL_DATA}, "VR-1351")])
def test_what_cannot_be_given_up_or_on_several_hosts_is_refused(damaged: dict[str, DamageKind], vr_id: str) -> None:
    found = world(**damaged)
    with pytest.raises(VolrepError, match=vr_id):
        plan_recover.plan_give_up(rds(found), plan_recover.failed_members(found, rds(found), ""))


def test_a_new_srl_goes_to_the_host_whose_srl_is_damaged() -> None:
    found = world(tokyo=DamageKind.SRL_HEADER)
    assert plan_recover.aslog_member(rds(found), "").host.name == "tokyo"
    assert plan_recover.aslog_member(rds(found), "london").host.name == "london"
    with pytest.raises(VolrepError, match="VR-1352"):
        plan_recover.aslog_member(rds(world()), "")
    assert "LOST" in plan_recover.aslog_loses(plan_recover.aslog_member(rds(found), "tokyo"))
    assert "LOST" not in plan_recover.aslog_loses(plan_recover.aslog_member(rds(found), "london"))


def test_another_file_goes_to_the_host_that_failed() -> None:
    found = world(tokyo=DamageKind.VOLUME_MISSING)
    volume = found.hosts[0].rvgs[0].config.volumes[0].name
    assert plan_recover.replace_host(found, DG, volume, "") == "tokyo"
    with pytest.raises(VolrepError, match="VR-1352"):
        plan_recover.replace_host(world(), DG, volume, "")
