"""Moving the Primary role: order, refusals with every reason, and what is broken off anywhere goes on or goes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.rds.hosts import DG, PRIMARY, SECONDARY, numbered
from tests.unit.rds.role_hosts import NOW_NS, RVG, RoleHosts, roles, split
from tests.unit.rds.test_plan_rds import refusal, silently
from volrep.engine.api import RvgInfo, RvgPromote
from volrep.model.config import LinkConfig, RvgConfig
from volrep.model.damage import MIXED, PREFIX, Salvage
from volrep.model.errors import VolrepError
from volrep.model.hooks import HookEvent
from volrep.model.messages import engine as engine_messages
from volrep.model.status import LinkState, LinkStatus, Took
from volrep.model.units import Reign
from volrep.rds.drive import drive
from volrep.rds.plan_roles import plan_migrate, plan_serve, plan_takeover
from volrep.rds.readiness import Item, Mark, for_migrate, for_takeover, ready
from volrep.rds.sites import ACTING
from volrep.rds.step import Plan

ALL_HOOKS = {event: ["10-db"] for event in HookEvent}


def migrate(hosts: RoleHosts, to: str = "tokyo", *, drain: bool = False, number: int = 100) -> Plan:
    return plan_migrate(hosts.sites(), to, numbered(number), drain=drain)


def takeover(hosts: RoleHosts, host: str = "tokyo", *, force: bool = False) -> Plan:
    return plan_takeover(hosts.sites(), host, numbered(), NOW_NS, force=force)


def unpaired(hosts: RoleHosts) -> RoleHosts:
    """As an older version made it: no link between the Secondaries."""
    for (host, _, _), config in hosts.rvgs.items():
        if host != "london":
            config.links = [link for link in config.links if link.remote_host == "london"]
    return hosts


def lost(*names: str) -> RoleHosts:
    """The Primary is away."""
    hosts = roles(*names)
    hosts.silent.add(names[0])
    return hosts


# ---- migrate


def test_a_migrate_makes_links_demotes_promotes_and_lets_everybody_follow() -> None:
    hosts = unpaired(roles("london", "tokyo", "paris"))
    drive(migrate(hosts), hosts, silently)
    assert hosts.calls == ["paris link.add", "tokyo link.add", "london rvg.demote", "tokyo rvg.promote",
                           "tokyo link.start", "tokyo link.start"]
    assert hosts.primaries() == ["tokyo"]
    assert sorted(hosts.follow) == [("tokyo", "london", "follow"), ("tokyo", "paris", "follow")]
    drive(migrate(hosts, "paris"), hosts, silently)
    drive(migrate(hosts, "london"), hosts, silently)
    assert hosts.primaries() == ["london"]
    assert not [call for call in hosts.calls[6:] if "link.add" in call]


def test_a_migrate_takes_the_database_along() -> None:
    hosts = roles("london", "tokyo")
    hosts.hooks = {"london": ALL_HOOKS, "tokyo": ALL_HOOKS}
    hosts.connections["london"] = 3
    plan = migrate(hosts)
    drive(plan, hosts, silently)
    assert [(step.do.host, getattr(step.do.request, "event", step.do.method)) for step in plan.steps] == [
        ("london", "pre-demote"), ("london", "rvg.demote"), ("london", "post-demote"), ("tokyo", "pre-promote"),
        ("tokyo", "rvg.promote"), ("tokyo", "link.start"), ("tokyo", "post-promote")]


@pytest.mark.parametrize("failing", range(1, 5))
def test_a_migrate_that_fails_before_the_promote_is_taken_back(failing: int) -> None:
    hosts = roles("london", "tokyo")
    hosts.hooks = {"london": {HookEvent.PRE_DEMOTE: ["a"], HookEvent.POST_PROMOTE: ["a"]},
                   "tokyo": {HookEvent.PRE_PROMOTE: ["a"]}}
    plan = migrate(hosts)
    hosts.fail_at = failing
    assert refusal(lambda: drive(plan, hosts, silently)) == "VR-1700"
    assert hosts.primaries() == ["london"]
    assert all(host == "london" for host, _, _ in hosts.follow)
    back = [call for call in hosts.calls[failing:] if call.endswith("hook.run")]
    assert ("london hook.run" in back) == (failing > 1)  # the database runs again where it ran


def test_a_failing_hook_stops_the_migrate_before_anything_is_changed() -> None:
    hosts = roles("london", "tokyo")
    hosts.hooks, hosts.failing_hooks = {"london": ALL_HOOKS}, {HookEvent.PRE_DEMOTE}
    assert refusal(lambda: drive(migrate(hosts), hosts, silently)) == "VR-1790"
    assert hosts.primaries() == ["london"]


def test_a_hook_that_fails_afterwards_is_told_and_moves_nothing_back() -> None:
    hosts = roles("london", "tokyo")
    hosts.hooks, hosts.failing_hooks = {"tokyo": ALL_HOOKS}, {HookEvent.POST_PROMOTE}
    assert refusal(lambda: drive(migrate(hosts), hosts, silently)) == "VR-1333"
    assert hosts.primaries() == ["tokyo"]
    again = migrate(hosts)
    assert [step.title for step in again.steps] == ["tokyo: hooks post-promote (10-db)"]


def test_a_follower_that_cannot_be_started_holds_nobody_up() -> None:
    hosts = roles("london", "tokyo", "paris")
    plan = migrate(hosts)
    hosts.fail_at = 3  # the first link.start
    assert refusal(lambda: drive(plan, hosts, silently)) == "VR-1333"
    assert [other for _, other, _ in hosts.follow] == ["paris"]
    hosts.fail_at = 0
    drive(migrate(hosts), hosts, silently)
    assert [other for _, other, _ in hosts.follow] == ["paris", "london"]


@pytest.mark.parametrize("done", range(8))
def test_a_migrate_broken_off_behind_any_step_is_finished_by_the_same_command(done: int) -> None:
    hosts = unpaired(roles("london", "tokyo", "paris"))
    hosts.ends["tokyo"] -= 512  # it lags until it is asked for all of it
    hosts.hooks = {"tokyo": {HookEvent.POST_PROMOTE: ["a"]}}

    class Breaks(RoleHosts):
        left = done

        def call(self, host: str, method: str, request: Any) -> Any:
            if not self.left:
                raise SystemExit  # the operator's machine is gone: nothing is taken back
            self.left -= 1
            return super().call(host, method, request)

    hosts.__class__ = Breaks
    plan = migrate(hosts)
    assert len(plan.steps) == 7
    if done < len(plan.steps):
        with pytest.raises(SystemExit):
            drive(plan, hosts, silently)
    hosts.__class__ = RoleHosts
    drive(migrate(hosts, number=200), hosts, silently)
    assert hosts.primaries() == ["tokyo"]
    assert {other for _, other, _ in hosts.follow} == {"london", "paris"}
    assert {step.do.method for step in migrate(hosts, number=300).steps} == {"hook.run"}


def test_between_demote_and_promote_the_role_may_go_to_whoever_has_everything() -> None:
    hosts = roles("london", "tokyo", "paris")
    hosts.rvgs["london", DG, RVG].role = SECONDARY
    hosts.ends["paris"] -= 512
    with pytest.raises(VolrepError) as caught:
        migrate(hosts, "paris")
    assert (caught.value.id, "512 bytes" in caught.value.text, caught.value.hint) == (
        "VR-1367", True, "name a host that has them: london, tokyo")
    drive(migrate(hosts, "london"), hosts, silently)
    assert hosts.primaries() == ["london"]


def test_an_unknown_end_of_the_promote_leaves_no_two_primaries() -> None:
    class Deaf(RoleHosts):
        def rvg_promote(self, host: str, request: Any) -> None:
            super().rvg_promote(host, request)
            raise VolrepError(engine_messages.ENGINE_CLOSED, reason="it went away")

    hosts = roles("london", "tokyo")
    hosts.__class__ = Deaf
    assert refusal(lambda: drive(migrate(hosts), hosts, silently)) == "VR-1334"
    assert hosts.primaries() == ["tokyo"]
    hosts.__class__ = RoleHosts
    drive(migrate(hosts), hosts, silently)
    assert [other for _, other, _ in hosts.follow] == ["london"]


def marks(items: list[Item]) -> dict[str, str]:
    return {item.what: item.mark.value for item in items}


@pytest.mark.parametrize(("what", "change"), [
    ("applications", lambda h: h.connections.update(london=1)),
    ("link", lambda h: h.disconnected.add("tokyo")),
    ("data", lambda h: h.consistent.update(tokyo=False)),
    ("host", lambda h: h.silent.add("tokyo")),
    ("Primary", lambda h: h.silent.add("london")),
    ("configuration", lambda h: h.rvgs["tokyo", DG, RVG].volumes.pop()),
])
def test_a_refused_migrate_names_every_reason_and_changes_nothing(
        what: str, change: Callable[[RoleHosts], object]) -> None:
    hosts = roles("london", "tokyo")
    change(hosts)
    items = for_migrate(hosts.sites(), "tokyo")
    assert marks(items)[what] == "no"
    assert not ready(items)
    assert all(item.remedy for item in items if item.mark is Mark.NO)
    with pytest.raises(VolrepError) as caught:
        migrate(hosts)
    assert caught.value.id == "VR-1360"
    assert all(item.says in caught.value.text for item in items if item.mark is Mark.NO)
    assert hosts.calls == []


def test_a_paused_or_stopped_link_says_how_to_go_on() -> None:
    hosts = roles("london", "tokyo")
    (link,) = hosts.rvgs["london", DG, RVG].links
    for state, verb in ((LinkState.PAUSE, "resumerep"), (LinkState.STALE, "startrep")):
        hosts.states["london", link.link_id] = state
        (item,) = [item for item in for_migrate(hosts.sites(), "tokyo") if item.what == "link"]
        assert (item.mark, verb in item.remedy) == (Mark.NO, True)


def test_what_a_migrate_waits_for_or_does_itself_refuses_nothing() -> None:
    hosts = unpaired(roles("london", "tokyo", "paris"))
    hosts.ends["tokyo"] -= 1024
    hosts.connections["london"] = 2
    hosts.hooks = {"london": {HookEvent.PRE_DEMOTE: ["10-db"]}}
    items = for_migrate(hosts.sites(), "tokyo")
    assert ready(items)
    assert {"data": "wait", "applications": "wait", "paris": "wait"}.items() <= marks(items).items()
    hosts.hooks = {}
    assert marks(for_migrate(hosts.sites(), "tokyo", drain=True))["applications"] == "warn"


def test_attached_volumes_are_nothing_that_drain_may_cut_off() -> None:
    hosts = roles("london", "tokyo")
    hosts.attached = {"london": ["dv01"]}
    for drain in (False, True):
        (item,) = [item for item in for_migrate(hosts.sites(), "tokyo", drain=drain) if item.what == "applications"]
        assert (item.mark, "dv01" in item.says, "detach" in item.remedy) == (Mark.NO, True, True)
    hosts.hooks = {"london": {HookEvent.PRE_DEMOTE: ["10-db"]}}
    assert marks(for_migrate(hosts.sites(), "tokyo"))["applications"] == "wait"


def test_a_third_host_that_was_stopped_or_is_away_is_not_dragged_along() -> None:
    hosts = roles("london", "tokyo", "paris", "rome")
    (link,) = [link for link in hosts.rvgs["london", DG, RVG].links if link.remote_host == "paris"]
    hosts.states["london", link.link_id] = LinkState.STALE
    hosts.silent.add("rome")
    plan = migrate(hosts)
    assert any("paris was not running" in note for note in plan.notes)
    drive(plan, hosts, silently)
    assert [other for _, other, _ in hosts.follow] == ["london", "rome"]  # rome is dialled until it is there


# ---- takeover


def test_a_takeover_promotes_first_and_lets_the_others_follow() -> None:
    hosts = unpaired(lost("london", "tokyo", "paris"))
    hosts.hooks = {"tokyo": ALL_HOOKS}
    drive(takeover(hosts), hosts, silently)
    assert hosts.calls == ["tokyo hook.run", "tokyo rvg.promote", "tokyo hook.run", "paris link.add", "tokyo link.add",
                           "tokyo link.start", "tokyo link.start"]
    assert [other for _, other, _ in hosts.follow] == ["london", "paris"]
    assert {step.do.method for step in takeover(hosts).steps} == {"hook.run"}


def test_a_takeover_says_what_is_lost_and_since_when_nothing_is_known() -> None:
    hosts = lost("london", "tokyo")
    (item,) = [item for item in for_takeover(hosts.sites(), "tokyo", NOW_NS) if item.what == "loss"]
    assert item.mark is Mark.OK
    assert item.says == ("all that the Primary announced was received; what the Primary did in the last 30s is not "
                         "known; all that it completed until 1970-01-01T00:00:00.000+00:00 of its clock is here")
    hosts.missing["tokyo"] = 3
    (item,) = [item for item in for_takeover(hosts.sites(), "tokyo", NOW_NS) if item.what == "loss"]
    assert (item.mark, item.says.startswith("3 writes, 1.5k that the Primary announced were not received")) == (
        Mark.WARN, True)


def test_what_the_living_primary_has_and_the_target_lacks_is_lost_too() -> None:
    hosts = roles("london", "tokyo")
    hosts.ends["london"] += 3 * 512
    (item,) = [item for item in for_takeover(hosts.sites(), "tokyo", NOW_NS) if item.what == "loss"]
    assert (item.mark, item.says) == (
        Mark.WARN, "3 writes, 1.5k and whatever london goes on writing are not on tokyo")


def test_a_host_that_waits_is_not_made_to_serve_beside_a_primary() -> None:
    class Waits(RoleHosts):
        def _info(self, config: RvgConfig) -> RvgInfo:
            info = super()._info(config)
            if config.host == "london" and info.status is not None:
                info.status.asking = ["tokyo"]
            return info

    hosts = split("london", "tokyo")
    hosts.__class__ = Waits
    with pytest.raises(VolrepError) as caught:
        plan_serve(hosts.sites(), "")
    assert (caught.value.id, "tokyo answers" in caught.value.text) == ("VR-1361", True)
    hosts.silent.add("tokyo")
    assert [(step.do.host, step.do.method) for step in plan_serve(hosts.sites(), "").steps] == [("london", "rvg.serve")]
    assert not plan_serve(hosts.sites(), "tokyo").steps


def test_a_primary_that_lives_is_not_duplicated_silently() -> None:
    hosts = roles("london", "tokyo")
    assert ready(for_takeover(hosts.sites(), "tokyo", NOW_NS))
    with pytest.raises(VolrepError) as caught:
        takeover(hosts)
    assert caught.value.id == "VR-1361"
    assert "london answers and is the Primary" in caught.value.text
    assert "migrate" in caught.value.hint
    assert takeover(hosts, force=True).steps


def test_a_primary_that_only_its_secondary_reaches_is_alive_too() -> None:
    hosts = lost("london", "tokyo")

    class Connected(RoleHosts):
        def _link(self, host: str, link: LinkConfig) -> LinkStatus:
            return super()._link(host, link).changed(connected=True)

    hosts.__class__ = Connected
    assert refusal(lambda: takeover(hosts)) == "VR-1361"


def test_an_inconsistent_secondary_and_an_acting_one_are_refused() -> None:
    hosts = lost("london", "tokyo")
    hosts.consistent["tokyo"] = False
    assert refusal(lambda: takeover(hosts)) == "VR-1360"
    hosts.consistent["tokyo"], hosts.flags["tokyo"] = True, [ACTING]
    assert refusal(lambda: takeover(hosts)) == "VR-1360"


def test_the_best_candidate_holds_most_also_in_memory() -> None:
    hosts = lost("london", "tokyo", "paris", "rome")
    hosts.ends["paris"], hosts.tails["rome"] = 5100, 600
    hosts.consistent["london"] = False
    sites = hosts.sites()
    assert [site.host for site in sites.candidates()] == ["rome", "paris", "tokyo"]
    items = {item.what: item for item in for_takeover(sites, "tokyo", NOW_NS)}
    assert (items["candidate"].mark, "rome" in items["candidate"].says) == (Mark.WARN, True)
    assert items["paris"].mark is Mark.WARN  # ahead of tokyo
    plan = takeover(hosts)
    assert [step.title for step in plan.steps if step.do.method == "link.start"] == ["tokyo: london follows"]


def test_how_far_the_others_prove_the_lost_log_durable_goes_to_the_new_primary() -> None:
    """Only Secondaries of the same reign prove anything: what another reign, or an old Primary, has is not that log."""
    hosts = lost("london", "tokyo", "paris", "rome", "oslo")
    hosts.ends |= {"tokyo": 4000, "paris": 4700, "rome": 4900, "oslo": 9000}
    reign, older = Reign(1, 0, "aa" * 8), Reign(1, 0, "bb" * 8)
    hosts.histories = {"tokyo": [reign], "paris": [reign], "rome": [older], "oslo": [reign]}
    hosts.flags["oslo"] = [ACTING]

    def proved(host: str) -> int:
        (step,) = [step for step in takeover(hosts, host).steps if step.do.method == "rvg.promote"]
        assert isinstance(step.do.request, RvgPromote)
        return step.do.request.committed_lsn

    assert (proved("tokyo"), proved("paris"), proved("rome")) == (4700, 4000, 0)
    hosts.rvgs["paris", DG, RVG].role = PRIMARY  # somebody forced a takeover there: its log is another one by now
    (step,) = [step for step in takeover(hosts, "tokyo", force=True).steps if step.do.method == "rvg.promote"]
    assert isinstance(step.do.request, RvgPromote)
    assert step.do.request.committed_lsn == 0
    hosts.silent.add("paris")
    assert proved("tokyo") == 0  # who does not answer proves nothing
    hosts.silent.discard("paris")
    hosts.rvgs["paris", DG, RVG].role = SECONDARY
    assert proved("tokyo") == 4700


def test_what_a_role_change_will_take_is_what_it_took_last_or_unknown() -> None:
    hosts = roles("london", "tokyo")
    hosts.hooks = {"tokyo": {HookEvent.POST_PROMOTE: ["10-db"]}}
    assert [step.estimate_s for step in migrate(hosts).steps] == [None, None, 0.0, None]
    hosts.took = {"london": {"rvg.demote": Took(seconds=0.4, bytes=2048)},
                  "tokyo": {"rvg.promote": Took(seconds=0.2), "hook post-promote": Took(seconds=7)}}
    assert [step.estimate_s for step in migrate(hosts).steps] == [0.4, 0.2, 0.0, 7]
    hosts.ends["tokyo"] -= 2048
    assert migrate(hosts).steps[0].estimate_s == 0.4
    hosts.ends["tokyo"] -= 1  # more is missing than was ever waited for
    assert migrate(hosts).steps[0].estimate_s is None



# ---- a takeover with what a damaged log has left


def salvaged(*, mixed: bool) -> RoleHosts:
    hosts = lost("london", "tokyo")
    hosts.consistent["tokyo"] = False
    hosts.salvage["tokyo"] = Salvage(lsn=5000, end_lsn=9000, records=3, records_known=True, mixed=mixed)
    return hosts


@pytest.mark.parametrize("mixed", [False, True])
def test_what_a_damaged_log_has_left_takes_over_by_force_only(mixed: bool) -> None:
    hosts = salvaged(mixed=mixed)
    items = for_takeover(hosts.sites(), "tokyo", NOW_NS)
    assert not ready(items)
    (said,) = [item for item in items if item.mark is Mark.FORCE]
    assert "LSN 5000; 4000 bytes behind it (3 records)" in said.says
    assert (MIXED in said.says, PREFIX in said.says) == (mixed, not mixed)
    assert f"-f takeover {RVG} tokyo" in said.remedy
    assert refusal(lambda: takeover(hosts)) == "VR-1369"
    plan = takeover(hosts, force=True)
    (asked,) = [step.do.request for step in plan.steps if isinstance(step.do.request, RvgPromote)]
    assert (asked.salvage, asked.failback) == (True, not mixed)


def test_what_a_damaged_log_has_left_waits_for_a_primary_that_is_there() -> None:
    hosts = salvaged(mixed=False)
    hosts.silent.clear()
    assert refusal(lambda: takeover(hosts, force=True)) == "VR-1360"


def test_half_a_copy_takes_over_by_no_force() -> None:
    hosts = salvaged(mixed=True)
    hosts.salvage.clear()
    assert refusal(lambda: takeover(hosts, force=True)) == "VR-1360"
