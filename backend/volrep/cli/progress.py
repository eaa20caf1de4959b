"""Waiting for a synchronization: rate and time left on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from volrep.cli.run import Run
from volrep.engine.api import Scope
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import rds as messages
from volrep.model.status import LinkState, LinkStatus
from volrep.model.units import format_duration, format_rate, format_size

ASK_EVERY_S = 0.5
LINE_EVERY_S = 5.0
BAR_COLUMNS = 24


def wait_consistent(run: Run, dg: str, rvg: str, secondary: str) -> int:
    """Until the Secondary is consistent. Raises VR-1331 when left with Ctrl-C, VR-1332 when replication ended."""
    primary = run.fleet.observe(dg, rvg).rds(dg, rvg, run.host).primary().host.name
    terminal = sys.stderr.isatty()
    told_s = 0.0
    try:
        while True:
            link = _link(run, primary, dg, rvg, secondary)
            if link is not None and link.sync is None and link.consistent and link.state is LinkState.ACTIVE:
                _tell(run, terminal, f"{secondary}: consistent", last=True)
                return Exit.DONE
            if link is not None and link.state in (LinkState.STALE, LinkState.FAIL):
                _tell(run, terminal, "", last=True)
                raise VolrepError(messages.WAIT_STOPPED, rvg=rvg, host=secondary, dg=dg, state=link.state.value,
                                  reason=link.reason or "stopped")
            if terminal or time.monotonic() - told_s >= LINE_EVERY_S:
                told_s = time.monotonic()
                _tell(run, terminal, f"{secondary}: {progress_text(link)}", last=False)
            time.sleep(ASK_EVERY_S)
    except KeyboardInterrupt:
        _tell(run, terminal, "", last=True)
        raise VolrepError(messages.WAIT_LEFT, host=secondary, rvg=rvg, dg=dg) from None


def _link(run: Run, primary: str, dg: str, rvg: str, secondary: str) -> LinkStatus | None:
    """None while the Primary's worker is being restarted."""
    try:
        answer: Any = run.fleet.call(primary, "rvg.list", Scope(dg=dg, name=rvg))
    except VolrepError as error:
        if error.exit is not Exit.UNREACHABLE:
            raise
        return None  # its engine is being restarted, or the way there is cut: the work goes on there
    found = [link for info in answer.rvgs if info.status is not None for link in info.status.links]
    return next((link for link in found if link.remote_host == secondary), None)


def progress_text(link: LinkStatus | None) -> str:
    """`[#####-----] 52%  1.2g of 2.3g at 110m/s, 10s left`"""
    if link is None:
        return "waiting for the Primary"
    if link.sync is None:
        return "catching up" if link.connected else f"waiting: {link.reason or 'not connected'}"
    sync = link.sync
    part = sync.done_bytes / sync.total_bytes if sync.total_bytes else 1.0
    done = round(part * BAR_COLUMNS)
    left = f", {format_duration(sync.left_s)} left" if sync.left_s is not None else ""
    pause = "" if link.connected else f" (waiting: {link.reason or 'not connected'})"
    return (f"[{'#' * done}{'-' * (BAR_COLUMNS - done)}] {100 * part:.0f}%  {format_size(sync.done_bytes)} of "
            f"{format_size(sync.total_bytes)} at {format_rate(sync.rate_bytes_per_s)}{left}{pause}")


def _tell(run: Run, terminal: bool, text: str, *, last: bool) -> None:
    if terminal:
        run.out.stderr.write(f"\r\x1b[K{text}" + ("\n" if last and text else ""))
        run.out.stderr.flush()
    elif text:
        run.out.say(text)
