"""One invocation of a verb: what was typed, and the services that its handler may ask for.

Knows how plans are shown, driven and reported for every verb alike.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from volrep.cli.grammar import Parsed
from volrep.cli.out import Out
from volrep.model.errors import VolrepError
from volrep.model.messages import usage
from volrep.rds.inventory import Inventory
from volrep.rds.places import config_dir, state_dir

if TYPE_CHECKING:
    from volrep.rds.fleet import Fleet
    from volrep.rds.plan_rds import Fresh
    from volrep.rds.step import Plan
    from volrep.rds.world import Rds, World

T = TypeVar("T")


@dataclass
class Run:
    """What a handler gets. Handlers return an exit code."""

    parsed: Parsed
    out: Out = field(default_factory=Out)
    _fleet: Fleet | None = None

    # ---- what was typed

    def argument(self, name: str) -> str:
        return self.parsed.arguments[name]

    def option(self, name: str) -> Any:
        return self.parsed.options.get(name)

    @property
    def attributes(self) -> dict[str, str]:
        return self.parsed.attributes

    @property
    def dg(self) -> str:
        return self.option("dg") or ""

    @property
    def host(self) -> str:
        return self.option("host") or ""

    @property
    def force(self) -> bool:
        return bool(self.option("force"))

    @property
    def as_json(self) -> bool:
        return bool(self.option("json"))

    def number(self, name: str, default: int) -> int:
        """A numeric option. Raises VR-1018."""
        value = self.option(name)
        if value is None:
            return default
        if not str(value).isdecimal():
            raise VolrepError(usage.BAD_NUMBER, value=value, name=name)
        return int(value)

    # ---- the world

    @property
    def state_dir(self) -> Path:
        return state_dir(os.environ, root=os.geteuid() == 0)

    def inventory(self) -> Inventory:
        return Inventory(config_dir(os.environ, root=os.geteuid() == 0), self.state_dir)

    @property
    def fleet(self) -> Fleet:
        if self._fleet is None:
            from volrep.rds.fleet import Fleet

            self._fleet = Fleet(self.inventory())
        return self._fleet

    def close(self) -> None:
        if self._fleet is not None:
            self._fleet.close()

    def abandon(self) -> None:
        """Leave the conversations to the end of the process: closing one waits for the thread that reads from it."""
        self._fleet = None

    def observe(self, *, events: bool = False, rvg: str = "") -> World:
        """All hosts; those that do not answer are told on stderr (their problem is in the world too).

        Raises the problem when not one host answers.
        """
        world = self.fleet.observe(self.dg, rvg, events=events)
        problems = [view.problem for view in world.hosts if view.problem is not None]
        if problems and not world.answering():
            raise problems[0]
        for view in world.hosts:
            if view.problem is not None and view.name != self.host:
                self.out.say(f"warning: {view.problem.id}: {view.problem.text}")
        return world

    def ask(self, question: Callable[[str], T]) -> tuple[dict[str, T], bool]:
        """(answers of the hosts, whether one is missing): of the one given by -H, else of all.

        Hosts that do not answer are told on stderr. Raises the problem when not one host answers.
        """
        if any(host.implicit for host in self.fleet.hosts.values()):
            self.fleet.observe()  # the local engine that no inventory names goes by its own name from here on
        answers: dict[str, T] = {}
        problems: list[VolrepError] = []
        for host, answer in self.fleet.ask(question, [self.host] if self.host else None).items():
            if isinstance(answer, VolrepError):
                problems.append(answer)
            else:
                answers[host] = answer
        for problem in problems if answers else problems[1:]:
            self.out.say(f"warning: {problem.id}: {problem.text}")
        if problems and not answers:
            raise problems[0]
        return answers, bool(problems)

    def rds(self, world: World) -> Rds:
        """The RDS that the argument RVG names."""
        return world.rds(self.dg, self.argument("rvg"), self.host)

    def local_host(self) -> str:
        """The host of the inventory whose engine is this machine's, "" when there is none."""
        own = str(self.state_dir)
        for host in self.fleet.hosts.values():
            if host.local and (host.implicit or os.path.realpath(host.local) == os.path.realpath(own)):
                return host.name
        return ""

    @staticmethod
    def fresh() -> Fresh:
        from volrep.rds.plan_rds import Fresh

        rds_id, primary, secondary, link_id = (str(uuid.uuid4()) for _ in range(4))
        return Fresh(rds_id, primary, secondary, link_id, os.urandom(32).hex(), os.urandom(8).hex())

    # ---- changing

    @property
    def asks(self) -> bool:
        """Whether somebody will be asked before this verb does anything."""
        return bool(self.parsed.verb.confirm) and not self.option("silent") and not self.option("dry_run")

    def confirm(self, *, typed: str = "", **values: str) -> None:
        """Ask, on a terminal, unless -s or --dry-run; with `typed` that name is the answer. Raises VR-1030, VR-1031."""
        verb = self.parsed.verb
        if not self.asks:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise VolrepError(usage.NO_CONFIRMATION, verb=verb.name)
        typed = typed or verb.typed.format(**values)
        question = f"Type {typed} to go on: " if typed else "Continue? [y/N] "
        self.out.stderr.write(f"{verb.confirm.format(**values)}. {question}")
        self.out.stderr.flush()
        line = sys.stdin.readline()
        if not line.endswith("\n"):  # Ctrl-D: what is said next begins a line of its own
            self.out.say("")
        answer = line.strip()
        if answer != typed if typed else answer.lower() not in ("y", "yes"):
            raise VolrepError(usage.NOT_CONFIRMED)

    def carry_out(self, plan: Plan, *, numbered: bool = False) -> list[Any]:
        """Drive a plan, or print it with --dry-run; its answers (none then).

        `numbered`: each step with its number and the time since the first.
        """
        if self.option("dry_run"):
            self._print_plan(plan)
            return []
        from volrep.rds.drive import drive

        answers = drive(plan, self.fleet, self._counted(len(plan.steps)) if numbered else self.out.say)
        for note in plan.notes:
            self.out.say(note)
        return answers

    def _counted(self, total: int) -> Callable[[str], None]:
        """`[2/7] london: ...` with the time since the first step, so that a long one is seen to be long."""
        count, began_s = itertools.count(1), time.monotonic()

        def say(text: str) -> None:
            plain = text.startswith(("undo: ", "problem: ")) or (number := next(count)) > total
            mark = "" if plain else f"[{number}/{total}] "
            self.out.say(f"{time.monotonic() - began_s:6.1f}s  {mark}{text}")

        return say

    def _print_plan(self, plan: Plan) -> None:
        from volrep.rds.report_roles import call_document as shown

        if self.as_json:
            self.out.json({"steps": [{"title": step.title, "do": shown(step.do), "undo": [shown(u) for u in step.undo]}
                                     for step in plan.steps], "notes": list(plan.notes)})
            return
        for number, step in enumerate(plan.steps, 1):
            self.out.print(f"{number}. {step.title}")
            self.out.print(f"   do:   {_one_line(shown(step.do))}")
            for undo in step.undo:
                self.out.print(f"   undo: {_one_line(shown(undo))}")
        for note in plan.notes:
            self.out.print(f"note: {note}")
        if not plan.steps:
            self.out.print("nothing to do")


_CELL_MAX_CHARS = 60  # certificates would fill the screen


def _one_line(call: dict[str, Any]) -> str:
    def short(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: short(v) for k, v in value.items()}
        return value[:_CELL_MAX_CHARS] + "…" if isinstance(value, str) and len(value) > _CELL_MAX_CHARS else value

    return f"{call['host']} {call['method']} {json.dumps(short(call['request']), ensure_ascii=False)}"
