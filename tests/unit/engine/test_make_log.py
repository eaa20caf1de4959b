"""A new SRL in place of another one: what comes before its beginning can still be shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.log.support import Log, a_header, a_write
from volrep.engine.serve_recovery import make_log
from volrep.log.ring import SRL_MIN_BYTES
from volrep.log.srl import Srl
from volrep.log.tails import read_tails
from volrep.model.config import Role, RvgConfig, RvgVolume
from volrep.ports.disk import DiskFile


@pytest.mark.parametrize("clean", [True, False])
def test_the_end_of_the_old_log_is_kept(tmp_path: Path, clean: bool) -> None:
    """Also where the rest of it is given up: whoever gets a copy then begins where the new log does."""
    log = Log(tmp_path / "srl", header=a_header(history=[]))
    for number in range(20):
        log.append(a_write(0, bytes([number]) * 3000))
    end_lsn = log.srl.end_lsn
    log.srl.header.durable_lsn = end_lsn
    if clean:
        log.srl.header.applied_lsn = end_lsn
    log.srl.header.clean = clean
    log.srl.write_header()
    wanted = read_tails(log.srl, end_lsn, log.srl.header.begin_lsn)
    log.srl.close()
    config = RvgConfig(
        rds_id="rds", rvg_id="rvg", dg="hrdg", name="hr_rvg", host="london", role=Role.PRIMARY, links=[],
        srl=RvgVolume(index=-1, name="srl2", path=str(tmp_path / "srl2"), size_bytes=SRL_MIN_BYTES, volume_id="s"),
        volumes=[], certificate_path="c", private_key_path="k")
    with (tmp_path / "srl2").open("xb") as file:
        file.truncate(SRL_MIN_BYTES)
    make_log(config, str(tmp_path / "srl"), give_up=not clean)
    srl = Srl.open(DiskFile.open(str(tmp_path / "srl2")))
    made = srl.header
    srl.close()
    assert (made.tail_lsn, made.durable_lsn) == (end_lsn, end_lsn)
    assert made.kept_tails == wanted
