"""Documents of the verbs of the Primary role as text: all hosts side by side. Pure."""

from __future__ import annotations

from itertools import zip_longest
from textwrap import wrap
from typing import Any

from volrep.cli.out import table
from volrep.model.units import format_duration, format_size

Document = dict[str, Any]
CELL_COLUMNS = 18  # "acting Secondary"
MARKS = {"ok": "ok  ", "warn": "note", "wait": "wait", "fence": "-f  ", "force": "-f  ", "no": "NO  "}


def side_by_side(sites: list[Document], *, after: bool = True) -> str:
    """One column per host, one line per fact; lines that say nothing of any host are left out."""
    rows: list[tuple[str, list[str]]] = [
        ("now", [s["role"] for s in sites]), ("afterwards", [s["after"] for s in sites] if after else []),
        ("state", [s["state"] for s in sites]), ("data", [s["data"] for s in sites]),
        ("mode", [s["mode"] for s in sites]),
        ("behind", [_behind(s) for s in sites]),
        ("connections", ["" if s["connections"] is None else str(s["connections"]) for s in sites]),
        ("Primary heard", ["" if s["heard_s"] is None else f"{format_duration(s['heard_s'])} ago" for s in sites]),
        ("since the fork", [_since_fork(s["since_fork"]) for s in sites])]
    shown = [line for name, cells in rows if any(cells) for line in _lines(name, cells)]
    # Not in a column, which would become as wide as its text
    problems = [f"problem of {s['host']}: {s['problem']}" for s in sites if s["problem"]]
    return "\n".join([table(("", *(s["host"] for s in sites)), shown), *problems])


def _lines(name: str, cells: list[str]) -> list[tuple[str, ...]]:
    """One fact of all hosts; in as many lines as the longest needs, so that three hosts fit in 80 columns."""
    pieces = [wrap(cell or "-", CELL_COLUMNS, break_long_words=False, break_on_hyphens=False) for cell in cells]
    return list(zip_longest([name], *pieces, fillvalue=""))


def _behind(site: Document) -> str:
    if site["behind_writes"] is None:
        return ""
    if not site["behind_writes"] and not site["behind_bytes"]:
        return "nothing"
    return f"{site['behind_writes']} writes, {format_size(site['behind_bytes'])}"


def _since_fork(found: Document | None) -> str:
    return "" if found is None else f"{found['writes']} writes, {format_size(found['bytes'])}"


def items(found: list[Document]) -> str:
    """One line each, the way out below what is not right."""
    width = max((len(item["what"]) for item in found), default=0)
    lines = []
    for item in found:
        lines.append(f"  {MARKS[item['mark']]} {item['what']:<{width}}  {item['says']}")
        if item["remedy"] and item["mark"] != "ok":
            lines.append(f"       {'':<{width}}  -> {item['remedy']}")
    return "\n".join(lines)


def lost(document: Document) -> str:
    return "\n".join(f"lost: {text}" for text in document["lost"])


def review(document: Document) -> str:
    """What --dry-run prints."""
    parts = [f"{document['verb']} of RVG {document['rvg']}: {document['host']}", side_by_side(document["sites"])]
    if document["items"]:
        parts.append(items(document["items"]))
    parts.append(lost(document))
    if document["steps"]:
        steps = [f"{number}. {step['title']}{_last_time(step['last_time'])}"
                 for number, step in enumerate(document["steps"], 1)]
        parts.append("\n".join([*steps, *([f"together: {document['last_time']}"] if document["last_time"] else [])]))
    parts += [f"note: {note}" for note in document["notes"]]
    return "\n\n".join(parts)


def _last_time(text: str) -> str:
    return f" (last time: {text})" if text else ""


def validate(document: Document) -> str:
    parts = [f"Replicated Data Set: {document['rvg']} (disk group {document['dg']})",
             side_by_side(document["sites"], after=False)]
    for site in document["sites"]:
        if site["migrate"] is None:
            continue
        for verb in ("migrate", "takeover"):
            found = site[verb]
            note = f", but only with -f ({found['note']})" if found["ready"] and found["note"] else ""
            parts.append(f"{site['host']}: ready for {verb}: {'yes' if found['ready'] else 'NO'}{note}\n"
                         + items(found["items"]))
    return "\n\n".join(parts)


def candidates(document: Document) -> str:
    rows = [(row["rank"] or "-", row["host"], row["end_lsn"] if row["end_lsn"] is not None else "-",
             "-" if row["missing_writes"] is None else row["missing_writes"], row["last_write"][:19] or "-",
             "-" if row["heard_s"] is None else f"{format_duration(row['heard_s'])} ago")
            for row in document["candidates"]]
    best = f"best: {document['best']}" if document["best"] else "no host that answers could take over"
    silent = f"\ndid not answer: {', '.join(document['silent'])}" if document["silent"] else ""
    heading, *lines = table(("RANK", "HOST", "LOG END", "MISSING WRITES", "LAST WRITE", "PRIMARY HEARD"),
                            rows).splitlines()
    # Below its row: in a column it would leave 80 columns too little
    explained = [line for shown, row in zip(lines, document["candidates"], strict=True)
                 for line in (shown, f"      {row['why']}")]
    return "\n".join([heading, *explained, best]) + silent


def divergence(document: Document) -> str:
    since = document["since_fork"]
    if not document["fork_lsn"]:
        strayed = document["strayed"]
        return f"{document['host']}: no fork is known" + (
            f"; it holds {strayed}" if strayed else ": every host that it has met shares its history")
    lines = [f"{document['host']}: fork at LSN {document['fork_lsn']}"]
    if since is not None:
        known = "" if since["complete"] else " (not all of it is known)"
        lines.append(f"since then {since['writes']} writes, {format_size(since['bytes'])}{known}")
        lines += [f"{name + ':':<6} {since[name]}" for name in ("first", "last") if since[name]]
    lines.append(table(("VOLUME", "WRITES", "WRITTEN", "REGIONS"), [
        (v["name"], v["writes"], format_size(v["bytes"]), format_size(v["regions_bytes"]))
        for v in document["volumes"]]))
    if document["regions"]:
        lines.append(table(("VOLUME", "OFFSET", "LENGTH"), [(r["volume"], r["offset"], r["length"])
                                                            for r in document["regions"]]))
    return "\n".join(lines)
