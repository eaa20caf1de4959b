"""Verbs: volume create, add, list, destroy."""

from __future__ import annotations

from volrep.cli.out import table
from volrep.cli.run import Run
from volrep.model.errors import Exit
from volrep.model.names import check_name
from volrep.model.units import format_size, parse_size
from volrep.rds import plan_host, report
from volrep.rds.world import World


def _place(run: Run, world: World) -> tuple[str, str]:
    """(host, disk group) that the verb acts on."""
    host = plan_host.acting_host(world, run.host, run.local_host(), run.parsed.verb.name)
    return host, world.choose_dg(run.dg, run.parsed.verb.name)


def create(run: Run) -> int:
    name, size_bytes = check_name("volume", run.argument("name")), parse_size(run.argument("size"))
    host, dg = _place(run, run.observe())
    run.carry_out(plan_host.plan_volume_create(host, check_name("disk group", dg), name, size_bytes,
                                               run.attributes.get("directory", "")))
    return Exit.DONE


def add(run: Run) -> int:
    name = check_name("volume", run.argument("name"))
    host, dg = _place(run, run.observe())
    run.carry_out(plan_host.plan_volume_add(host, check_name("disk group", dg), name, run.argument("path")))
    return Exit.DONE


def destroy(run: Run) -> int:
    world = run.observe()
    host, dg = _place(run, world)
    plan = plan_host.plan_volume_destroy(world, host, dg, run.argument("volume"))
    info = world.host(host).volume(dg, run.argument("volume"))
    ours = info is not None and info.config.created_by_us
    run.confirm(volume=run.argument("volume"), dg=dg, host=host,
                what="with its file and all data" if ours else "but what it was made of stays")
    run.carry_out(plan)
    return Exit.DONE


def list_volumes(run: Run) -> int:
    world = run.observe()
    if run.host:
        world.host(run.host)
    document = report.volume_list(world, run.dg, run.host)
    if run.as_json:
        run.out.json(document)
    else:
        run.out.print(table(("HOST", "DG", "NAME", "SIZE", "USE", "RVG", "PATH", "EXPORT"), [
            (v["host"], v["dg"], v["name"], format_size(v["size_bytes"]), v["use"], v["rvg"] or "-", v["path"],
             v["export"]) for v in document["volumes"]]))
    return Exit.DONE
