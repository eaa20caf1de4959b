"""What a new SRL takes over from the one before."""

from __future__ import annotations

import pytest

from tests.unit.log.support import a_header
from volrep.log.header import SrlHeader
from volrep.log.renew import REPLACED, renewed
from volrep.model.config import LinkConfig, Role, RvgConfig, RvgVolume
from volrep.model.units import FIRST_LSN, Reign


def config(role: Role = Role.PRIMARY) -> RvgConfig:
    link = LinkConfig(link_id="l", name="rlk", remote_host="tokyo", remote_address="a", remote_port=1,
                      peer_certificate="", key="")
    return RvgConfig(
        rds_id="rds", rvg_id="rvg", dg="hrdg", name="hr_rvg", host="london", role=role, links=[link],
        srl=RvgVolume(index=-1, name="srl", path="/srl", size_bytes=1 << 25, volume_id="s"),
        volumes=[RvgVolume(index=0, name="dv01", path="/dv01", size_bytes=1 << 20, volume_id="d")],
        certificate_path="c", private_key_path="k")


def old(**changes: object) -> SrlHeader:
    return a_header(history=[Reign(1, FIRST_LSN, "ab")], applied_lsn=8192, durable_lsn=12288, incarnation=7,
                    links={"l": {"state": "ACTIVE"}}, **changes)


def test_a_log_that_was_closed_cleanly_goes_on() -> None:
    before = old(clean=True)
    header, first_lsn = renewed(before, config(), "new")
    assert first_lsn == 12288
    assert (header.history, header.generation, header.incarnation) == (before.history, 1, 7)
    assert header.links == {"l": {"state": "ACTIVE"}}
    assert header.distrust == ""


def test_an_unclean_one_is_another_history_from_its_checkpoint_on() -> None:
    header, first_lsn = renewed(old(), config(), "new")
    assert first_lsn == 12288, "no LSN stands for two things"
    assert [(reign.generation, reign.start_lsn) for reign in header.history] == [(1, FIRST_LSN), (2, 8192)]
    assert header.history[1].reign_id not in ("", "ab")
    assert header.distrust == REPLACED


@pytest.mark.parametrize("role", Role)
def test_of_one_that_cannot_be_read_nothing_is_believed(role: Role) -> None:
    header, first_lsn = renewed(None, config(role), "new")
    assert first_lsn == FIRST_LSN
    assert header.consistent == (role is Role.PRIMARY)
    assert header.distrust == REPLACED
    assert header.history == [Reign(1, FIRST_LSN, "new" if role is Role.PRIMARY else "")]
    assert header.links == ({"l": {"state": "STALE", "reason": REPLACED}} if role is Role.PRIMARY else {})
