"""Kinds of runs by name: a setting, and how many of which actions. DRBD's test names where the feature is there.

`plan(name, seed)` draws one. `mixed` has some of everything and is what most seeds run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from tests.sim.actions import ACTIONS
from tests.sim.application import Load
from tests.sim.plan import Action, Plan, Setting, times

_QUIET = Load(clients=1, pause_s=0.4, burst=2)
_BUSY = Load(clients=2, pause_s=0.07, burst=6)
_SYNC_NET, _SYNC_DATA = ({"synchronous": "override", "sync_ack": how} for how in ("network", "data"))
# Records as long as each other, so that two lines of one reign have records at the same LSNs
_EQUAL = Load(clients=1, pause_s=0.4, write_bytes=512, same_size=True, hot=0.0, odd=0.0, zeroes=0.0, trims=0.0)
_LIFE = {"kill": 5.0, "kill_all": 0.5, "probe": 12.0}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`counts`: actions of each kind in a run, on average. `fixed` draws those that every run has."""

    why: str
    setting: Setting
    counts: dict[str, float]
    fixed: Callable[[Random, Setting], list[Action]] = lambda _, __: []
    vary: Callable[[Random, Setting], Setting] = lambda _, setting: setting


def _any(random: Random, setting: Setting) -> Setting:
    return replace(
        setting, ring_bytes=random.choice((64, 128, 256, 512)) << 10,
        volume_bytes=random.choice(((64 << 10,), (64 << 10, 96 << 10), (32 << 10, 32 << 10, 64 << 10))),
        secondaries=random.choice((1, 2, 2)), delays_s=random.choice(((1e-4, 2e-3), (1e-3, 4e-2), (1e-2, 2e-1))),
        window_bytes=random.choice((4, 32, 128)) << 10, cold=random.choice((0.0, 0.1, 0.6)),
        attributes=random.choice(({}, _SYNC_NET, _SYNC_DATA)), tends=random.choice((0.0, 0.5, 1.0)),
        start=random.choice(("autosync", "blank")),
        load=random.choice((Load(), _BUSY, _QUIET, replace(Load(), zeroes=0.3, trims=0.2, hot=0.9))))


def _modes(random: Random, setting: Setting) -> Setting:
    return replace(setting, attributes=random.choice(({}, _SYNC_NET, _SYNC_DATA)),
                   delays_s=random.choice(((1e-4, 2e-3), (1e-3, 2e-2))))


def _older(random: Random, setting: Setting) -> list[Action]:
    """One Primary that writes on from an older image while another has taken over."""
    return [(random.uniform(2, 8), "return_older", ACTIONS["return_older"].choose(random, setting))]


def _once(kind: str) -> Callable[[Random, Setting], list[Action]]:
    """One action of this kind, early enough that what follows from it is seen."""
    return lambda random, setting: [(random.uniform(2, 6), kind, ACTIONS[kind].choose(random, setting))]


def _rolling(random: Random, setting: Setting) -> Setting:
    return replace(setting, attributes=random.choice(({}, _SYNC_NET, _SYNC_DATA)),
                   secondaries=random.choice((1, 2, 2, 3)), ring_bytes=random.choice((64, 256, 512)) << 10,
                   startup=random.choice(("serve", "ask-peers")),
                   delays_s=random.choice(((1e-4, 2e-3), (1e-3, 4e-2))), tends=random.choice((0.3, 1.0)))


def _older_hosts(random: Random, setting: Setting) -> Setting:
    return replace(_rolling(random, setting), startup="serve", ring_bytes=random.choice((64 << 10, 1 << 20)),
                   secondaries=random.choice((1, 2)))


def _older_untended(random: Random, setting: Setting) -> Setting:
    """Nobody orders a failback."""
    return replace(_older_hosts(random, setting), tends=0.0, secondaries=2)


def _left_alone(random: Random, setting: Setting) -> Setting:
    """Nobody settles anything: what is heard is heard by itself."""
    load = random.choice((setting.load, replace(setting.load, pause_s=8.0)))
    return replace(_rolling(random, setting), tends=0.0, load=load)


def _three_who_ask(random: Random, setting: Setting) -> Setting:
    return replace(_left_alone(random, setting), secondaries=2, startup="ask-peers")


_BASE = Setting()
SCENARIOS: dict[str, Scenario] = {
    "mixed": Scenario(
        "some of everything", _BASE,
        {**_LIFE, "start": 2.0, "stop": 0.6, "pause": 1.5, "resume": 2.0, "attributes": 2.0, "restart": 1.0, "cut": 2.0,
         "partition": 1.5, "break": 2.0, "flip": 0.7, "slow_net": 0.7, "slow_disk": 0.7, "clock": 0.5, "revert": 0.1},
        vary=_any),
    "disks": Scenario(
        "errors, full disks and failed syncs on every disk", _BASE,
        {**_LIFE, "disk_error": 4.0, "slow_disk": 1.5, "start": 3.0, "cut": 1.0}, vary=_any),
    "io-errors": Scenario(
        "writes to the log that fail halfway, then losses of power", replace(_BASE, ring_bytes=512 << 10),
        {"log_error": 5.0, "kill": 8.0, "kill_all": 1.0, "probe": 6.0, "cut": 3.0, "partition": 2.0}, vary=_modes),
    "rot": Scenario(
        "logs that rot and writes that land elsewhere", _BASE,
        {**_LIFE, "rot_log": 1.2, "rot_header": 0.8, "misdirect": 0.5, "start": 2.0, "cut": 1.0}, vary=_any),
    "ahead-behind": Scenario(
        "a slow line and a small log: links overflow, are started again, overflow again",
        replace(_BASE, ring_bytes=64 << 10, delays_s=(2e-2, 2e-1), window_bytes=4 << 10, load=_BUSY),
        {**_LIFE, "start": 12.0}),
    "brief-resync": Scenario(
        "connections that break for a moment; nothing is copied anew", replace(_BASE, ring_bytes=256 << 10),
        {"break": 12.0, "cut": 8.0, "probe": 12.0}),
    "busy-resync": Scenario(
        "writes all over while a copy runs",
        replace(_BASE, seconds=8.0, ring_bytes=512 << 10, volume_bytes=(192 << 10, 64 << 10), window_bytes=8 << 10,
                load=replace(_BUSY, hot=0.05)),
        {"stop": 5.0, "start": 8.0, "probe": 16.0, "cut": 1.0}, vary=_modes),
    "torn-tails": Scenario(
        "batches of equal writes, torn, and written over by batches of equal writes",
        replace(_BASE, load=Load(clients=2, pause_s=0.1, burst=6, write_bytes=448, same_size=True, odd=0.0, zeroes=0.0,
                                 trims=0.0)),
        {"kill": 14.0, "probe": 10.0}),
    "connect-abort": Scenario(
        "connections that die within HELLO, WELCOME, START", _BASE,
        {"cut": 10.0, "break": 20.0, "flip": 4.0, "probe": 8.0, "kill": 2.0}),
    "consistent-after-sync": Scenario(
        "the end of a copy (SYNC_END, CONSISTENT) meets kills and cuts on one side", replace(_BASE, load=_QUIET),
        {"stop": 6.0, "start": 9.0, "kill": 6.0, "cut": 4.0, "probe": 20.0}),
    "force-resync": Scenario(
        "orders given again and again", _BASE, {"stop": 9.0, "start": 12.0, "kill": 2.0, "probe": 10.0}),
    "lost-primary-after-no-writes": Scenario(
        "a Primary that has nothing to say dies, all die", replace(_BASE, load=replace(_QUIET, pause_s=4.0)),
        {"kill": 6.0, "kill_all": 2.0, "probe": 8.0}),
    "protocol-a-io": Scenario(
        "asynchronous writes, long delays, kills",
        replace(_BASE, delays_s=(5e-2, 2e-1), load=_BUSY, ring_bytes=256 << 10),
        {**_LIFE, "start": 2.0}),
    "protocol-c-io": Scenario(
        "synchronous writes, durable on both sides, kills and losses of power", replace(_BASE, attributes=_SYNC_DATA),
        {**_LIFE, "cut": 3.0, "partition": 2.0}),
    "protocol-b-io": Scenario(
        "synchronous writes, in the Secondaries' memory", replace(_BASE, attributes=_SYNC_NET),
        {**_LIFE, "cut": 3.0, "partition": 2.0}),
    "resync-after-primary-crash": Scenario(
        "the Primary dies while it copies", replace(_BASE, load=replace(Load(), hot=0.0)),
        {"kill": 8.0, "stop": 3.0, "start": 6.0, "probe": 12.0}, vary=_modes),
    "resync-interrupt": Scenario(
        "copies interrupted on either side, many times", replace(_BASE, cold=0.6),
        {"kill": 5.0, "break": 8.0, "partition": 2.0, "stop": 3.0, "start": 6.0, "probe": 12.0}, vary=_modes),
    "resync-write-during-pause": Scenario(
        "pauses amid a copy, writes meanwhile", _BASE,
        {"pause": 8.0, "resume": 10.0, "stop": 2.0, "start": 4.0, "kill": 2.0, "probe": 10.0}),
    "revert-older-data": Scenario(
        "a Secondary is put back to an older image of itself", replace(_BASE, ring_bytes=256 << 10),
        {"revert": 3.0, "kill": 2.0, "start": 3.0, "probe": 12.0}),
    "revert-amid-a-copy": Scenario(
        "a Secondary is put back to an image of itself from amid the copy to it",
        replace(_BASE, secondaries=1, volume_bytes=(512 << 10, 256 << 10), cold=0.6, tends=1.0,
                load=replace(_QUIET, pause_s=1.0, hot=0.0)),
        {"stop": 5.0, "start": 5.0, "revert": 8.0, "kill": 1.0, "probe": 8.0}),
    "send-error-when-congested": Scenario(
        "breaks while the stream takes nothing", replace(_BASE, window_bytes=2 << 10, load=_BUSY),
        {"break": 10.0, "partition": 4.0, "slow_net": 2.0, "start": 4.0, "probe": 8.0}),
    "suspend-resume-io": Scenario(
        "disks so slow that everything waits", replace(_BASE, ring_bytes=64 << 10, cold=0.6),
        {"slow_disk": 8.0, "kill": 2.0, "start": 4.0, "probe": 10.0}),
    "third-node": Scenario(
        "one Secondary copies while the other streams, and changes places", replace(_BASE, ring_bytes=64 << 10),
        {"stop": 6.0, "start": 10.0, "kill": 3.0, "partition": 2.0, "probe": 14.0}),
    "write-during-resync": Scenario(
        "hot spots written again and again under a copy",
        replace(_BASE, seconds=10.0, load=replace(_BUSY, hot=0.95, odd=0.5)),
        {"stop": 4.0, "start": 7.0, "cut": 2.0, "probe": 16.0}, vary=_modes),
    "migrate": Scenario(
        "the role goes from host to host while applications write", replace(_BASE, roles=True),
        {"migrate": 6.0, "probe": 8.0, "cut_all": 1.0}, vary=_rolling),
    "takeover": Scenario(
        "Primaries die or are cut off, others take over, failback", replace(_BASE, roles=True),
        {"takeover": 4.0, "migrate": 1.0, "probe": 8.0}, vary=_rolling),
    "roles": Scenario(
        "everything that moves the role, and crashes, breaks and partitions at every step of it",
        replace(_BASE, roles=True),
        {**_LIFE, "takeover": 3.0, "migrate": 3.0, "elect": 1.0, "isolate": 2.0, "cut_all": 1.0, "partition": 1.0,
         "restart": 1.0, "kill_soon": 3.0, "role_link": 3.0, "serve": 0.5, "clock": 0.5}, vary=_rolling),
    "roles-disks": Scenario(
        "the role moves between hosts whose disks fail, fill up and are slow", replace(_BASE, roles=True),
        {**_LIFE, "takeover": 3.0, "migrate": 3.0, "isolate": 1.0, "kill_soon": 2.0, "disk_error": 3.0,
         "slow_disk": 2.0, "cut_all": 1.0}, vary=_rolling),
    "resync-source-becomes-target": Scenario(
        "failbacks that take long: their source dies or is cut off amid them, and another host takes over",
        replace(_BASE, roles=True, volume_bytes=(192 << 10, 64 << 10), window_bytes=8 << 10,
                load=replace(Load(), hot=0.0)),
        {"takeover": 6.0, "kill": 4.0, "isolate": 3.0, "role_link": 2.0, "cut": 2.0, "probe": 12.0}, vary=_rolling),
    "twopc-abort-connect": Scenario(
        "connections that die amid every step of a change of roles", replace(_BASE, roles=True),
        {"migrate": 5.0, "takeover": 2.0, "break": 14.0, "cut": 6.0, "flip": 2.0, "kill_soon": 1.0, "probe": 6.0},
        vary=_rolling),
    "roles-older-image": Scenario(
        "the role moves between hosts that are put back to older images of themselves, and write on alone",
        replace(_BASE, roles=True),
        {**_LIFE, "put_back": 3.0, "takeover": 3.0, "migrate": 2.0, "elect": 0.5, "isolate": 1.0, "cut_all": 1.0,
         "kill_soon": 1.0, "role_link": 1.0}, vary=_rolling),
    "return-older": Scenario(
        "a Primary that was superseded comes back, having written alone from an older image, or from one once more",
        replace(_BASE, roles=True, seconds=40.0, volume_bytes=(512 << 10, 256 << 10),
                load=_EQUAL), {"probe": 4.0, "cut_all": 0.5},
        fixed=_older, vary=_older_hosts),
    "roles-rot": Scenario(
        "the role moves between hosts whose logs rot and whose writes land elsewhere", replace(_BASE, roles=True),
        {**_LIFE, "rot_log": 1.2, "rot_header": 0.8, "misdirect": 0.5, "takeover": 3.0, "migrate": 3.0, "isolate": 1.0,
         "kill_soon": 1.0, "cut_all": 1.0}, vary=_rolling),
    "startup-alone": Scenario(
        "a Primary that was superseded starts without network: it serves or waits, and hears when the network is back",
        replace(_BASE, roles=True, seconds=40.0, load=Load(clients=1, pause_s=0.6, burst=2)), {"probe": 4.0},
        fixed=_once("return_alone"), vary=_left_alone),
    "roles-attributes": Scenario(
        "synchronous on and off, acknowledged from memory or disk, while the role moves",
        replace(_BASE, roles=True),
        {"role_attributes": 8.0, "migrate": 3.0, "takeover": 2.0, "kill": 3.0, "kill_soon": 1.0, "cut_all": 1.0,
         "probe": 10.0}, vary=_rolling),
    "return-twice": Scenario(
        "a Primary that was superseded with -autofb follows, and comes back once more, from an image from before",
        replace(_BASE, roles=True, seconds=45.0, load=_EQUAL), {"probe": 4.0}, fixed=_once("return_twice"),
        vary=_older_untended),
    "takeover-amid-a-conflict": Scenario(
        "two Primaries know of each other, and a third host takes over what one of them has",
        replace(_BASE, roles=True, seconds=60.0, load=Load(clients=1, pause_s=1.0, burst=1)), {"probe": 4.0},
        fixed=_once("third_takes_over"), vary=_three_who_ask),
}
NAMES = tuple(SCENARIOS)


def plan(name: str, seed: int) -> Plan:
    scenario = SCENARIOS[name]
    random = Random(f"{name}/{seed}")
    setting = scenario.vary(random, scenario.setting)
    actions: list[Action] = scenario.fixed(random, setting)
    for kind, count in scenario.counts.items():
        choose = ACTIONS[kind].choose
        actions += [(at_s, kind, choose(random, setting)) for at_s in times(random, count, setting.seconds)]
    return Plan(seed, name, setting, tuple(sorted(actions, key=lambda a: a[0])))


def name_for(seed: int) -> str:
    """Half of all seeds are `mixed`, the others take turns."""
    return "mixed" if seed % 2 else NAMES[seed // 2 % len(NAMES)]
