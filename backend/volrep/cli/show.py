"""Documents of the displaying verbs as text, in VVR's layout. Pure."""

from __future__ import annotations

from typing import Any

from volrep.cli.out import pairs, table
from volrep.model.units import format_duration, format_rate, format_size
from volrep.rds.report import other_words

Document = dict[str, Any]


def printrvg(document: Document, *, long: bool) -> str:
    parts = [_rds(rds, long) for rds in document["rds"]]
    if document["config_errors"]:
        parts.append(_errors(document["config_errors"]))
    return "\n\n".join(parts) or "no RDS on any host"


def _rds(rds: Document, long: bool) -> str:
    lines = [f"Replicated Data Set: {rds['rvg']}"]
    if rds["primary"] is not None:
        lines += ["Primary:", _member(rds["primary"], long)]
    for secondary in rds["secondaries"]:
        heading = "Primary, too:" if secondary["role"] == "primary" else "Secondary:"
        lines += ["Primary that waits:" if secondary["asking"] else heading, _member(secondary, long)]
    if rds["config_errors"]:
        lines.append(_errors(rds["config_errors"]))
    return "\n".join(lines)


def _member(member: Document, long: bool) -> str:
    rows: list[tuple[str, object]] = [
        ("HostName", member["host"]), ("RvgName", member["rvg"]), ("DgName", member["dg"]),
        ("State", f"{member['kstate']}/{member['state']}"), ("datavol_cnt", len(member["volumes"])),
        ("srl", member["srl"]["name"] + (f" ({format_size(member['srl']['size_bytes'])})" if long else ""))]
    if long and member["flags"]:
        rows.append(("Flags", " ".join(member["flags"])))
    if member["role_flags"]:
        rows.append(("Role", ", ".join(member["role_flags"])))
    if member["startup"] != "serve":
        rows.append(("startup", member["startup"]))
    if member["problem"]:
        rows.append(("Problem", member["problem"]))
    if long:
        rows += [("datavol", f"{v['name']} ({format_size(v['size_bytes'])})") for v in member["volumes"]]
    lines = [pairs(rows, "    "), *damage(member["damage"], "    ", long=long)]
    if member["links"]:
        lines.append("    RLinks:")
    for link in member["links"]:
        detached = "off" if link["state"] not in ("STALE", "N/A") else "on"
        lines.append(f"        name={link['name']}, detached={detached}, "
                     f"synchronous={link['attributes']['synchronous']}")
        if long:
            shown = ", ".join(f"{key}={value}" for key, value in link["attributes"].items())
            lines += [f"            state={link['state']}, kstate={link['kstate']}, remote={link['remote_host']} "
                      f"{link['remote_address']}:{link['remote_port']}", f"            {shown}",
                      f"            flags: {' '.join(link['flags'])}"]
    return "\n".join(lines)


def damage(found: Document | None, indent: str, *, long: bool) -> list[str]:
    """What an operator of an RVG in FAIL reads: what is damaged, safe, lost, and what to do next."""
    if found is None:
        return []
    lines = [f"Damaged:  {found['part'] or found['kind']}{' (' + found['path'] + ')' if found['path'] else ''}",
             f"Found:    {found['found']}", f"Safe:     {found['safe']}", f"At stake: {found['lost']}"]
    if long:
        lines += [_lost(record) for record in found["records"]]
        if found["records_more"]:
            lines.append(f"  and {found['records_more']} more")
    lines += [f"{'Next:    ' if number == 0 else '         '} {move}" for number, move in enumerate(found["next"])]
    return [f"{indent}{line}" for line in lines]


def _lost(record: Document) -> str:
    where = f"LSN {record['from_lsn']} to {record['to_lsn']}"
    if not record["volume"]:
        return f"  {where}: unknown writes"
    return (f"  {where}: {record['length']} bytes at offset {record['offset']} of {record['volume']}, "
            f"written {record['time'][:19]}")


def _errors(errors: list[Document]) -> str:
    return "\n".join(["Config Errors:", *(f"    {e['host'] or '-'}: {e['message']}" for e in errors)])


def printvol(document: Document) -> str:
    parts = []
    for rds in document["rds"]:
        rows = [(h["host"], h["role"], v["name"], v["use"], v["state"], format_size(v["size_bytes"]),
                 v["open_connections"], v["path"]) for h in rds["hosts"] for v in h["volumes"]]
        parts.append(f"Replicated Data Set: {rds['rvg']} (disk group {rds['dg']})\n" + table(
            ("HOST", "ROLE", "VOLUME", "USE", "STATE", "SIZE", "OPEN", "PATH"), rows))
    return "\n\n".join(parts) or "no RDS on any host"


def _proved(secondary: Document) -> str:
    if secondary["verify_problem"]:
        return str(secondary["verify_problem"])
    proved = secondary["proved"]
    return f"LSN {proved['from_lsn']} to {proved['to_lsn']}" if proved["to_lsn"] else "not yet"


_HEADINGS = {"Primary": "Primary, too:", "waiting Primary": "Primary that waits:"}


def repstatus(document: Document, *, long: bool) -> str:
    lines = [f"Replicated Data Set: {document['rvg']}"]
    primary = document["primary"]
    if primary is not None:
        srl = primary["srl"]
        rows = [("Host name", primary["host"]), ("RVG name", primary["rvg"]), ("DG name", primary["dg"]),
                ("RVG state", f"{primary['io']} for I/O ({primary['kstate']}/{primary['state']})"),
                ("Data volumes", primary["volumes"]), ("SRL name", srl["name"]),
                ("SRL size", format_size(srl["size_bytes"])),
                ("SRL in use", f"{format_size(srl['used_bytes'])} ({srl['used_percent']:.1f}%)"),
                ("Total secondaries", primary["total_secondaries"])]
        rows += _role(primary)
        if long:
            waits = ", ".join(f"{name} {count}" for name, count in primary["waits"].items()) or "none"
            rows += [("Written", f"{primary['writes']} writes, {format_size(primary['written_bytes'])}"),
                     ("Limits waited for", waits)]
        lines += ["Primary:", pairs(rows), *damage(primary["damage"], "", long=long)]
    for secondary in document["secondaries"]:
        lines += ["", _HEADINGS.get(secondary["role"], "Secondary:"), pairs(_secondary(secondary, long)),
                  *damage(secondary["damage"], "", long=long)]
    if document["config_errors"]:
        lines += ["", _errors(document["config_errors"])]
    if long and document["events"]:
        lines += ["", "Events:", *(f"  {e['time'][:19]} {e['host']} {e['type']}: {e['message']}"
                                   for e in document["events"])]
    return "\n".join(lines)


def _role(of: Document) -> list[tuple[str, object]]:
    """What is out of the ordinary in its part in changes of the Primary role."""
    rows: list[tuple[str, object]] = []
    if of["role_flags"]:
        rows.append(("Role", ", ".join(of["role_flags"])))
    if of["asking"]:
        rows.append(("Waits for", f"{', '.join(of['asking'])} to answer before it serves"))
    if (rival := of["superseded_by"]) is not None:
        since = f" since {rival['since'][:19]}" if rival["since"] else ""
        rows.append(("Superseded by" if "acting_secondary" in of["role_flags"] else "Other Primary",
                     f"{other_words(rival['host'], rival['told_by'])}{since}"))
    if (fork := of["since_fork"]) is not None:
        rows.append(("Since the fork", f"{fork['writes']} writes, {format_size(fork['bytes'])}"
                     + ("" if fork["complete"] else " or more")))
    return rows


def _secondary(s: Document, long: bool) -> list[tuple[str, object]]:
    behind = s["behind"]
    nothing = "N/A" if s["logging_to"] == "N/A" else "nothing"
    lag = (f"{behind['writes']} writes, {format_size(behind['bytes'])}, {format_duration(behind['seconds'])}"
           if behind["writes"] or behind["bytes"] else nothing)
    rows: list[tuple[str, object]] = [
        ("Host name", s["host"]), ("RVG name", s["rvg"]), ("DG name", s["dg"]), ("Data status", s["data_status"]),
        ("Replication status", s["replication_status"]), ("Configured mode", s["configured_mode"]),
        ("Current mode", s["current_mode"]), ("Behind", lag), ("Logging to", s["logging_to"]),
        ("Timestamp Information", "N/A" if s["logging_to"] == "N/A"
         else f"behind by {format_duration(behind['seconds'])}")]
    rows += _role(s)
    if s["sync"] is not None:
        rows.append(("Synchronization", _sync(s["sync"])))
    if long:
        rows[3:3] = [("Rlink from Primary", s["rlink"]), ("Rlink to Primary", s["rlink_back"])]
        rows += [("Synchronous ack", s["sync_ack"]), ("Latency protection", s["latency_protection"]),
                 ("SRL protection", s["srl_protection"]), ("Encryption", s["encryption"]),
                 ("RLINK state", f"{s['kstate']}/{s['state']}"), ("RLINK flags", " ".join(s["flags"]) or "-"),
                 ("Sent", format_size(s["sent_bytes"])),
                 ("Logs proved equal", _proved(s)),
                 ("Arrived damaged", f"{s['mismatches']} times, fetched again" if s["mismatches"] else "nothing")]
        if s["reason"]:
            rows.append(("Reason", s["reason"]))
    return rows


def _sync(sync: Document) -> str:
    left = f", {format_duration(sync['left_s'])} left" if sync["left_s"] is not None else ""
    part = 100 * sync["done_bytes"] / sync["total_bytes"] if sync["total_bytes"] else 100
    return (f"{part:.0f}%: {format_size(sync['done_bytes'])} of {format_size(sync['total_bytes'])} at "
            f"{format_rate(sync['rate_bytes_per_s'])}{left}")
