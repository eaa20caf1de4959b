"""Verbs: events, history, log dump."""

from __future__ import annotations

import queue
import threading
from typing import Any

from volrep.cli.out import table
from volrep.cli.run import Run
from volrep.engine.api import EventsRequest, LogDumpOf, Scope
from volrep.model.errors import Exit, VolrepError
from volrep.model.status import Event
from volrep.model.units import iso

FOLLOW_WAIT_S = 30.0  # one long poll; the engine answers at once when there is something
FOLLOW_RETRY_S = 2.0  # until a host that went away is asked again


def _row(host: str, event: Event) -> dict[str, Any]:
    return {"id": event.id, "time": iso(event.time_ns), "host": host, "dg": event.dg, "rvg": event.rvg,
            "type": event.type, "message": event.message}


def _line(row: dict[str, Any]) -> str:
    of = f" {row['dg']}/{row['rvg']}" if row["rvg"] else ""
    return f"{row['time']} {row['host']}{of} {row['type']}: {row['message']}"


def events(run: Run) -> int:
    rvg = run.argument("rvg")
    limit = run.number("limit", 100)

    def ask(host: str) -> Any:
        return run.fleet.call(host, "events.list", EventsRequest(dg=run.dg, rvg=rvg, limit=limit))

    found: list[tuple[int, dict[str, Any]]] = []
    answers, _ = run.ask(ask)
    last = dict.fromkeys([run.host] if run.host else run.fleet.hosts, 0)
    for host, answer in answers.items():
        found += [(event.time_ns, _row(host, event)) for event in answer.events]
        last[host] = answer.last_id
    rows = [row for _, row in sorted(found, key=lambda pair: pair[0])]
    if run.option("follow"):
        for row in rows:
            _print(run, row)
        return _follow(run, rvg, last)
    if run.as_json:
        run.out.json({"events": rows})
    else:
        for row in rows:
            run.out.print(_line(row))
    return Exit.DONE


def _print(run: Run, row: dict[str, Any]) -> None:
    """One event, one line, at once."""
    if run.as_json:
        run.out.json(row, indent=None)
    else:
        run.out.print(_line(row))
        run.out.stdout.flush()


def _follow(run: Run, rvg: str, last: dict[str, int]) -> int:
    """Until Ctrl-C. Each host is asked by a thread of its own; one that goes away is asked again."""
    fleet = run.fleet
    run.abandon()  # the threads below read from it until the process ends
    news: queue.Queue[dict[str, Any]] = queue.Queue(maxsize=1000)  # readers wait while nobody prints

    def watch(host: str) -> None:
        after, told, pause = last[host], "", threading.Event()
        while True:
            request = EventsRequest(dg=run.dg, rvg=rvg, after_id=after, limit=100, wait_s=FOLLOW_WAIT_S)
            try:
                answer = fleet.call(host, "events.list", request)
            except VolrepError as error:
                if error.text != told:
                    told = error.text
                    run.out.say(f"warning: {error.id}: {error.text}")
                pause.wait(FOLLOW_RETRY_S)
                continue
            told = ""
            for event in answer.events:
                after = max(after, event.id)
                news.put(_row(host, event))

    for host in last:
        threading.Thread(target=watch, args=(host,), daemon=True).start()
    try:
        while True:
            _print(run, news.get())
    except KeyboardInterrupt:
        return Exit.DONE


def history(run: Run) -> int:
    def ask(host: str) -> Any:
        return run.fleet.call(host, "history.list", Scope(dg=run.dg, name=run.argument("rvg")))

    rows: list[dict[str, Any]] = []
    answers, _ = run.ask(ask)
    for host, answer in answers.items():
        rows += [{"time": iso(entry.time_ns), "host": host, "client": entry.client, "method": entry.method,
                  "request": entry.request} for entry in answer.entries]
    rows.sort(key=lambda row: str(row["time"]))
    if run.as_json:
        run.out.json({"history": rows})
    else:
        run.out.print(table(("TIME", "HOST", "BY", "CHANGE", "OF"), [
            (r["time"][:19], r["host"], r["client"], r["method"], _subject(r["request"])) for r in rows]))
    return Exit.DONE


def _subject(request: dict[str, Any]) -> str:
    return "/".join(str(request[key]) for key in ("dg", "name", "rvg", "volume") if request.get(key))


def log_dump(run: Run) -> int:
    """Of the host given by -H, else of the Primary."""
    rds = run.rds(run.observe())
    host = run.host or rds.primary().host.name
    dump = run.fleet.call(host, "log.dump", LogDumpOf(dg=rds.dg, rvg=rds.name, from_lsn=run.number("from_lsn", 0),
                                                      limit=run.number("limit", 100)))
    if run.as_json:
        run.out.json({"host": host} | dump.data())
        return Exit.DONE
    for key, value in dump.header.items():
        run.out.print(f"{key}: {value}")
    run.out.print(table(("LSN", "TYPE", "GEN", "INC", "VOLUME", "OFFSET", "LENGTH", "TIME", "DURABLE"), [
        (r.lsn, r.type, r.generation, r.incarnation, r.volume, r.offset, r.length, iso(r.time_ns), r.durable_lsn)
        for r in dump.records]))
    run.out.print(f"next: --from {dump.next_lsn}")
    return Exit.DONE
