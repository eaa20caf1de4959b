"""From a failing plan to a small one that still fails: cut the end off, strike out actions, halves first."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from tests.sim.plan import Plan
from tests.sim.run import execute


def shrink(plan: Plan, *, limit_s: float = 120.0, fails: Callable[[Plan], bool] | None = None) -> Plan:
    """The smallest plan found within `limit_s`. It fails, perhaps for another reason than `plan` did."""
    until_s = time.monotonic() + limit_s
    check = fails if fails is not None else lambda p: bool(execute(p).violation)
    plan = _shorter(plan, check, until_s)
    step = max(1, len(plan.actions) // 2)
    while step and time.monotonic() < until_s:
        at, smaller = 0, False
        while at < len(plan.actions) and time.monotonic() < until_s:
            tried = plan.without(set(range(at, at + step)))
            if check(tried):
                plan, smaller = tried, True
            else:
                at += step
        if step == 1 and not smaller:
            break
        step = max(1, step // 2)
    return _calmer(plan, check, until_s)


def _shorter(plan: Plan, check: Callable[[Plan], bool], until_s: float) -> Plan:
    """Only the first part of the run, when that is enough."""
    for part in (0.1, 0.25, 0.5, 0.75):
        seconds = round(plan.setting.seconds * part, 3)
        tried = replace(plan, setting=replace(plan.setting, seconds=seconds),
                        actions=tuple(a for a in plan.actions if a[0] < seconds))
        if time.monotonic() < until_s and check(tried):
            return tried
    return plan


def _calmer(plan: Plan, check: Callable[[Plan], bool], until_s: float) -> Plan:
    """Fewer applications, volumes and Secondaries, when that is enough."""
    setting = plan.setting
    for changed in (replace(setting, load=replace(setting.load, clients=1)), replace(setting, secondaries=1),
                    replace(setting, volume_bytes=setting.volume_bytes[:1]), replace(setting, cold=0.0)):
        tried = replace(plan, setting=changed)
        if changed != setting and time.monotonic() < until_s and check(tried):
            plan, setting = tried, changed
    return plan
