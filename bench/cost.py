"""What processes cost: CPU seconds and memory, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_RESET_PEAK = "5"  # proc(5), clear_refs: the peak begins anew at what is resident now


class Cost(NamedTuple):
    cpu_s: float
    rss_bytes: int  # sum of the processes' peaks since they started, or since `begin`


class HostTime(NamedTuple):
    """Of all cores so far, in ticks (proc(5), /proc/stat)."""

    used: int
    stolen: int  # wanted, and given to somebody else by whoever runs this virtual machine

    @classmethod
    def now(cls) -> HostTime:
        user, nice, system, _idle, _iowait, irq, softirq, stolen = map(
            int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
        return cls(user + nice + system + irq + softirq, stolen)

    def stolen_part(self, before: HostTime) -> float:
        """Of the time that was wanted since `before`."""
        stolen = self.stolen - before.stolen
        return stolen / max(1, self.used - before.used + stolen)


def begin(pids: Iterable[int]) -> Cost:
    """Like `cost_of`, and lets the peaks of memory begin anew (where the kernel allows it)."""
    pids = list(pids)
    for pid in pids:
        with suppress(OSError):  # somebody else's process, or gone: then the peak is that of its whole life
            Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)
    return cost_of(pids)


def cost_of(pids: Iterable[int]) -> Cost:
    """Of these processes so far; one that has ended counts as nothing."""
    cpu_s, rss_bytes = 0.0, 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # fields after the command name, which may itself contain blanks: utime is the 12th, stime the 13th
        fields = stat.rpartition(")")[2].split()
        cpu_s += (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                rss_bytes += int(line.split()[1]) * 1024
    return Cost(cpu_s, rss_bytes)


def descendants(pid: int) -> list[int]:
    """All living children of a process, theirs too."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        for task in Path(f"/proc/{current}/task").glob("*/children"):
            children = [int(child) for child in task.read_text().split()]
            found.extend(children)
            waiting.extend(children)
    return found
