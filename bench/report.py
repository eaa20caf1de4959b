"""From samples to the table of a run. Pure: it reads and writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from bench.sample import Row, Sample, of, ratio
from bench.targets import Verdict

HEADER = ("what", "contender", "median", "spread", "÷ ref", "p50 µs", "p99 µs", "CPU s", "µs/op", "RSS MiB",
          "catch-up s", "promised when a write completes")
_PROSE = (0, 1, len(HEADER) - 1)  # columns to the left; numbers stand to the right
TARGET_HEADER = ("target", "wanted", "measured", "")


def lines(samples: Sequence[Sample], rows: Sequence[Row], promises: Mapping[str, str]) -> list[tuple[str, ...]]:
    """One line per row and contender in order of appearance; medians over the rounds, ratios taken in pairs."""
    table = []
    for row in rows:
        names = list(dict.fromkeys(s.contender for s in samples if s.row == row.name))
        for first, name in zip([True, *[False] * len(names)], names, strict=False):
            mine = of(samples, row.name, name)
            values = [s.value for s in mine]
            paired = ratio(samples, row.name, name, row.reference)
            table.append((
                row.title if first else "", f"**{name}**" if name == row.reference else name,
                f"{_number(median(values))} {row.unit}",
                f"{_number(min(values))}–{_number(max(values))}" if len(values) > 1 else "",
                f"{paired:.2f}" if paired is not None else "",
                *(_unless_zero(median(column), "{:,.0f}") for column in
                  ([s.p50_us for s in mine], [s.p99_us for s in mine])),
                _unless_zero(median(s.cpu_s for s in mine), "{:.2f}"),
                _unless_zero(median(s.cpu_s * 1e6 / s.operations if s.operations else 0.0 for s in mine), "{:.0f}"),
                _unless_zero(median(s.rss_bytes / 2**20 for s in mine), "{:.0f}"),
                _unless_zero(median(s.settle_s for s in mine), "{:.1f}"),
                promises.get(name, "")))
    return table


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _unless_zero(value: float, form: str) -> str:
    return form.format(value) if value else ""


def markdown(samples: Sequence[Sample], rows: Sequence[Row], promises: Mapping[str, str], verdicts: Sequence[Verdict],
             conditions: Sequence[str]) -> str:
    """The whole report: conditions, the targets with what was measured, and one table of everything."""
    parts = ["# Measurement\n", *(f"- {line}" for line in conditions), ""]
    if verdicts:
        parts += ["## Targets\n", table(TARGET_HEADER, [
            (v.title, v.wanted, v.measured, "" if v.met is None else "met" if v.met else "**missed**")
            for v in verdicts], prose=(0, 1, 2, 3)), ""]
    parts += ["## Everything\n", table(HEADER, lines(samples, rows, promises), prose=_PROSE)]
    return "\n".join(parts) + "\n"


def table(header: Sequence[str], body: Sequence[Sequence[str]], *, prose: Sequence[int]) -> str:
    """Markdown whose columns also line up in a terminal: `prose` to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (header, *body)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) if i in prose else c.rjust(w)
                                 for i, (c, w) in enumerate(zip(cells, widths, strict=True))) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i in prose else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join((line(header), rule, *(line(row) for row in body)))
