"""The verbs of the Primary role as text and as documents: what an operator must see is in both."""

from __future__ import annotations

from tests.unit.rds.hosts import DG, PRIMARY, SECONDARY, numbered
from tests.unit.rds.role_hosts import NOW_NS, RVG, returned_and_waiting, roles, split
from volrep.cli import role_show, show
from volrep.model.hooks import HookEvent
from volrep.model.status import LinkState, Rival, SinceFork, Took
from volrep.model.units import Reign
from volrep.rds import plan_failback, plan_roles, report, report_roles
from volrep.rds.readiness import for_migrate, for_takeover
from volrep.rds.sites import ACTING


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_a_dry_run_shows_all_hosts_side_by_side_and_every_step() -> None:
    hosts = roles("london", "tokyo", "paris")
    hosts.connections["london"], hosts.ends["tokyo"] = 2, 4000
    hosts.hooks = {"london": {HookEvent.PRE_DEMOTE: ["10-db"]}}
    sites = hosts.sites()
    plan = plan_roles.plan_migrate(sites, "tokyo", numbered(), drain=False)
    document = report_roles.review(sites, "migrate", "tokyo", for_migrate(sites, "tokyo"), plan, None, NOW_NS)
    assert [(s["host"], s["role"], s["after"]) for s in document["sites"]] == [
        ("london", "Primary", "Secondary"), ("paris", "Secondary", "follows"), ("tokyo", "Secondary", "Primary")]
    assert document["steps"][2]["do"]["request"]["expect_lsn"] == "(end_lsn as answered)"
    said = lines(role_show.review(document))
    assert "london paris tokyo" in said
    assert "now Primary Secondary Secondary" in said
    assert "connections 2 - -" in said
    assert "lost: nothing" in said
    assert "1. london: hooks pre-demote (10-db) (last time: unknown)" in said
    assert said[-3] == "together: unknown: the time of steps 1, 2, 3, which was not measured there yet"


def test_a_dry_run_says_what_the_steps_took_last_time() -> None:
    hosts = roles("london", "tokyo")
    hosts.took = {"tokyo": {"rvg.promote": Took(seconds=0.03)}}

    def said() -> list[str]:
        sites = hosts.sites()
        plan = plan_roles.plan_migrate(sites, "tokyo", numbered(), drain=False)
        return lines(role_show.review(report_roles.review(sites, "migrate", "tokyo", [], plan, None, NOW_NS)))

    assert "2. tokyo: become the Primary, open for I/O (last time: under 0.1s)" in said()
    assert "together: under 0.1s and the time of step 1, which was not measured there yet" in said()
    hosts.took["london"] = {"rvg.demote": Took(seconds=1.5)}
    assert "together: 1.5s" in said()


def test_a_refused_takeover_shows_the_same_list_as_validate() -> None:
    hosts = roles("london", "tokyo")
    hosts.silent.add("london")
    hosts.consistent["tokyo"] = False
    hosts.missing["tokyo"] = 3
    sites = hosts.sites()
    document = report_roles.validate(sites, NOW_NS)
    (tokyo,) = (site for site in document["sites"] if site["host"] == "tokyo")
    assert tokyo["takeover"]["items"] == [report_roles.item_document(item)
                                         for item in for_takeover(sites, "tokyo", NOW_NS)]
    assert not report_roles.all_ready(document)
    text = role_show.validate(document)
    assert "tokyo: ready for takeover: NO" in text
    assert "NO   data" in text
    assert "3 writes, 1.5k that the Primary announced were not received" in text
    assert "-> let its Primary finish it" in text


def test_a_primary_that_runs_does_not_make_its_secondary_unready() -> None:
    document = report_roles.validate(roles("london", "tokyo").sites(), NOW_NS)
    assert report_roles.all_ready(document)
    text = role_show.validate(document)
    assert [site["takeover"]["word"] for site in document["sites"] if site["takeover"]] == ["only with -f"]
    assert [site["migrate"]["word"] for site in document["sites"] if site["migrate"]] == ["yes"]
    assert "ready for takeover: yes, but only with -f (london answers and is the Primary)" in text


def test_candidates_are_ranked_and_the_others_say_why_not() -> None:
    hosts = roles("london", "paris", "rome", "tokyo")
    hosts.silent.add("london")
    hosts.ends["tokyo"] += 1024
    hosts.consistent["rome"] = False
    document = report_roles.candidates(hosts.sites(), NOW_NS)
    assert [(row["host"], row["rank"], row["lacks_bytes"]) for row in document["candidates"]] == [
        ("tokyo", 1, 0), ("paris", 2, 1024), ("london", None, None), ("rome", None, None)]
    text = role_show.candidates(document)
    assert "best: tokyo" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "lacks 1k that the best holds" in text
    assert "did not answer: london" in text


def test_a_split_brain_is_shown_by_every_verb_that_shows() -> None:
    hosts = split("london", "tokyo")
    world = hosts.world()
    for view in world.hosts:
        status = view.rvgs[0].status
        assert status is not None
        status.since_fork = SinceFork(writes=12, bytes=49152, first_ns=10**18, last_ns=10**18, complete=True)
        status.superseded_by = Rival(host="the other", generation=2, reign="ab" * 8, fork_lsn=1, since_ns=10**18)
    rds = world.rds("hrdg", "hr_rvg")
    assert [host["since_fork"] for host in report.printrvg(world, [rds])["rds"][0]["hosts"]] == ["12 writes, 48k"] * 2
    text = show.repstatus(report.repstatus(world, rds), long=False)
    assert text.count("choose the survivor: volrep -g hrdg elect hr_rvg HOST") == 2
    assert text.count("Primary-Primary configuration with the other since 2001-09-09T01:46:40.000+00:00; "
                      "12 writes, 48k of its own since the fork") == 2
    assert "Other Primary:" in text
    assert [(row["host"], row["role"], row["data_status"]) for row in report.repstatus(world, rds)["secondaries"]] == [
        ("tokyo", "Primary", "diverged")]  # london is the Primary that is shown first, and no Secondary
    assert text.count("Host name:") == 2
    assert [line for line in lines(text) if line.endswith(("Primary:", "Secondary:", "too:"))] == [
        "Primary:", "Primary, too:"]
    printed = show.printrvg(report.printrvg(world, [rds]), long=False)
    assert "primary_primary" in printed
    assert "Secondary:" not in printed
    sites = hosts.sites()
    plan = plan_failback.plan_elect(sites, "tokyo", numbered())
    document = report_roles.review(sites, "elect", "tokyo", [], plan, None, NOW_NS)
    assert document["lost"] == ["what london wrote since the fork is overwritten: an unknown number of writes"]
    assert [s["after"] for s in document["sites"]] == ["Secondary", "Primary"]


def test_who_reigns_is_the_primary_and_not_the_secondary_that_told_of_it() -> None:
    hosts = roles("london", "tokyo", "paris")
    hosts.rvgs["london", DG, RVG].role = SECONDARY
    hosts.flags["london"] = [ACTING]
    hosts.rvgs["paris", DG, RVG].role = PRIMARY
    reign = "ab" * 8
    hosts.histories = {"paris": [Reign(2, 100, reign)]}

    def said() -> str:
        world = hosts.world()
        for view in world.hosts:
            for info in view.rvgs:
                if info.status is not None and view.name == "london":
                    info.status.superseded_by = Rival(host="tokyo", generation=2, reign=reign, fork_lsn=1)
        return show.repstatus(report.repstatus(world, world.rds(DG, RVG)), long=False)

    assert "superseded by paris;" in said()
    assert "Superseded by: paris" in " ".join(said().split())
    hosts.silent.add("paris")
    assert "superseded by another host, as tokyo says;" in said()


def test_a_host_that_a_new_primary_has_not_met_is_not_called_inconsistent() -> None:
    hosts = roles("london", "tokyo", "paris")
    hosts.silent.add("tokyo")
    hosts.consistent["tokyo"] = False  # as the Primary believes of whom it has not met
    world = hosts.world()
    document = report.repstatus(world, world.rds(DG, RVG))
    assert {row["host"]: row["data_status"] for row in document["secondaries"]} == {
        "paris": "consistent, up-to-date", "tokyo": "N/A"}
    printed = show.printrvg(report.printrvg(world, [world.rds(DG, RVG)]), long=False)
    assert printed.count("Config Errors:") == 1


def test_the_picture_stays_narrow_and_counts_nothing_on_a_stale_link() -> None:
    hosts = roles("london", "tokyo", "paris")
    hosts.silent.add("paris")
    (link,) = [link for link in hosts.rvgs["london", DG, RVG].links if link.remote_host == "tokyo"]
    hosts.states["london", link.link_id] = LinkState.STALE
    document = report_roles.validate(hosts.sites(), NOW_NS)
    text = role_show.side_by_side(document["sites"])
    assert max(len(line) for line in text.splitlines() if not line.startswith("problem of")) < 80
    assert "problem of paris: " in text
    assert [problem["host"] for problem in document["problems"]] == ["paris"]
    (tokyo,) = [site for site in document["sites"] if site["host"] == "tokyo"]
    assert tokyo["behind_writes"] is None


def test_three_hosts_fit_in_80_columns_whatever_they_are() -> None:
    hosts = roles("london", "tokyo", "paris")
    hosts.rvgs["paris", DG, RVG].role = SECONDARY
    hosts.flags["paris"] = [ACTING]
    text = role_show.side_by_side(report_roles.validate(hosts.sites(), NOW_NS)["sites"])
    assert max(map(len, text.splitlines())) <= 80
    assert "now Primary acting Secondary Secondary" in lines(text)
    at = lines(text).index("data current consistent, consistent,")
    assert lines(text)[at + 1] == "diverged up-to-date"


def test_a_forced_takeover_says_that_the_other_primary_stays() -> None:
    sites = roles("london", "tokyo").sites()
    plan = plan_roles.plan_takeover(sites, "tokyo", numbered(), NOW_NS, force=True)
    assert "london is alive" in plan.notes[0]
    assert "elect hr_rvg HOST" in plan.notes[0]
    document = report_roles.review(sites, "takeover", "tokyo", [], plan, None, NOW_NS)
    assert [site["after"] for site in document["sites"]] == ["Primary, too", "Primary"]
    both = for_takeover(split("london", "paris", "tokyo").sites(), "tokyo", NOW_NS)
    (fence,) = [item for item in both if item.what == "Primary"]
    assert "london and paris answer and are Primary, both" in fence.says
    assert "elect" in fence.remedy


def test_the_other_primary_is_never_the_host_itself_though_its_history_has_the_older_reign() -> None:
    """Tokyo took over, paris after it while tokyo was cut off: reign 2 is tokyo's, and a line of paris's history."""
    hosts = split("paris", "tokyo")
    older, newer = Reign(2, 100, "ab" * 8), Reign(3, 200, "cd" * 8)
    hosts.histories = {"paris": [older, newer], "tokyo": [older]}
    world = hosts.world()
    for view in world.hosts:
        status = view.rvgs[0].status
        assert status is not None
        other, reign = ("tokyo", older) if view.name == "paris" else ("paris", newer)
        status.superseded_by = Rival(host=other, generation=reign.generation, reign=reign.reign_id, fork_lsn=200)
    errors = {e["host"]: e["message"] for e in report.repstatus(world, world.rds(DG, RVG))["config_errors"]}
    assert errors["paris"].startswith("Primary-Primary configuration with tokyo;")
    assert errors["tokyo"].startswith("Primary-Primary configuration with paris;")


def test_a_primary_that_waits_is_never_shown_as_the_primary_beside_the_one_that_reigns() -> None:
    hosts = returned_and_waiting()
    world = hosts.world()
    rds = world.rds(DG, RVG)
    document = report.repstatus(world, rds)
    assert document["primary"]["host"] == "tokyo"
    assert [(row["host"], row["role"], row["data_status"]) for row in document["secondaries"]] == [
        ("london", "waiting Primary", "N/A"), ("paris", "Secondary", "consistent, stale")]
    (london,) = document["config_errors"][:1]
    assert london == {"host": "london", "message": (
        "waits for tokyo to answer before it serves; tokyo is the Primary: restore the network between tokyo and "
        "london, which then gives way by itself")}
    text = show.repstatus(document, long=False)
    assert [line for line in lines(text) if line.endswith(("Primary:", "Secondary:", "too:", "waits:"))] == [
        "Primary:", "Primary that waits:", "Secondary:"]
    assert "Waits for: tokyo to answer before it serves" in lines(text)
    assert "serve`" not in text  # it would be refused, or make two Primaries
    printed = report.printrvg(world, [rds])
    assert printed["rds"][0]["primary"]["host"] == "tokyo"
    assert [host["may_serve"] for host in printed["rds"][0]["hosts"] if host["waiting"]] == [False]
    assert "Primary that waits:" in lines(show.printrvg(printed, long=False))
    validated = report_roles.validate(hosts.sites(), NOW_NS)
    assert [(site["role"], site["data"]) for site in validated["sites"] if site["host"] == "london"] == [
        ("waiting Primary", "N/A")]
    assert "tokyo is the Primary: restore" in validated["problems"][0]["message"]


def test_a_primary_that_waits_alone_is_the_primary_and_may_be_let_serve() -> None:
    hosts = roles("london", "tokyo")
    hosts.asking["london"] = ["tokyo"]
    hosts.silent.add("tokyo")
    world = hosts.world()
    document = report.repstatus(world, world.rds(DG, RVG))
    assert (document["primary"]["host"], document["primary"]["io"]) == ("london", "disabled")
    assert [site["data"] for site in report_roles.validate(hosts.sites(), NOW_NS)["sites"]] == ["N/A", "N/A"]
    hosts_shown = report.printrvg(world, [world.rds(DG, RVG)])["rds"][0]["hosts"]
    assert [host["may_serve"] for host in hosts_shown if host["waiting"]] == [True]
    (waits,) = [error["message"] for error in document["config_errors"] if error["host"] == "london"]
    assert waits == ("waits for tokyo to answer before it serves: restore the network; or, if you know that none of "
                     "them took over: volrep -g hrdg serve hr_rvg")


SINCE = {"writes": 12, "bytes": 49152, "first": "2026-01-02T03:04:05.000+00:00",
         "last": "2026-01-02T03:05:06.000+00:00", "complete": True}
LISTED = {"host": "london", "fork_lsn": 4096, "since_fork": SINCE, "strayed": "", "regions": [], "volumes": [
    {"name": "dv01", "writes": 12, "bytes": 49152, "regions_bytes": 1 << 20}]}


def test_divergence_says_since_when_within_80_columns() -> None:
    text = role_show.divergence(LISTED)
    assert lines(text)[:4] == ["london: fork at LSN 4096", "since then 12 writes, 48k",
                               "first: 2026-01-02T03:04:05.000+00:00", "last: 2026-01-02T03:05:06.000+00:00"]
    assert "dv01 12 48k 1m" in lines(text)
    assert max(map(len, text.splitlines())) <= 80


def test_divergence_without_a_fork_says_that_there_is_none() -> None:
    none = LISTED | {"fork_lsn": 0, "since_fork": None, "volumes": []}
    assert role_show.divergence(none) == "london: no fork is known: every host that it has met shares its history"
    strayed = none | {"strayed": "12k of the log of a reign that is given up"}
    assert role_show.divergence(strayed) == \
        "london: no fork is known; it holds 12k of the log of a reign that is given up"
