"""Pages of an SRL that the disk cannot read any more, on real engines: the procedures of docs/recovery.md.

nbdkit serves the SRL's file over nbdfuse and fails every read of the bad pages until somebody writes to them, as a disk
does that has spare sectors.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.system.rotting import BLOCK, is_covered, record_at
from tests.system.test_recovery import DEADLINE_S, MIB, House, Site
from tests.system.test_salvage import bring_back, take_over, write_on_tokyo
from tests.system.two_engines import DG, RVG
from tests.system.waiting import wait_for

pytestmark = pytest.mark.skipif(shutil.which("nbdfuse") is None or shutil.which("nbdkit") is None or os.geteuid() != 0,
                                reason="nbdkit over nbdfuse, as root, is the disk that fails")

_SERVE = {  # $3 and $4: bytes, offset; $bad: a file with the first and the last byte that cannot be read
    "get_size": 'stat -Lc %s "$file"',
    "pread": 'if read from to < "$bad" 2> /dev/null && [ $4 -le $to ] && [ $(($4 + $3)) -gt $from ]; then '
             'echo EIO bad sector >&2; exit 1; fi; '
             'dd if="$file" skip=$4 count=$3 iflag=skip_bytes,count_bytes bs=1M status=none',
    "pwrite": 'if read from to < "$bad" 2> /dev/null && [ $4 -le $to ] && [ $(($4 + $3)) -gt $from ]; then '
              'rm "$bad"; fi; dd of="$file" seek=$4 oflag=seek_bytes bs=1M conv=notrunc status=none',
    "can_write": "exit 0", "can_flush": "exit 0", "flush": 'sync "$file"',
}


@contextmanager
def failing_disk(path: Path, bad: Path) -> Iterator[None]:
    """What `path` names is served by a disk with unreadable sectors from now on; `bad` names them."""
    backing, socket = path.with_name(path.name + ".backing"), bad.with_name("bad.sock")
    os.link(path, backing)
    script = [f"{call}=file={backing}; bad={bad}; {body}" for call, body in _SERVE.items()]
    server = subprocess.Popen(["nbdkit", "-f", "-U", str(socket), "eval", *script], stderr=subprocess.DEVNULL)
    fuse: subprocess.Popen[bytes] | None = None
    try:
        wait_for(socket.exists, DEADLINE_S, "nbdkit to serve")
        fuse = subprocess.Popen(["nbdfuse", str(path), f"nbd+unix:///?socket={socket}"],
                                stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.ismount(path) or f" {path} " in Path("/proc/mounts").read_text(), DEADLINE_S,
                 "nbdfuse to mount")
        yield
    finally:
        if fuse is not None:
            subprocess.run(["fusermount3", "-u", "-z", str(path)], check=False)
            fuse.terminate()
            fuse.wait(DEADLINE_S)
        server.terminate()
        server.wait(DEADLINE_S)


@pytest.fixture
def site() -> Iterator[Site]:
    with closing(House()) as house:
        yield house.fresh()


@contextmanager
def unreadable(site: Site, host: str, more: int) -> Iterator[int]:
    """The host starts on an SRL of which a page cannot be read; the number of a write whose record lies on it."""
    bad = site.folder / "bad"
    with ExitStack() as disk:
        for _ in range(10):
            site.write(20)
            number = site.number
            site.write_much(more)
            with site.broken(host, site.srl() if host == "london" else "srl") as (path,):
                page = (record_at(path, number) + 64) // BLOCK * BLOCK
                if found := not is_covered(path, page):
                    bad.write_text(f"{page} {page + BLOCK - 1}\n")
                    disk.enter_context(failing_disk(path, bad))
                    disk.callback(site.kill, host)  # before its disk goes
            if found:
                yield number
                return
            site.until_equal()
        raise AssertionError("a checkpoint came in between, ten times")


def test_an_unreadable_page_in_the_srl_of_the_secondary_comes_again_from_the_primary(site: Site) -> None:
    with unreadable(site, "tokyo", 3 * MIB):
        site.until_damaged("tokyo", "srl_data")
        site.until_link("PAUSE", "secondary_log_err")
        site.write(50)  # applications notice nothing
        site.volrep("-g", DG, "-f", "-s", "recover", RVG)
        site.works_again()
        assert not site.copied()


def test_an_unreadable_page_in_the_srl_of_the_primary_loses_what_lay_on_it_and_no_more(site: Site) -> None:
    with unreadable(site, "london", MIB) as number:
        damage = site.until_damaged("london", "srl_data")
        assert "VR-1770" in site.volrep("-g", DG, "recover", RVG, exit_code=1)
        said = site.volrep("-g", DG, "-f", "-s", "recover", RVG)
        assert "1 damaged parts of the log given up" in said
        site.until_link("STALE")
        site.volrep("-g", DG, "-a", "startrep", RVG, "tokyo")
        site.until_equal()
        assert ([record["volume"] for record in damage["records"]]) in (["dv01", ""], ["dv01"], [""])
        data = site.path("london", "dv01").read_bytes()
        gone = [block for block, value in site.completed.items()
                if data[block * BLOCK:block * BLOCK + 8] != value.to_bytes(8, "little")]
        assert set(gone) <= {number % 64, (number - 1) % 64, (number + 1) % 64}, "a page holds parts of two records"


def test_a_secondary_with_an_unreadable_page_takes_over_when_the_primary_is_lost(site: Site) -> None:
    with unreadable(site, "tokyo", 3 * MIB):
        salvage = site.until_damaged("tokyo", "srl_data")["salvage"]
        site.write(50)
        take_over(site, salvage)
        write_on_tokyo(site)
        bring_back(site)
