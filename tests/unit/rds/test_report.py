"""What repstatus and printrvg say, in VVR's words, for every state of a link."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rds.hosts import DG, MIB, link_status
from tests.unit.rds.test_plan_rds import made
from volrep.model.config import LinkConfig
from volrep.model.status import LinkState, SyncStatus
from volrep.rds import report
from volrep.rds.world import HostView, World

LINK = LinkConfig(link_id="l", name="rlk_tokyo_hr_rvg", remote_host="tokyo", remote_address="a", remote_port=1,
                  peer_certificate="", key="")
SYNC = SyncStatus(method="autosync", done_bytes=1, total_bytes=4, rate_bytes_per_s=1.0, left_s=3.0)
UP = {"connected": True, "consistent": True}


@pytest.mark.parametrize(("state", "more", "data", "replication"), [
    (LinkState.ACTIVE, UP, "consistent, up-to-date", "replicating (connected)"),
    (LinkState.ACTIVE, UP | {"behind_writes": 3, "behind_bytes": 9}, "consistent, behind", "replicating (connected)"),
    (LinkState.ACTIVE, {"consistent": True, "behind_writes": 3}, "consistent, behind",
     "paused due to network disconnection"),
    (LinkState.ACTIVE, {"connected": True, "sync": SYNC}, "inconsistent", "resync in progress (autosync)"),
    (LinkState.ACTIVE, {"sync": SYNC, "reason": "no route"}, "inconsistent", "resync paused due to no route"),
    (LinkState.PAUSE, {"consistent": True, "behind_writes": 1}, "consistent, behind", "paused by user"),
    (LinkState.PAUSE, {"sync": SYNC}, "inconsistent", "resync paused by user"),
    (LinkState.STALE, {"consistent": True, "reason": "the SRL filled"}, "consistent, stale",
     "stopped (the SRL filled)"),
    (LinkState.STALE, {}, "inconsistent", "stopped (Primary detached)"),
    (LinkState.FAIL, {"reason": "disk"}, "inconsistent", "not replicating (disk)")])
def test_states_of_a_link_in_vvr_words(state: LinkState, more: dict[str, Any], data: str, replication: str) -> None:
    link = link_status(LINK, state, **more)
    assert report.data_status(link, None) == data
    assert report.replication_status(link) == replication


def test_a_secondary_that_calls_itself_inconsistent_is_believed() -> None:
    hosts = made("london", "tokyo")
    far = hosts.world().rds(DG, "hr_rvg").member("tokyo")
    assert far is not None
    assert far.info.status is not None
    far.info.status.consistent = False
    assert report.data_status(link_status(LINK, LinkState.ACTIVE, **UP), far) == "inconsistent"


def _repstatus(world: World) -> dict[str, Any]:
    return report.repstatus(world, world.rds(DG, "hr_rvg"))


def test_repstatus_has_the_shape_that_the_console_reads() -> None:
    document = _repstatus(made("london", "tokyo").world())
    assert {"dg", "rvg", "primary", "secondaries", "events", "config_errors"} <= set(document)
    assert document["primary"]["srl"] == {"name": "srl", "size_bytes": 128 * MIB, "used_bytes": 25 * MIB,
                                          "used_percent": 25.0}
    (secondary,) = document["secondaries"]
    assert {"host", "rlink", "data_status", "replication_status", "configured_mode", "current_mode", "logging_to",
            "behind", "sync", "srl_protection", "connected"} <= set(secondary)
    assert document["config_errors"] == []


def test_a_secondary_that_does_not_answer_is_still_shown_as_the_primary_sees_it() -> None:
    hosts = made("london", "tokyo")
    hosts.silent.add("tokyo")
    document = _repstatus(hosts.world())
    assert [row["host"] for row in document["secondaries"]] == ["tokyo"]
    assert document["config_errors"] == [{"host": "tokyo", "message": "host unreachable"}]


def test_without_its_primary_a_data_set_shows_what_the_secondaries_know() -> None:
    hosts = made("london", "tokyo")
    hosts.silent.add("london")
    document = _repstatus(hosts.world())
    assert document["primary"] is None
    assert document["secondaries"][0]["data_status"] == "consistent"
    assert document["secondaries"][0]["replication_status"] == "N/A"
    assert {error["message"] for error in document["config_errors"]} >= {"no host that answers holds the Primary"}


def test_a_worker_that_is_down_is_an_error_and_no_crash() -> None:
    world = made("london", "tokyo").world()
    for host in world.hosts:
        host.rvgs[0].status, host.rvgs[0].problem = None, "recovering"
    document = _repstatus(world)
    assert document["primary"]["state"] == "N/A"
    assert {error["host"] for error in document["config_errors"]} == {"london", "tokyo"}
    assert report.printrvg(world, world.all_rds())["rds"][0]["primary"]["problem"] == "recovering"


def test_an_rvg_that_could_not_open_its_srl_is_shown() -> None:
    """Of an SRL that nobody could open not even the capacity is known."""
    world = made("london", "tokyo").world()
    for host in world.hosts:
        status = host.rvgs[0].status
        assert status is not None
        status.srl.capacity_bytes = 0
    assert _repstatus(world)["primary"]["srl"]["used_percent"] == 0.0


def test_two_primaries_and_differing_sizes_are_told() -> None:
    hosts = made("london", "tokyo")
    hosts.rvgs["tokyo", DG, "hr_rvg"].volumes[0].size_bytes += 1
    (document,) = report.printrvg(hosts.world(), hosts.world().all_rds())["rds"]
    assert "size mismatch: volume dv01" in document["config_errors"][0]["message"]
    config = hosts.rvgs["tokyo", DG, "hr_rvg"]
    config.role = hosts.rvgs["london", DG, "hr_rvg"].role
    errors = report.config_errors(hosts.world().all_rds()[0])
    assert [e["message"] for e in errors[:2]] == [
        "Primary-Primary configuration; choose the survivor: volrep -g hrdg elect hr_rvg HOST"] * 2


def test_events_of_all_hosts_stand_in_the_order_of_time() -> None:
    from volrep.model.status import Event

    def events(*times: int) -> tuple[Event, ...]:
        return tuple(Event(time_ns=t * 10**9, dg=DG, rvg="hr_rvg", type="t", message=str(t)) for t in times)

    world = made("london", "tokyo").world()
    london, tokyo = (HostView(h.name, h.address, h.status, h.rvgs, h.volumes, events(*times))
                     for h, times in zip(world.hosts, ((1, 4), (2, 3)), strict=True))
    document = _repstatus(World((london, tokyo)))
    assert [(e["host"], e["message"]) for e in document["events"]] == [
        ("london", "1"), ("tokyo", "2"), ("tokyo", "3"), ("london", "4")]
