"""A Secondary's damaged log, cut: one moment of the Primary's, or a mixture, on real files."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.unit.rvg.test_opening import BLOCK, Site, poke
from volrep.model.damage import Salvage
from volrep.rvg.opening import Opened
from volrep.rvg.repair import LogDamaged
from volrep.rvg.salvage import Extents


def number(value: int) -> bytes:
    return bytes([value]) * BLOCK


class Cut(Site):
    """A consistent Secondary that has logged and applied the given blocks, the n-th write being all bytes n + 1."""

    def __init__(self, folder: Path, blocks: list[int]) -> None:
        super().__init__(folder, "secondary")
        self.opened.srl.header.consistent = True
        self.lsns = [self.append(block, number(n + 1)) for n, block in enumerate(blocks)]
        for n, block in enumerate(blocks):
            poke(self.volume, block * BLOCK, number(n + 1))
        self.stop()

    def stop(self) -> None:
        """As at a header's writing, then SIGKILL."""
        srl = self.opened.srl
        srl.header.durable_lsn = srl.end_lsn
        srl.write_header()
        self.crash()

    def rot(self, lsn: int, at: int = 64 + 100) -> None:
        poke(self.srl, self.opened.srl.ring.offset(lsn) + at, b"rotten")

    def damaged(self) -> Salvage | None:
        with pytest.raises(LogDamaged) as found:
            self.open()
        self.config.accept = f"srl_data:{found.value.values['lsn']}"
        return found.value.salvage

    def cut(self) -> tuple[Salvage, Opened]:
        """Shown, agreed to, opened."""
        salvage = self.damaged()
        assert salvage is not None
        opened = self.open()
        self.config.accept = ""  # it holds for one start
        header = opened.srl.header
        assert (header.consistent, opened.end.end_lsn) == (False, salvage.lsn)
        assert Salvage.from_data(header.salvage) == salvage
        return salvage, opened


def test_what_was_applied_behind_the_cut_makes_a_mixture(tmp_path: Path) -> None:
    site = Cut(tmp_path, [0, 1, 2])
    site.rot(site.lsns[1])
    salvage, _ = site.cut()
    assert (salvage.lsn, salvage.mixed, salvage.records, salvage.records_known) == (site.lsns[1], True, 2, True)
    assert site.block(2) == number(3), "which nobody can take back"


def test_what_the_intact_part_writes_again_leaves_a_prefix(tmp_path: Path) -> None:
    site = Cut(tmp_path, [0, 1, 0, 1])
    site.rot(site.lsns[2])
    salvage, opened = site.cut()
    assert (salvage.mixed, salvage.records, salvage.time_ns) == (False, 2, 1)
    assert (site.block(0), site.block(1)) == (number(1), number(2))
    assert opened.srl.header.applied_lsn == site.lsns[2]


@pytest.mark.parametrize("at", [64 + 100, 20])
def test_what_cannot_be_known_counts_as_a_mixture(tmp_path: Path, at: int) -> None:
    """The header is damaged, or nothing behind says that the log ended there."""
    site = Cut(tmp_path, [0, 1, 0, 1] if at < 64 else [0, 1, 0])
    site.rot(site.lsns[2], at)
    salvage, _ = site.cut()
    assert (salvage.mixed, salvage.records_known) == (True, False)


def test_a_log_that_is_cut_twice_leaves_a_mixture(tmp_path: Path) -> None:
    site = Cut(tmp_path, [0, 1, 0, 1])
    site.rot(site.lsns[2])
    first, _ = site.cut()
    lsn = site.append(0, number(9))
    site.append(0, number(10))
    site.stop()
    site.rot(lsn)
    second = site.damaged()
    assert second is not None
    assert (second.lsn, second.mixed, second.records_known) == (first.lsn, True, False)


def test_half_a_copy_leaves_nothing(tmp_path: Path) -> None:
    site = Cut(tmp_path, [0, 1, 2])
    opened = site.open()
    opened.srl.header.consistent = False
    site.stop()
    site.rot(site.lsns[1])
    assert site.damaged() is None
    assert site.open().srl.header.salvage == {}


def test_a_prefix_is_what_the_order_makes_of_the_volumes(tmp_path: Path) -> None:
    """Whatever is called a prefix holds exactly what was written before the cut, and both kinds come up."""
    kinds = set()
    for seed in range(24):
        random = Random(seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        blocks = [random.randrange(4) for _ in range(random.randrange(3, 12))]
        site = Cut(folder, blocks)
        bad = random.randrange(1, len(blocks) - 1)
        site.rot(site.lsns[bad])
        salvage, _ = site.cut()
        site.crash()
        expected = {block: number(n + 1) for n, block in enumerate(blocks[:bad])}
        kinds.add(salvage.mixed)
        is_prefix = all(site.block(block) == expected.get(block, bytes(BLOCK)) for block in range(4))
        assert salvage.mixed != is_prefix, f"seed {seed}: {blocks}, damaged at {bad}"
    assert kinds == {False, True}


def test_ranges_cover_only_what_they_hold_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = Extents(), Extents()
    mine.add(0, 0, 100)
    mine.add(0, 100, 100)
    mine.add(1, 0, 50)
    other.add(0, 50, 150)
    assert mine.cover(other)
    other.add(1, 40, 20)
    assert not mine.cover(other)
    monkeypatch.setattr("volrep.rvg.salvage.EXTENTS_MAX", 4)
    scattered = Extents()
    for n in range(8):
        scattered.add(0, n * 10, 1)
    assert scattered.full
    assert not mine.cover(scattered), "not all of it is known"
