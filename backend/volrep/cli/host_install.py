"""Verb: host install."""

from __future__ import annotations

from volrep.cli.run import Run
from volrep.model.errors import Exit, VolrepError
from volrep.model.messages import hosts as messages
from volrep.rds.inventory import Host, Inventory, make_host


def install(run: Run) -> int:
    """Of a host of the inventory, or of one that `ssh=` describes: it is entered when the installation is done."""
    inventory = run.inventory()
    host = _host(run, inventory)
    if host.local:
        raise VolrepError(messages.INSTALL_LOCAL, host=host.name)
    if run.option("dry_run"):
        run.out.print(f"install this volrep on {host.name} over SSH ({host.ssh}), and start its engine")
        return Exit.DONE
    from volrep.rds.install import install_on

    result = install_on(host, run.out.say)
    if inventory.add(host):
        run.out.say(f"host {host.name} added to {inventory.path}")
    run.fleet.call(host.name, "engine.status")  # by the way that every verb takes from now on
    if run.as_json:
        run.out.json(result)
    else:
        engine = result["engine"]
        run.out.print(f"{host.name}: volrep {result['version']} "
                      f"{'installed' if result['changed'] else 'is there already'} in {result['directory']}; "
                      f"engine {engine['how']}, pid {engine['pid']}, replication port {engine['port']}")
    return Exit.DONE


def _host(run: Run, inventory: Inventory) -> Host:
    """Raises VR-1100, VR-1101, VR-1104, VR-1107: before anything is changed anywhere."""
    name, given = run.argument("name"), run.attributes
    known = {host.name: host for host in inventory.hosts() if not host.implicit}
    if not given:
        if name not in known:
            raise VolrepError(messages.HOST_UNKNOWN, host=name, known=", ".join(sorted(known)) or "none")
        return known[name]
    host = make_host(name, given.get("ssh", ""), "", given.get("address", ""))
    if name in known:
        inventory.add(host)  # raises when it is there with other values, changes nothing otherwise
    return host
