"""From samples to a table: medians, spread, ratios. Pure: it reads and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from bench.load import Workload
from bench.rounds import Sample

REFERENCE = "qemu-mirror"  # the peer that does the most similar work on the same machine
HEADER = ("contender", "writes/s", "spread", f"÷ {REFERENCE}", "p50 µs", "p99 µs", "CPU µs/write", "RSS MiB",
          "catch-up s")


def rows(samples: Sequence[Sample], workload: Workload) -> list[tuple[str, ...]]:
    """One row per contender in order of appearance; medians over the rounds."""
    names = list(dict.fromkeys(s.contender for s in samples))
    rates = {name: median(_of(samples, name, workload, "rate")) for name in names}
    base = rates.get(REFERENCE)
    table = []
    for name in names:
        seen = _of(samples, name, workload, "rate")
        ratio = f"{rates[name] / base:.2f}" if base else "-"
        table.append((name, f"{rates[name]:,.0f}", f"{min(seen):,.0f}–{max(seen):,.0f}", ratio,
                      *(_latency(samples, name, workload, column) for column in ("p50", "p99")),
                      f"{median(_of(samples, name, workload, 'cpu')):.1f}",
                      f"{median(_of(samples, name, workload, 'rss')):.0f}",
                      f"{median(_of(samples, name, workload, 'settle')):.1f}"))
    return table


def _latency(samples: Sequence[Sample], name: str, workload: Workload, column: str) -> str:
    """fio times a write and the FLUSH after it apart, and percentiles do not add up: then none is shown."""
    return "-" if workload.flush_every else f"{median(_of(samples, name, workload, column)):,.0f}"


def _of(samples: Sequence[Sample], name: str, workload: Workload, column: str) -> list[float]:
    mine = [s for s in samples if s.contender == name and s.workload == workload.name]
    match column:
        case "rate":
            return [s.load.writes_per_s for s in mine]
        case "p50":
            return [s.load.p50_us for s in mine]
        case "p99":
            return [s.load.p99_us for s in mine]
        case "cpu":
            return [s.server_cpu_s * 1e6 / max(1, s.load.writes) for s in mine]
        case "rss":
            return [s.server_rss_bytes / 2**20 for s in mine]
        case _:
            return [s.settle_s for s in mine]


def markdown(samples: Sequence[Sample], workloads: Sequence[Workload], promises: dict[str, str],
             conditions: Sequence[str]) -> str:
    """The whole report: conditions, one table per workload, and what each contender has promised."""
    parts = ["# Measurement\n", *(f"- {line}" for line in conditions), ""]
    for workload in workloads:
        parts += [f"## {workload.title}\n", _table(HEADER, rows(samples, workload)), ""]
    parts += ["## What a completed write has been promised\n", _table(("contender", "promise"), list(promises.items()))]
    return "\n".join(parts) + "\n"


def _table(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Markdown whose columns also line up in a terminal: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (header, *body)) for i in range(len(header))]
    prose = len(header) == 2

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) if i == 0 or prose else c.rjust(w)
                                 for i, (c, w) in enumerate(zip(cells, widths, strict=True))) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 or prose else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join((line(header), rule, *(line(row) for row in body)))
