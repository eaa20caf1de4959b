"""Verbs: host add, list, check, remove."""

from __future__ import annotations

import time
from typing import Any

from volrep.cli.out import table
from volrep.cli.run import Run
from volrep.engine.api import PROTOCOL, EngineStatus
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import hosts as messages
from volrep.rds.inventory import Host, make_host

LIST_DEADLINE_S = 12.0  # connecting has 10 s; a list must not wait for the slowest of many


def add(run: Run) -> int:
    given = run.attributes
    host = make_host(run.argument("name"), given.get("ssh", ""), given.get("local", ""), given.get("address", ""))
    inventory = run.inventory()
    if run.option("dry_run"):
        run.out.print(f"add host {host.name} to {inventory.path}")
        return Exit.DONE
    new = inventory.add(host)
    run.out.say(f"host {host.name} added to {inventory.path}" if new else f"host {host.name} is there already")
    status = run.fleet.ask(lambda name: run.fleet.call(name, "engine.status"), [host.name],
                           LIST_DEADLINE_S)[host.name]
    if isinstance(status, VolrepError):  # in the inventory it is: hosts are entered before they are installed too
        run.out.say(f"note: {status.id}: {status.text}\nhint: {status.hint}")
    elif status.name != host.name:
        inventory.remove(host.name)
        raise VolrepError(messages.NAME_DIFFERS, host=host.name, found=status.name)
    return Exit.DONE


def _row(run: Run, host: Host, answer: Any) -> dict[str, Any]:
    row = {"name": host.name, "ssh": host.ssh, "address": host.address, "local": host.local}
    if isinstance(answer, VolrepError):
        silent = answer.message in (messages.HOST_SILENT, messages.UNREACHABLE)
        return row | {"state": "unknown" if silent else "down", "problem": f"{answer.id}: {answer.text}",
                      "hint": answer.hint, "version": "", "port": 0}
    status: EngineStatus = answer
    problem = "" if host.implicit or status.name == host.name else f"the engine there is named {status.name}"
    if status.protocol != PROTOCOL:
        problem = f"its engine speaks control protocol {status.protocol}, this volrep {PROTOCOL}"
    return row | {"name": status.name if host.implicit else host.name, "state": "up", "problem": problem, "hint": "",
                  "version": status.version, "port": status.port}


def _rows(run: Run, names: list[str] | None = None) -> list[dict[str, Any]]:
    answers = run.fleet.ask(lambda name: run.fleet.call(name, "engine.status"), names, LIST_DEADLINE_S)
    return [_row(run, run.fleet.hosts[name], answer) for name, answer in answers.items()]


def list_hosts(run: Run) -> int:
    rows = _rows(run)
    if run.as_json:
        run.out.json({"hosts": rows})
    else:
        run.out.print(table(("NAME", "STATE", "SSH OR STATE DIRECTORY", "ADDRESS", "VERSION", "PROBLEM"),
                            [(r["name"], r["state"], r["ssh"] or r["local"], r["address"] or "-", r["version"] or "-",
                              r["problem"]) for r in rows]))
    return Exit.DONE


def check(run: Run) -> int:
    """Exit code 4 when a host does not answer."""
    wanted = run.argument("name") or run.host
    if wanted and wanted not in run.fleet.hosts:
        raise VolrepError(messages.HOST_UNKNOWN, host=wanted, known=", ".join(sorted(run.fleet.hosts)))
    began_s = time.monotonic()
    rows = _rows(run, [wanted] if wanted else None)
    if run.as_json:
        run.out.json({"hosts": rows})
    else:
        for row in rows:
            if row["problem"]:
                run.out.print(f"{row['name']}: {row['problem']}" + (f"\n  hint: {row['hint']}" if row["hint"] else ""))
            else:
                run.out.print(f"{row['name']}: engine {row['version']} answers, replication port {row['port']}")
        run.out.say(f"{len(rows)} asked in {time.monotonic() - began_s:.1f} s")
    return Exit.UNREACHABLE if any(row["state"] != "up" for row in rows) else Exit.DONE


def remove(run: Run) -> int:
    name = run.argument("name")
    inventory = run.inventory()
    entry = next((host for host in inventory.hosts() if host.name == name and not host.implicit), None)
    if entry is None:
        known = ", ".join(host.name for host in inventory.hosts() if not host.implicit)
        raise VolrepError(messages.HOST_UNKNOWN, host=name, known=known or "none")
    if not run.force:
        answer = run.fleet.ask(lambda host: run.fleet.call(host, "rvg.list"), [name], LIST_DEADLINE_S)[name]
        if not isinstance(answer, VolrepError) and answer.rvgs:
            listed = ", ".join(f"RVG {info.config.name} ({info.config.role.value})" for info in answer.rvgs)
            raise VolrepError(messages.HOST_IN_USE, host=name, rvgs=listed)
    run.confirm(host=name)
    if run.option("dry_run"):
        run.out.print(f"remove host {name} from {inventory.path}")
        return Exit.DONE
    inventory.remove(name)
    run.out.say(f"host {name} removed from {inventory.path}")
    return Exit.DONE
