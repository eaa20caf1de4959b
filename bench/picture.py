"""The picture of a run: one bar per contender, one panel per row. SVG made of text, nothing else needed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from statistics import median

from bench.sample import Row, Sample, of

WIDTH, MARGIN = 900, 20
BAR, GAP, HEAD, FOOT = 16, 4, 34, 14
LABELS = 170  # room for the names
VALUES = 150  # room for the numbers behind the bars
OURS, THEIRS, SPREAD, INK = "#1f6f54", "#a9b4bd", "#222222", "#222222"


def svg(samples: Sequence[Sample], rows: Sequence[Row], title: str) -> str:
    """Bars are medians, each on its row's own scale; the line through a bar's end is the spread of the rounds."""
    parts, y = [], MARGIN + 24
    for row in rows:
        names = list(dict.fromkeys(s.contender for s in samples if s.row == row.name))
        if names:
            parts.append(_panel(samples, row, names, y))
            y += HEAD + len(names) * (BAR + GAP) + FOOT
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + MARGIN}" '
        f'viewBox="0 0 {WIDTH} {y + MARGIN}" font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{y + MARGIN}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 6}" font-size="15" font-weight="bold">{escape(title)}</text>',
        *parts, "</svg>")) + "\n"


def _panel(samples: Sequence[Sample], row: Row, names: Sequence[str], y: float) -> str:
    values = {name: [s.value for s in of(samples, row.name, name)] for name in names}
    top = max(*map(max, values.values()), 1e-9)
    scale = (WIDTH - 2 * MARGIN - LABELS - VALUES) / top
    better = "less is better" if row.less_is_better else "more is better"
    parts = [f'<text x="{MARGIN}" y="{y + 20}" font-weight="bold">{escape(row.title)}</text>',
             f'<text x="{WIDTH - MARGIN}" y="{y + 20}" text-anchor="end" fill="#666666">{escape(row.unit)}, {better}'
             "</text>"]
    left = MARGIN + LABELS
    for i, (name, seen) in enumerate(values.items()):
        at = y + HEAD + i * (BAR + GAP)
        middle, low, high = (max(0.0, v) * scale for v in (median(seen), min(seen), max(seen)))
        colour = OURS if name.startswith("volrep") else THEIRS
        parts.append(f'<text x="{left - 6}" y="{at + 12}" text-anchor="end">{escape(name)}</text>'
                     f'<rect x="{left}" y="{at}" width="{middle:.1f}" height="{BAR}" fill="{colour}"/>'
                     f'<line x1="{left + low:.1f}" x2="{left + high:.1f}" y1="{at + BAR / 2}" y2="{at + BAR / 2}" '
                     f'stroke="{SPREAD}"/>'
                     f'<text x="{left + high + 6:.1f}" y="{at + 12}">{_short(median(seen))}</text>')
    return "\n".join(parts)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
