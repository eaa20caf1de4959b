"""The Primary is lost and the Secondary's log damaged: the procedure of docs/recovery.md on two real engines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.system.nbd_client import NbdClient
from tests.system.rotting import BLOCK, block_of, is_covered, record_at, rot_record
from tests.system.test_recovery import DEADLINE_S, MIB, House, Site, until_rotten
from tests.system.two_engines import DG, RVG
from tests.system.waiting import wait_for

NEW = 1 << 40  # written by the applications of the new Primary


@pytest.fixture
def site() -> Iterator[Site]:
    with closing(House()) as house:
        yield house.fresh()


def take_over(site: Site, salvage: dict[str, Any]) -> None:
    """London dies; tokyo goes on with what is left, and says before what that is."""
    site.kill("london")
    site.volrep("-g", DG, "-f", "-s", "recover", RVG)
    refused = site.volrep("-g", DG, "-s", "takeover", RVG, "tokyo", exit_code=3)
    assert "VR-1369" in refused
    assert f"volrep -g {DG} -f takeover {RVG} tokyo" in refused
    assert f"intact up to LSN {salvage['lsn']}" in refused
    assert "VR-1030" in site.volrep("-g", DG, "-f", "takeover", RVG, "tokyo", exit_code=3)
    site.volrep("-g", DG, "-f", "-s", "takeover", RVG, "tokyo")
    with site.fleet() as fleet:
        status = fleet.call("tokyo", "rvg.list").rvgs[0].status
    assert status.history[-1].start_lsn == salvage["lsn"]
    assert (status.srl.tail_lsn > salvage["lsn"]) == salvage["mixed"], "nobody follows a mixture by the log up to it"


def write_on_tokyo(site: Site) -> None:
    site.volrep("-g", DG, "-H", "tokyo", "export", "dv01")
    (uri,) = [e["uri"] for e in site.show("exports")["exports"] if e["host"] == "tokyo"]
    client = NbdClient(uri)
    client.write(0, block_of(NEW))
    client.close()


def bring_back(site: Site) -> None:
    """London returns: what it completed is there and listed, until `fbsync`."""
    site.start_engine("london")
    wait_for(lambda: "acting_secondary" in site.link()["role_flags"], DEADLINE_S, "london to give way")
    site.until_link("STALE")
    site.assert_nothing_lost()
    found = site.show("-g", DG, "divergence", RVG, "london")
    assert found["since_fork"]["writes"] > 50
    site.volrep("-g", DG, "-s", "fbsync", RVG, "london")
    site.until_equal()
    assert site.path("london", "dv01").read_bytes()[:BLOCK] == block_of(NEW)


def test_a_mixture_takes_over_by_force_and_all_is_copied_back(site: Site) -> None:
    until_rotten(site, "tokyo", 13 * MIB)
    salvage = site.until_damaged("tokyo", "srl_data")["salvage"]
    assert salvage["mixed"], "much was written behind the damage, to other places"
    assert salvage["end_lsn"] - salvage["lsn"] > 12 * MIB
    site.write(50)
    take_over(site, salvage)
    write_on_tokyo(site)
    bring_back(site)


def test_after_a_mixture_the_role_goes_home_without_another_copy_though_nothing_was_written(site: Site) -> None:
    """Both logs begin where the copy began: what lay before it is shown by what was kept."""
    until_rotten(site, "tokyo", 13 * MIB)
    assert site.until_damaged("tokyo", "srl_data")["salvage"]["mixed"]
    site.kill("london")
    site.volrep("-g", DG, "-f", "-s", "recover", RVG)
    site.volrep("-g", DG, "-f", "-s", "takeover", RVG, "tokyo")
    site.start_engine("london")
    wait_for(lambda: "acting_secondary" in site.link()["role_flags"], DEADLINE_S, "london to give way")
    site.volrep("-g", DG, "-s", "-w", "fbsync", RVG, "london")
    site.volrep("-g", DG, "-s", "migrate", RVG, "london")
    site.until_equal()


def write_in_one_place(site: Site, count: int) -> None:
    client = NbdClient(site.uri())
    for number in range(count):
        client.write(MIB, bytes([number + 1]) * MIB)
    client.close()


def rotten_where_all_is_written_again(site: Site) -> int:
    """The number of a write that is damaged; it and all behind it went where writes since the last checkpoint had."""
    for _ in range(10):
        site.write(64)
        write_in_one_place(site, 1)
        site.write(1)
        number = site.number
        write_in_one_place(site, 13)
        with site.broken("tokyo", "srl") as (srl,):
            rotten = not is_covered(srl, record_at(srl, number - 64)) and rot_record(srl, number)
        if rotten:
            return number
        site.until_equal()
    raise AssertionError("a checkpoint came in between, ten times")


def test_a_prefix_takes_over_by_force_and_is_what_the_primary_had_there(site: Site) -> None:
    number = rotten_where_all_is_written_again(site)
    salvage = site.until_damaged("tokyo", "srl_data")["salvage"]
    assert not salvage["mixed"]
    site.write(50)
    take_over(site, salvage)
    data = site.path("tokyo", "dv01").read_bytes()
    for written in range(number - 64, number):
        at = written % 64 * BLOCK
        assert data[at:at + BLOCK] == block_of(written)
    assert data[MIB:2 * MIB] == bytes([1]) * MIB
    write_on_tokyo(site)
    bring_back(site)
