"""What an operator of an RVG in FAIL is told: for every message that puts it there a kind, stakes and next moves."""

from __future__ import annotations

from typing import Any

import pytest

from volrep.log.record import RecordHeader, RecordType
from volrep.log.verdict import Gap
from volrep.model.config import Role, RvgConfig, RvgVolume
from volrep.model.damage import DamageKind, LinkFault, Salvage, fault_of
from volrep.model.errors import Message, VolrepError
from volrep.model.messages import log as messages
from volrep.rvg.damage import damage_of, lost_records, rvg_flags


def config(role: Role) -> RvgConfig:
    return RvgConfig(
        rds_id="r", rvg_id="v", dg="hrdg", name="hr_rvg", host="london", role=role,
        srl=RvgVolume(index=-1, name="srl", path="/srl", size_bytes=1 << 25, volume_id="s"),
        volumes=[RvgVolume(index=0, name="dv01", path="/dv01", size_bytes=1 << 20, volume_id="d")],
        certificate_path="c", private_key_path="k")


VALUES: dict[str, Any] = {"name": "dv01", "path": "/dv01", "reason": "r", "lsn": 8192, "durable_lsn": 9000, "length": 1,
                          "found": "f", "wanted": "w", "found_bytes": 1, "wanted_bytes": 2}
FOUND = [
    (messages.SRL_HEADER_DAMAGED, DamageKind.SRL_HEADER, "srl_header_err", LinkFault.LOG),
    (messages.SRL_ABSENT, DamageKind.SRL_MISSING, "srl_header_err", LinkFault.LOG),
    (messages.SRL_RESIZED, DamageKind.SRL_SIZE, "srl_header_err", LinkFault.LOG),
    (messages.SRL_FOREIGN, DamageKind.SRL_FOREIGN, "srl_header_err", LinkFault.LOG),
    (messages.SRL_DATA_DAMAGED, DamageKind.SRL_DATA, "srl_data_err", LinkFault.LOG),
    (messages.SRL_READ_FAILED, DamageKind.SRL_IO, "srl_data_err", LinkFault.LOG),
    (messages.VOLUME_ABSENT, DamageKind.VOLUME_MISSING, "datavol_err", LinkFault.VOLUME),
    (messages.VOLUME_RESIZED, DamageKind.VOLUME_SIZE, "datavol_err", LinkFault.CONFIG),
    (messages.VOLUME_SWAPPED, DamageKind.VOLUME_CHANGED, "datavol_err", LinkFault.VOLUME),
    (messages.VOLUME_IO_FAILED, DamageKind.VOLUME_IO, "datavol_err", LinkFault.VOLUME),
]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("message", "kind", "flag", "fault"), FOUND)
def test_every_damage_has_its_kind_and_a_way_on(message: Message, kind: DamageKind, flag: str, fault: LinkFault,
                                                role: Role) -> None:
    damage = damage_of(VolrepError(message, **VALUES), config(role), [])
    assert damage.kind is kind
    assert damage.part == ("srl" if kind.value.startswith("srl") else "dv01")
    assert flag in rvg_flags(config(role), damage)
    assert fault_of(kind) is fault
    assert message.id in damage.found
    assert damage.safe
    assert damage.lost
    assert any("volrep -g hrdg -H london" in move for move in damage.next)
    assert bool(damage.accept) == (kind in (DamageKind.SRL_DATA, DamageKind.VOLUME_CHANGED))
    assert bool(damage.accept) == any("-f recover" in move for move in damage.next)


def test_a_failed_sync_is_told_by_its_path() -> None:
    for path, kind in (("/srl", DamageKind.SRL_IO), ("/dv01", DamageKind.VOLUME_IO)):
        damage = damage_of(VolrepError(messages.SYNC_FAILED, path=path, reason="EIO"), config(Role.PRIMARY), [])
        assert (damage.kind, damage.part) == (kind, "srl" if path == "/srl" else "dv01")


def test_damaged_parts_of_a_log_are_named_and_bounded() -> None:
    gaps = [Gap(lsn, lsn + 64, None) for lsn in range(8192, 8192 + 64 * 150, 64)]
    damage = damage_of(VolrepError(messages.SRL_DATA_DAMAGED, **VALUES), config(Role.PRIMARY), gaps)
    assert (len(damage.records), damage.records_more) == (100, 50)
    assert damage.accept == "srl_data:8192"


def test_what_lies_behind_the_one_known_record_of_a_damaged_part_is_said_to_be_unknown() -> None:
    """An unreadable page may hold the end of one record and the header of the next."""
    said = RecordHeader(0, 0, int(RecordType.WRITE), 0, 1, 1, 8192, 10**18, 77824, 4096, 0, 1, 0)
    whole, both = Gap(8192, 8192 + 4160, said), Gap(8192, 8192 + 2 * 4160, said)
    assert [(r.from_lsn, r.to_lsn, r.volume) for r in lost_records([whole, both], config(Role.PRIMARY))] == [
        (8192, 12352, "dv01"), (8192, 12352, "dv01"), (12352, 16512, "")]


def test_a_cut_log_says_what_it_leaves_and_the_way_to_take_over_with_it() -> None:
    salvage = Salvage(lsn=8192, time_ns=10**18, end_lsn=9216, records=2)
    found = VolrepError(messages.SRL_DATA_DAMAGED, **VALUES)
    damage = damage_of(found, config(Role.SECONDARY), [], salvage)
    assert "LSN 8192, 2001-09-09T01:46:40.000+00:00 of the Primary's clock; 1024 bytes" in damage.gives_up
    assert "at least 2 records" in damage.gives_up
    assert any("volrep -g hrdg -f takeover hr_rvg london" in move for move in damage.next)
    half_a_copy = damage_of(found, config(Role.SECONDARY), [], None)
    assert "nothing can ever take over" in half_a_copy.gives_up
    assert not any("takeover" in move for move in half_a_copy.next)
