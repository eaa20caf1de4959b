"""The main job on real parts: hosts reached over SSH, real disks and sockets, a foreign NBD client."""

from __future__ import annotations

from tests.system.hosts import TestBed
from tests.system.load import finish, start_writing, verify
from tests.system.rds import Rds

SIZE_MIB = 32


def test_what_is_written_here_is_there_in_all_bytes(pair: TestBed) -> None:
    """Autosync of volumes that already hold data, while fio goes on writing."""
    rds = Rds(pair, ("london", "tokyo"))
    rds.create(size=f"{SIZE_MIB}m")
    uris = rds.export()
    log = pair.folder / "first.log"
    finish(start_writing(rds.primary, uris[0], SIZE_MIB, log), log)
    second = pair.folder / "second.log"
    writing = start_writing(rds.primary, uris[1], SIZE_MIB, second, seed=2, rate_per_s=2000)
    rds.start()
    finish(writing, second)
    rds.until_up_to_date()
    rds.assert_equal()
    for uri, seed in zip(uris, (1, 2), strict=True):
        verify(rds.primary, uri, SIZE_MIB, seed=seed)


def test_a_cut_link_and_killed_engines_cost_nothing_but_lag(trio: TestBed) -> None:
    """Links cut, every engine and each Secondary's worker killed; fio writes on and notices nothing."""
    rds = Rds(trio, ("london", "tokyo", "paris"))
    rds.create(size=f"{SIZE_MIB}m")
    rds.start()
    uris = rds.export()
    logs = [trio.folder / f"load{number}.log" for number in range(len(uris))]
    loads = [start_writing(rds.primary, uri, SIZE_MIB, log, rate_per_s=600)
             for uri, log in zip(uris, logs, strict=True)]
    for host in rds.secondaries:
        trio.cut_link("london", host.name)
        host.engine.kill()
        trio.restore_link("london", host.name)
        host.engine.start()
        assert host.kill_workers() != []
    rds.primary.engine.kill()
    trio.cut_link("london", "tokyo")
    rds.primary.engine.start()
    trio.restore_link("london", "tokyo")
    for load, log in zip(loads, logs, strict=True):
        finish(load, log)
    rds.until_up_to_date()
    rds.assert_equal()
    for uri in uris:
        verify(rds.primary, uri, SIZE_MIB)
