"""What can happen to a run: the operator's verbs and the faults, each a row of `ACTIONS`.

A row has two functions: `choose` draws the arguments when the plan is made, `do` carries them out. To add a verb (a
role change, say), add a row, and name it in a scenario.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from tests.sim.operator import header_of, is_up, primary_of
from tests.sim.plan import Setting
from volrep.log.ring import HEADER_AREA_BYTES, SLOT_BYTES, Ring
from volrep.model.config import StartMethod

if TYPE_CHECKING:
    from tests.sim.host import SimHost
    from tests.sim.rolling import RollingRun
    from tests.sim.run import Run
    from tests.sim.tree import Image

Args = dict[str, Any]
BROUGHT_BACK_S = 15.0  # until a host that nobody reached is equal again: dials that met the partition time out first


@dataclass(frozen=True, slots=True)
class Row:
    choose: Callable[[Random, Setting], Args]
    do: Callable[..., None]


def _host(random: Random, setting: Setting) -> int:
    """0 is the Primary."""
    return int(random.choice((0, 0, *range(1, setting.secondaries + 1))))


def _any_host(random: Random, setting: Setting) -> int:
    return random.randint(0, setting.secondaries)


def _secondary(random: Random, setting: Setting) -> int:
    return random.randint(1, setting.secondaries)


# the operator

def _start(run: Run, secondary: int) -> None:
    run.start_link(secondary)


def _verb(method: str) -> Callable[..., None]:
    return lambda run, secondary: run.ask(method, {"link_id": run.link_id(secondary)})


def _attributes(run: Run, secondary: int, synchronous: str, sync_ack: str) -> None:
    run.set_attributes(run.link_id(secondary), {"synchronous": synchronous, "sync_ack": sync_ack})


def _restart(run: Run, host: int) -> None:
    """A clean stop, and a start."""
    process = run.host(host).process
    if process is not None:
        process.call("shutdown", {})
        run.world.after(0.05, lambda: run.gone(run.host(host)))


# the operator moves the role (`operator`)

def _migrate(run: RollingRun, to: int) -> None:
    run.operator.begin("migrate", run.host(to))


def _takeover(run: RollingRun, to: int, first: str, down_s: float, failback: bool, autofb: bool) -> None:
    """`first`: what happens to Primaries before: killed, without power, cut off from all, or nothing."""
    for host in run.oracle.primaries():
        if first in ("kill", "power") and host is not run.host(to):
            host.down_s = down_s
            host.kill(power=first == "power")
        elif first == "isolate":
            _isolate(run, run.hosts.index(host), down_s)
    run.operator.begin("takeover", run.host(to), failback=failback, autofb=autofb)


def _elect(run: RollingRun, host: int) -> None:
    if run.host(host) in run.oracle.primaries():
        run.operator.elect(run.host(host))


def _role_link(run: RollingRun, method: str, link: int) -> None:
    """A verb of replication at whoever is Primary."""
    for host in run.oracle.primaries():
        links = list(primary_of(host).links.values())
        if method == "autosync":
            run.operator.start(host, links[link % len(links)], StartMethod.AUTOSYNC)
        else:
            run.ask_host(host, method, {"link_id": links[link % len(links)].config.link_id})
            if method == "link.stop" and host.process is not None:  # nobody asks over a link that is stopped
                run.oracle.hearing.excuse(host.process, links[link % len(links)].config.remote_host)


def _role_attributes(run: RollingRun, link: int, synchronous: str, sync_ack: str) -> None:
    """Of any pair of hosts, whoever of them is Primary, or will be."""
    known = sorted({link.link_id for host in run.hosts for link in host.config.links})
    run.set_attributes(known[link % len(known)], {"synchronous": synchronous, "sync_ack": sync_ack})


def _primary_and_heir(run: RollingRun, to: int) -> tuple[SimHost, SimHost] | None:
    """The only Primary and another host, `to` if that is one; None while there is not just one Primary."""
    primaries = run.oracle.primaries()
    if len(primaries) != 1:
        return None
    here, takes = primaries[0], run.host(to)
    return here, run.host(to + 1) if takes is here else takes


def _return_alone(run: RollingRun, to: int, down_s: float, alone_s: float, stopped: bool) -> None:
    """The Primary dies and another takes over; the old one starts where it can reach nobody, and serves or waits.

    `stopped`: the old Primary's own links were stopped before, so that it hears only from those who dial it.
    """
    pair = _primary_and_heir(run, to)
    if pair is None:
        return
    here, takes = pair
    if stopped:
        for link in here.config.links:
            run.ask_host(here, "link.stop", {"link_id": link.link_id})

    def die() -> None:
        _isolate(run, run.hosts.index(here), down_s + alone_s)
        here.down_s = down_s
        here.kill(power=True)
        run.operator.begin("takeover", takes)

    run.world.after(0.1, die)


def _return_older(run: RollingRun, to: int, age_s: float, alone_s: float, amid: bool) -> None:
    """A Primary that nobody reaches writes alone while another takes over, dies, and comes back to give way.

    It writes on from an older image of itself; or, `amid`, from its own log, and comes back a second time, from an
    image of that time, when the others have brought it back.
    """
    pair = _primary_and_heir(run, to)
    if pair is None or run.peace:
        return
    here, takes = pair
    index = run.hosts.index(here)

    def part() -> None:
        _isolate(run, index, alone_s + 0.3)
        run.operator.begin("takeover", takes, failback=True, autofb=False)
        if amid:
            run.world.after(alone_s * 0.9, lambda: _put_back(run, index, age_s + BROUGHT_BACK_S, folder=True))
        run.world.after(alone_s, lambda: here.kill(power=False))

    if not amid:
        _put_back(run, index, age_s, folder=True, alone_s=alone_s + 0.3)
    run.world.after(0.2 if amid else age_s, part)


def _return_twice(run: RollingRun, to: int, age_s: float, alone_s: float) -> None:
    """A Primary dies, another takes over with -autofb, and the old one follows; then it comes back once more.

    From an image of when it was Primary, on which it has written alone: what -autofb says it has said once. A third
    host is away all the time, so that -autofb stays in force.
    """
    pair = _primary_and_heir(run, to)
    if pair is None or run.peace:
        return
    here, takes = pair
    third = next(host for host in run.hosts if host not in (here, takes))
    again_s = age_s + BROUGHT_BACK_S
    _put_back(run, run.hosts.index(here), again_s, folder=True, alone_s=alone_s + 0.3)
    run.world.after(again_s + alone_s, lambda: here.kill(power=False))

    def die() -> None:
        here.down_s, third.down_s = 0.5, again_s + alone_s + BROUGHT_BACK_S
        for host in (here, third):
            host.kill(power=False)
        run.operator.begin("takeover", takes, failback=True, autofb=True)

    run.world.after(age_s, die)


def _third_takes_over(run: RollingRun, to: int, alone_s: float, down_s: float, behind_s: float) -> None:
    """Two Primaries know of each other, one of them dies, and a third host takes over that has all of it.

    `behind_s`: all but what was written in so long, during which nobody reached it.
    """
    pair = _primary_and_heir(run, to)
    if pair is None or run.peace:
        return
    here, takes = pair
    third = next(host for host in run.hosts if host not in (here, takes))
    _isolate(run, run.hosts.index(here), alone_s)
    run.operator.begin("takeover", takes, failback=True, autofb=False)

    def amid() -> None:
        if takes in run.oracle.primaries() and header_of(takes).primary_primary:
            takes.down_s = down_s
            takes.kill(power=False)
            run.operator.begin("takeover", third, failback=True, autofb=False)

    if behind_s:
        run.world.after(alone_s + BROUGHT_BACK_S - behind_s, lambda: _isolate(run, run.hosts.index(third), behind_s))
    run.world.after(alone_s + BROUGHT_BACK_S, amid)


def _serve(run: RollingRun, host: int) -> None:
    """The operator says that a starting Primary is to wait for nobody."""
    process = run.host(host).process
    if process is not None:
        run.oracle.hearing.excuse(process)
        run.ask_host(run.host(host), "serve", {})


def _isolate(run: Run, host: int, for_s: float) -> None:
    here = run.host(host)
    for other in run.hosts:
        if other is not here:
            run.net.block(here.name, other.name, for_s)
            run.net.block(other.name, here.name, for_s)


def _cut_all(run: Run) -> None:
    for stream in list(run.net.streams.values()):
        stream.connection_broken()


# crashes

def _kill(run: Run, host: int, power: bool, steps: int, in_log: bool, down_s: float) -> None:
    """`steps`: calls to the outside until it dies in the middle of one; 0: now, between two turns of its loop.

    `in_log`: only writes to the SRL count.
    """
    found = run.host(host)
    if found.process is None:
        return
    found.down_s = down_s
    if steps:
        found.process.crash_power, found.process.crash_in = power, steps
        found.process.crash_in_log = in_log
    else:
        run.oracle.probe(found)
        found.kill(power=power)


def _kill_changing(run: RollingRun, verb: str, to: int, victim: str, power: bool, steps: int) -> None:
    """A change of roles in which somebody dies within its next calls to the outside: who gives, or who takes."""
    takes = run.host(to)
    for host in [takes] if victim == "takes" else [h for h in run.oracle.primaries() if h is not takes]:
        if host.process is not None:
            host.process.crash_power, host.process.crash_in, host.process.crash_in_log = power, steps, False
    run.operator.begin(verb, takes)


def _kill_all(run: Run, power: bool, down_s: float) -> None:
    for host in run.hosts:
        if host.process is not None:
            host.down_s = down_s * run.world.between(0.3, 1.0)
            host.kill(power=power)


def _probe(run: Run, host: int) -> None:
    run.oracle.probe(run.host(host))


# the network

def _cut(run: Run, secondary: int) -> None:
    for stream in run.net.between(run.host(0).name, run.host(secondary).name):
        stream.connection_broken()


def _partition(run: Run, secondary: int, ways: str, for_s: float) -> None:
    a, b = run.host(0).name, run.host(secondary).name
    if ways in ("both", "there"):
        run.net.block(a, b, for_s)
    if ways in ("both", "back"):
        run.net.block(b, a, for_s)


def _spoil_stream(run: Run, secondary: int, after_bytes: int, how: str) -> None:
    """A byte still to come breaks the connection or has a bit turned; one of the next connection if none is there."""
    streams = run.net.between(run.host(0).name, run.host(secondary).name)
    if not streams:
        if how == "break":
            run.net.break_next = after_bytes
        else:
            run.net.flip_next = after_bytes
        return
    pipe = run.world.random.choice(streams).outgoing
    if how == "break":
        pipe.break_at_byte = pipe.passed_bytes + after_bytes
    else:
        pipe.flip_at_byte = pipe.passed_bytes + after_bytes


def _slow_net(run: Run, delay_s: float, for_s: float) -> None:
    before, run.net.delays_s = run.net.delays_s, (delay_s / 4, delay_s)
    run.world.after(for_s, lambda: setattr(run.net, "delays_s", before))


# disks

def _disk_error(run: Run, host: int, disk: int, what: str, full: bool) -> None:
    found = run.host(host)
    trouble = list(found.disks.values())[disk % len(found.disks)].trouble
    setattr(trouble, what, 1)
    trouble.write_errno = errno.ENOSPC if full else errno.EIO
    found.disk_errors += 1


def _slow_disk(run: Run, host: int, delay_s: float, for_s: float) -> None:
    found = run.host(host)

    def set_to(slow_s: float) -> None:
        found.slow_s = slow_s
        if found.process is not None:
            found.process.background.slow_s = slow_s

    set_to(delay_s)
    run.world.after(for_s, lambda: set_to(0.0))


def _rot_log(run: Run, host: int, where: float, bit: int) -> None:
    """One bit of the log, somewhere between its tail and where something later says that it was durable."""
    found = run.host(host)
    process = found.process
    if process is None or process.worker.journal is None or process.failed is not None:
        return
    journal = process.worker.journal
    end_lsn = (run.oracle.history_of(found).proved_lsn if run.oracle.is_primary(process)
               else journal.header.durable_lsn)
    tail_lsn = journal.retained_lsn()
    if end_lsn - tail_lsn < 64:
        return
    found.disk_errors += 1
    lsn = tail_lsn + int((end_lsn - tail_lsn - 1) * where)
    found.srl.rot(Ring(found.srl.size_bytes).offset(lsn), bit)


def _rot_header(run: Run, host: int, slot: int, where: int, bit: int) -> None:
    """One bit of one header slot; the worker is alone with the other slot when it starts next."""
    run.host(host).disk_errors += 1
    run.host(host).srl.rot(slot * SLOT_BYTES + where, bit)


def _misdirect(run: Run, host: int) -> None:
    found = run.host(host)
    found.srl.trouble.misdirect = 1
    found.disk_errors += 1
    assert found.srl.size_bytes > HEADER_AREA_BYTES


def _clock(run: Run, host: int, jump_s: float) -> None:
    process = run.host(host).process
    if process is not None:
        process.clock.wall_offset_ns += int(jump_s * 1e9)


def _revert(run: Run, secondary: int, age_s: float) -> None:
    """A Secondary comes back with disks as they were: a snapshot of the machine was restored."""
    _put_back(run, secondary, age_s, folder=True)


def _put_back(run: Run, host: int, age_s: float, *, folder: bool, alone_s: float = 0.0) -> None:
    """Any host; with `folder` also its small files. `alone_s`: nobody reaches it for so long.

    Only a host that is up knows what its disks hold.
    """
    found = run.host(host)
    if run.plan.setting.roles and not is_up(found):
        return
    saved = _Saved(found, run.oracle.image(found))

    def restore() -> None:
        if run.peace:
            return
        if found.process is not None:
            found.process.loop.undone = True
        found.kill(power=True)
        saved.put_back(folder=folder)
        found.reverts += 1
        run.oracle.reverted(found, saved.image)
        if alone_s:
            _isolate(run, run.hosts.index(found), alone_s)

    run.world.after(age_s, restore)


class _Saved:
    """Disks and folder of a host at one moment."""

    def __init__(self, host: SimHost, image: Image | None) -> None:
        self.image = image
        self._host = host
        self._disks = {path: disk.after_power_loss(host.random) for path, disk in host.disks.items()}
        self._damaged = {path: list(disk.damaged) for path, disk in host.disks.items()}
        self._files = dict(host.files)

    def put_back(self, *, folder: bool) -> None:
        for path, data in self._disks.items():
            self._host.disks[path].replace(bytearray(data))
            self._host.disks[path].damaged = list(self._damaged[path])
        if folder:
            self._host.files = dict(self._files)


ACTIONS: dict[str, Row] = {
    "start": Row(lambda r, s: {"secondary": _secondary(r, s)}, _start),
    "stop": Row(lambda r, s: {"secondary": _secondary(r, s)}, _verb("link.stop")),
    "pause": Row(lambda r, s: {"secondary": _secondary(r, s)}, _verb("link.pause")),
    "resume": Row(lambda r, s: {"secondary": _secondary(r, s)}, _verb("link.resume")),
    "attributes": Row(lambda r, s: {"secondary": _secondary(r, s), "synchronous": r.choice(("off", "override")),
                                    "sync_ack": r.choice(("network", "data"))}, _attributes),
    "migrate": Row(lambda r, s: {"to": _any_host(r, s)}, _migrate),
    "takeover": Row(lambda r, s: {"to": _any_host(r, s), "first": r.choice(("kill", "power", "isolate", "nothing")),
                                  "down_s": round(r.uniform(0.1, 6), 3), "failback": r.random() < 0.8,
                                  "autofb": r.random() < 0.2}, _takeover),
    "elect": Row(lambda r, s: {"host": _any_host(r, s)}, _elect),
    "role_link": Row(lambda r, s: {"method": r.choice(("link.stop", "link.pause", "link.resume", "autosync")),
                                   "link": r.randrange(6)}, _role_link),
    "role_attributes": Row(lambda r, s: {"link": r.randrange(6), "synchronous": r.choice(("off", "override")),
                                         "sync_ack": r.choice(("network", "data"))}, _role_attributes),
    "return_alone": Row(lambda r, s: {"to": _any_host(r, s), "down_s": round(r.uniform(0.3, 2), 3),
                                      "alone_s": round(r.uniform(0.5, 8), 3), "stopped": r.random() < 0.3},
                        _return_alone),
    "return_older": Row(lambda r, s: {"to": _any_host(r, s), "age_s": round(r.uniform(0.1, 5), 3),
                                      "alone_s": round(r.uniform(2.5, 6), 3), "amid": r.random() < 0.4},
                        _return_older),
    "return_twice": Row(lambda r, s: {"to": _any_host(r, s), "age_s": round(r.uniform(0.02, 0.2), 3),
                                      "alone_s": round(r.uniform(2.5, 6), 3)}, _return_twice),
    "third_takes_over": Row(lambda r, s: {"to": _any_host(r, s), "alone_s": round(r.uniform(3, 6), 3),
                                          "down_s": round(r.uniform(0.5, 2), 3),
                                          "behind_s": r.choice((0.0, 0.0, 3.0))}, _third_takes_over),
    "serve": Row(lambda r, s: {"host": _any_host(r, s)}, _serve),
    "isolate": Row(lambda r, s: {"host": _any_host(r, s), "for_s": round(r.uniform(0.1, 6), 3)}, _isolate),
    "cut_all": Row(lambda r, s: {}, _cut_all),
    "restart": Row(lambda r, s: {"host": _host(r, s)}, _restart),
    "kill": Row(lambda r, s: {"host": _host(r, s), "power": r.random() < 0.5,
                              "steps": r.choice((0, r.randint(1, 12), r.randint(1, 120))),
                              "in_log": r.random() < 0.4,
                              "down_s": round(r.choice((r.uniform(0.1, 0.5), r.uniform(0.5, 8))), 3)}, _kill),
    "kill_soon": Row(lambda r, s: {"verb": r.choice(("migrate", "takeover")), "to": _any_host(r, s),
                                   "victim": r.choice(("takes", "gives")), "power": r.random() < 0.6,
                                   "steps": r.choice((r.randint(1, 8), r.randint(1, 40)))}, _kill_changing),
    "kill_all": Row(lambda r, s: {"power": r.random() < 0.7, "down_s": round(r.uniform(0.1, 3), 3)}, _kill_all),
    "probe": Row(lambda r, s: {"host": _host(r, s)}, _probe),
    "cut": Row(lambda r, s: {"secondary": _secondary(r, s)}, _cut),
    "partition": Row(lambda r, s: {"secondary": _secondary(r, s), "ways": r.choice(("both", "there", "back")),
                                   "for_s": round(r.choice((r.uniform(0.05, 1), r.uniform(1, 12))), 3)}, _partition),
    "break": Row(lambda r, s: {"secondary": _secondary(r, s), "how": "break",
                               "after_bytes": r.choice((r.randint(0, 600), r.randint(0, 100_000)))}, _spoil_stream),
    "flip": Row(lambda r, s: {"secondary": _secondary(r, s), "how": "flip",
                              "after_bytes": r.choice((r.randint(0, 600), r.randint(0, 100_000)))}, _spoil_stream),
    "slow_net": Row(lambda r, s: {"delay_s": round(r.uniform(0.01, 0.4), 3), "for_s": round(r.uniform(0.5, 6), 3)},
                    _slow_net),
    "disk_error": Row(lambda r, s: {"host": _host(r, s), "disk": r.randrange(3), "full": r.random() < 0.3,
                                    "what": r.choice(("write_errors", "sync_errors", "read_errors"))}, _disk_error),
    "log_error": Row(lambda r, s: {"host": _host(r, s), "disk": 0, "full": r.random() < 0.2, "what": "write_errors"},
                     _disk_error),
    "slow_disk": Row(lambda r, s: {"host": _host(r, s), "delay_s": round(r.uniform(0.02, 2), 3),
                                   "for_s": round(r.uniform(0.5, 6), 3)}, _slow_disk),
    "rot_log": Row(lambda r, s: {"host": _host(r, s), "where": round(r.random(), 6), "bit": r.randrange(8)}, _rot_log),
    "rot_header": Row(lambda r, s: {"host": _host(r, s), "slot": r.randrange(2), "where": r.randrange(600),
                                    "bit": r.randrange(8)}, _rot_header),
    "misdirect": Row(lambda r, s: {"host": _host(r, s)}, _misdirect),
    "clock": Row(lambda r, s: {"host": _host(r, s), "jump_s": round(r.uniform(-30, 30), 3)}, _clock),
    "revert": Row(lambda r, s: {"secondary": _secondary(r, s), "age_s": round(r.uniform(0.2, 4), 3)}, _revert),
    "put_back": Row(lambda r, s: {"host": _any_host(r, s), "age_s": round(r.uniform(0.2, 6), 3),
                                  "folder": r.random() < 0.5, "alone_s": round(r.choice((0.0, r.uniform(0.5, 6))), 3)},
                    _put_back),
}
