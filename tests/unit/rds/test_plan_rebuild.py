"""What a rebuilding of a configuration would do, from what was found and what the other hosts say."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from tests.unit.rds.hosts import DG, FRESH, VOLUMES, Hosts, engine_status
from volrep.engine.api import EngineState, Found, FoundCopy, FoundRvg, RestoreRequest
from volrep.model.config import RvgConfig
from volrep.model.errors import VolrepError
from volrep.model.messages import engine as messages
from volrep.rds import plan_rds
from volrep.rds.drive import drive
from volrep.rds.plan_rebuild import plan_rebuild, plan_repin
from volrep.rds.step import Call
from volrep.rds.world import HostView, World

COPY = FoundCopy(changes=7, written_ns=0, rvgs=["hrdg/hr_rvg"], volumes=3, links=1, exports=1)


@pytest.fixture
def hosts() -> Hosts:
    """london replicates to tokyo."""
    made = Hosts("london", "tokyo")
    wanted = plan_rds.wanted_rvg(DG, "hr_rvg", ",".join(v for v in VOLUMES if v != "srl"), "srl")
    drive(plan_rds.plan_setup(made.world(), wanted, "london", "tokyo", {"encryption": "off"}, FRESH), made,
          lambda _text: None)
    return made


def key() -> str:
    return f"key {next(_keys)}"


_keys = count()


def damaged(world: World, host: str) -> World:
    error = VolrepError(messages.STORE_DAMAGED, path="config.db", reason="it is")
    return World(tuple(HostView(v.name, v.address, problem=error) if v.name == host else v for v in world.hosts))


def found(hosts: Hosts, source: str, *, copied: FoundCopy | None = None, links: bool = True) -> Found:
    (config,) = (config for (host, _, _), config in hosts.rvgs.items() if host == "london")
    bare = [link.changed(key="", **{"peer_certificate": ""} if source == "header" else {})
            for link in config.links] if links else []
    return Found(state=EngineState.DAMAGED, problem="it is", copied=copied, copy_problem="", volumes=[], port=0,
                 rvgs=[FoundRvg(source=source, config=config.changed(links=bare))])


def taken(plan: object) -> RvgConfig:
    steps = plan.steps  # type: ignore[attr-defined]
    assert [step.do.method for step in steps] == ["engine.take", "engine.restore"]
    config = steps[0].do.request.rvg
    assert isinstance(config, RvgConfig)
    return config


def test_an_intact_copy_comes_first_unless_parts_are_wanted(hosts: Hosts) -> None:
    world = damaged(hosts.world(), "london")
    everything = found(hosts, "worker", copied=COPY)
    (step,) = plan_rebuild(world, "london", everything, key, parts=False).steps
    assert step.do == Call("london", "engine.restore", RestoreRequest(from_copy=True))
    assert "change 7" in step.title
    taken(plan_rebuild(world, "london", everything, key, parts=True))


@pytest.mark.parametrize("links", [True, False], ids=["header with links", "header without"])
def test_links_of_a_header_keep_their_ids_and_get_keys_and_what_the_other_host_says_now(hosts: Hosts,
                                                                                       links: bool) -> None:
    world, everything = damaged(hosts.world(), "london"), found(hosts, "header", links=links)
    plan = plan_rebuild(world, "london", everything, key, parts=False)
    (link,) = taken(plan).links
    assert (link.link_id, link.remote_host, link.peer_certificate, link.attributes) == (
        FRESH.link_id, "tokyo", "certificate of tokyo", {"encryption": "off"})
    assert link.key.startswith("key ")
    assert plan.steps[-1].do.request.port == 4145  # type: ignore[attr-defined]  # where tokyo called it


def test_a_living_workers_links_are_taken_as_they_are(hosts: Hosts) -> None:
    everything = found(hosts, "worker")
    plan = plan_rebuild(damaged(hosts.world(), "london"), "london", everything, key, parts=False)
    assert taken(plan) == everything.rvgs[0].config


def test_a_silent_host_keeps_its_link_and_is_named(hosts: Hosts) -> None:
    hosts.silent.add("tokyo")
    plan = plan_rebuild(damaged(hosts.world(), "london"), "london", found(hosts, "header"), key, parts=False)
    (link,) = taken(plan).links
    assert (link.link_id, link.peer_certificate) == (FRESH.link_id, "")
    assert any("tokyo does not answer" in note for note in plan.notes)


def test_what_cannot_be_taken_is_named_and_nothing_at_all_is_an_error(hosts: Hosts) -> None:
    world, everything = damaged(hosts.world(), "london"), found(hosts, "header")
    spoilt = [everything.rvgs[0].changed(problem="no device for dv01")]
    with pytest.raises(VolrepError, match="VR-1783"):
        plan_rebuild(world, "london", everything.changed(rvgs=spoilt), key, parts=False)
    both = everything.changed(rvgs=[*everything.rvgs, *spoilt])
    assert any("no device for dv01" in note for note in plan_rebuild(world, "london", both, key, parts=False).notes)


def test_an_engine_that_serves_something_is_not_rebuilt(hosts: Hosts) -> None:
    serving = found(hosts, "worker").changed(state=EngineState.SERVING)
    assert plan_rebuild(hosts.world(), "london", serving, key, parts=False).steps == ()
    assert plan_repin(hosts.world(), "london", key).steps == ()


@pytest.mark.parametrize("host", ["london", "tokyo"])
def test_a_new_certificate_is_made_known_with_one_new_key_the_secondary_first(hosts: Hosts, host: str) -> None:
    world = hosts.world()
    status = engine_status(host, 4145 + ["london", "tokyo"].index(host)).changed(certificate="new")
    changed = World(tuple(replace(v, status=status) if v.name == host else v for v in world.hosts))
    plan = plan_repin(changed, host, key)
    assert [step.do.host for step in plan.steps] == ["tokyo", "london"]
    ends = [step.do.request.link for step in plan.steps]  # type: ignore[attr-defined]
    assert ends[0].key == ends[1].key
    assert {end.link_id for end in ends} == {FRESH.link_id}
    assert sorted(end.peer_certificate for end in ends) == sorted(
        ["new", f"certificate of {'tokyo' if host == 'london' else 'london'}"])


def test_ends_with_different_keys_are_strangers(hosts: Hosts) -> None:
    world = hosts.world()
    views = [replace(v, rvgs=tuple(r.changed(key_prints={FRESH.link_id: v.name}) for r in v.rvgs))
             for v in world.hosts]
    assert len(plan_repin(World(tuple(views)), "london", key).steps) == 2
