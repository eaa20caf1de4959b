"""Recovery of an RVG whose log is damaged, as far as its operator has agreed to what that loses.

A Primary replays every good record and leaves the damaged ones out: nobody has them but perhaps a Secondary. From the
first damaged record on its history is another one (a new reign), and every Secondary needs a copy. A Secondary cuts
its log at the first damaged record: the Primary sends it again from there, and until all that was there has come
again its volumes, which may be ahead of their log, need not be an image of any moment. When the Primary is lost for
good, an operator may take over with them all the same (`rvg.salvage` says what they are).
"""

from __future__ import annotations

import logging

from volrep.log.record import Record
from volrep.log.recovery import OnBatch, ScanEnd, scan, scan_past_damage
from volrep.log.renew import begin_reign
from volrep.log.srl import Srl
from volrep.log.tails import begin_behind
from volrep.log.verdict import Gap
from volrep.model.config import Role
from volrep.model.damage import DamageKind, Salvage
from volrep.model.errors import VolrepError
from volrep.model.messages import log as messages
from volrep.rvg.salvage import Survey

logger = logging.getLogger("volrep.rvg")


class LogDamaged(VolrepError):
    """VR-1502 together with what else the log's rest is good for."""

    def __init__(self, found: VolrepError, gaps: list[Gap], salvage: Salvage | None) -> None:
        super().__init__(found.message, **found.values)
        self.gaps = gaps
        self.salvage = salvage


def replay(srl: Srl, on_batch: OnBatch, accept: str) -> tuple[ScanEnd, list[Gap]]:
    """All of the log behind the last checkpoint, in order; the gaps in it that were given up.

    It is read once before anything is handed out: the volumes may hold what lies behind a damaged record, and
    replaying what lies before it would take them back. Raises LogDamaged, unless `accept` says that this very damage
    was shown and agreed to; what `scan` raises.
    """
    from_lsn = srl.header.applied_lsn
    try:
        scan(srl, from_lsn, _look)
    except VolrepError as error:
        if error.message is not messages.SRL_DATA_DAMAGED:
            raise
        survey = Survey(int(error.values["lsn"]))
        end, gaps = scan_past_damage(srl, from_lsn, survey.note)
        salvage = survey.outcome(srl.header, gaps, end.end_lsn)
        if accept != f"{DamageKind.SRL_DATA}:{error.values['lsn']}":
            raise LogDamaged(error, gaps, salvage) from error
        if srl.header.role == Role.PRIMARY:
            return _pass_over(srl, on_batch)
        return _cut(srl, on_batch, gaps[0].from_lsn, end, salvage), gaps
    return scan(srl, from_lsn, on_batch, settled=True), []


def _look(_view: memoryview, _records: list[Record]) -> None:
    """A first pass over the log only finds out whether it is whole."""


def _pass_over(srl: Srl, on_batch: OnBatch) -> tuple[ScanEnd, list[Gap]]:
    end, gaps = scan_past_damage(srl, srl.header.applied_lsn, on_batch)
    header = srl.header
    begin_behind(srl, end.end_lsn)
    header.distrust = f"{len(gaps)} damaged parts of the log were given up, the first one at LSN {gaps[0].from_lsn}"
    begin_reign(header, gaps[0].from_lsn)
    return end, gaps


def _cut(srl: Srl, on_batch: OnBatch, cut_lsn: int, end: ScanEnd, salvage: Salvage | None) -> ScanEnd:
    """Inconsistent first, durably; then the log ends at the damage."""
    header = srl.header
    header.consistent = False
    header.salvage = salvage.data() if salvage is not None else {}
    header.consistent_after_lsn = max(header.consistent_after_lsn, end.end_lsn)
    header.leave_behind(end.end_lsn)
    srl.resume_at(cut_lsn)
    srl.write_header()
    logger.warning("the log is cut at LSN %d, where it is damaged; consistent again at LSN %d", cut_lsn,
                   header.consistent_after_lsn)
    srl.cut_at(cut_lsn)
    return scan(srl, header.applied_lsn, on_batch)
