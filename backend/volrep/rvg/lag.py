"""How far behind a position of the log is, in writes, bytes and seconds. Pure, of fixed size.

One sample per batch: (end LSN, writes so far, Primary's clock). When there are too many, every second one goes, so
the answer loses resolution, not reach. Positions older than all samples are extrapolated from the mean write.
"""

from __future__ import annotations

from bisect import bisect_right

from volrep.rvg.limits import LAG_SAMPLES_MAX


class LagMeter:
    def __init__(self, start_lsn: int, time_ns: int) -> None:
        self._lsns = [start_lsn]
        self._writes = [0]
        self._times_ns = [time_ns]

    @property
    def writes(self) -> int:
        return self._writes[-1]

    @property
    def newest_ns(self) -> int:
        return self._times_ns[-1]

    def add(self, end_lsn: int, writes: int, time_ns: int) -> None:
        """A batch of `writes` writes ended at `end_lsn`."""
        self._lsns.append(end_lsn)
        self._writes.append(self._writes[-1] + writes)
        self._times_ns.append(time_ns)
        if len(self._lsns) > LAG_SAMPLES_MAX:
            for samples in (self._lsns, self._writes, self._times_ns):
                del samples[1:-1:2]

    def behind(self, lsn: int, now_ns: int) -> tuple[int, int, float]:
        """(writes, bytes, seconds) between `lsn` and the end; seconds is the age of the oldest write missing."""
        end_lsn = self._lsns[-1]
        if lsn >= end_lsn:
            return 0, 0, 0.0
        behind_bytes = end_lsn - lsn
        at = bisect_right(self._lsns, lsn)
        if at == 0:
            span = max(1, end_lsn - self._lsns[0])
            behind_writes = max(1, round(self._writes[-1] * behind_bytes / span))
        else:
            behind_writes = max(1, self._writes[-1] - self._writes[at - 1])
        return behind_writes, behind_bytes, max(0.0, (now_ns - self._times_ns[at]) / 1e9)
