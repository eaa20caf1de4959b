"""Verbs: export, unexport, exports, attach, detach."""

from __future__ import annotations

from typing import Any

from volrep.cli.out import table
from volrep.cli.run import Run
from volrep.engine.api import AttachInfo, ExportInfo, Scope
from volrep.model.errors import Exit
from volrep.rds import plan_host
from volrep.rds.world import World


def _place(run: Run) -> tuple[World, str, str, str]:
    """(world, host, disk group, volume); the host is the one that has the volume in a Primary RVG."""
    world = run.observe()
    dg, volume = world.choose_dg(run.dg, run.parsed.verb.name), run.argument("volume")
    return world, plan_host.host_of_data_volume(world, dg, volume, run.host), dg, volume


def export(run: Run) -> int:
    _, host, dg, volume = _place(run)
    for made in run.carry_out(plan_host.plan_export(host, dg, volume, run.attributes.get("listen", ""))):
        assert isinstance(made, ExportInfo)
        if run.as_json:
            run.out.json(_export_row(host, made))
        else:
            run.out.print(made.uri)
            if made.closed:
                run.out.say(f"note: nobody can use it now: {made.closed}")
    return Exit.DONE


def unexport(run: Run) -> int:
    _, host, dg, volume = _place(run)
    run.carry_out(plan_host.plan_unexport(host, dg, volume, force=run.force))
    return Exit.DONE


def _export_row(host: str, info: ExportInfo) -> dict[str, Any]:
    return {"host": host, "dg": info.dg, "rvg": info.rvg, "volume": info.config.volume, "uri": info.uri,
            "connections": info.connections, "closed": info.closed}


def exports(run: Run) -> int:
    """Exports, and the block devices made of them."""
    def ask(host: str) -> tuple[Any, Any]:
        scope = Scope(dg=run.dg)
        return run.fleet.call(host, "export.list", scope), run.fleet.call(host, "attach.list", scope)

    rows: list[dict[str, Any]] = []
    answers, _ = run.ask(ask)
    for host, (exported, attached) in answers.items():
        devices = {(a.dg, a.volume): a for a in attached.attached}
        rows += [_export_row(host, info) | _device(devices.get((info.dg, info.config.volume)))
                 for info in exported.exports]
    if run.as_json:
        run.out.json({"exports": rows})
    else:
        run.out.print(_listing(rows))
    return Exit.DONE


def _listing(rows: list[dict[str, Any]]) -> str:
    """Why an export is closed stands below: in a column it would push the others apart."""
    shown = table(("HOST", "DG", "VOLUME", "STATE", "CONNECTIONS", "DEVICE", "URI"), [
        (r["host"], r["dg"], r["volume"], "closed" if r["closed"] else "open", r["connections"], r["device"] or "-",
         r["uri"]) for r in rows])
    return "\n".join([shown, *dict.fromkeys(f"closed on {r['host']}: {r['closed']}" for r in rows if r["closed"])])


def _device(attached: AttachInfo | None) -> dict[str, Any]:
    return {"device": attached.device if attached is not None else "",
            "mount": attached.mount if attached is not None else ""}


def attach(run: Run) -> int:
    world, host, dg, volume = _place(run)
    answers = run.carry_out(plan_host.plan_attach(world, host, dg, volume, run.attributes.get("mount", "")))
    for made in answers[-1:]:
        assert isinstance(made, AttachInfo)
        if not made.survives_restart:
            run.out.say(f"note: made by {made.way}: I/O fails while the RVG's worker is restarted")
        if run.as_json:
            run.out.json({"host": host} | made.data())
        else:
            run.out.print(made.device)
    return Exit.DONE


def detach(run: Run) -> int:
    _, host, dg, volume = _place(run)
    run.carry_out(plan_host.plan_detach(host, dg, volume))
    return Exit.DONE
