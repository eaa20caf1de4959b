"""One command as it was typed and understood: what a handler gets. A handler is `handler(call: Call) -> int`.

    def pauserep(call: Call) -> int:
        rds = call.observe().rds(call.dg, call.arguments[0], call.host)
        return call.carry_out(plan_pauserep(rds, call.argument(1)))

Knows how a command gets to hosts and how a plan is carried out. Must not know any verb.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from volrep.cli.confirm import Terminal
from volrep.cli.output import Output, plan_document, plan_lines
from volrep.cli.verbs import Verb
from volrep.model.errors import Exit

if TYPE_CHECKING:
    from volrep.rds.fleet import Fleet
    from volrep.rds.inventory import Inventory
    from volrep.rds.step import Plan
    from volrep.rds.world import World


@dataclass
class Call:
    """`arguments` in the order of the verb's declaration, without the optional ones that were left out.

    `options` holds what was given, under the long name of the option: {"force": True, "limit": 20}.
    """

    verb: Verb
    arguments: tuple[str, ...]
    attributes: Mapping[str, str]
    options: Mapping[str, Any]
    out: Output
    terminal: Terminal
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    # ---- what was typed

    def argument(self, index: int) -> str:
        """Empty when it was left out."""
        return self.arguments[index] if index < len(self.arguments) else ""

    def option(self, name: str) -> bool:
        """Whether a flag was given."""
        return bool(self.options.get(name))

    def text(self, name: str) -> str:
        return str(self.options.get(name) or "")

    @property
    def dg(self) -> str:
        return self.text("group")

    @property
    def host(self) -> str:
        return self.text("host")

    @property
    def json(self) -> bool:
        return self.option("json")

    @property
    def dry_run(self) -> bool:
        return self.option("dry_run")

    @property
    def force(self) -> bool:
        return self.option("force")

    # ---- the hosts

    @property
    def state_dir(self) -> Path:
        """Of the local engine: --state, else $VOLREP_STATE, else the default of this user."""
        from volrep.rds.inventory import state_dir

        return Path(self.text("state") or state_dir(self.environ, root=os.geteuid() == 0))

    @cached_property
    def inventory(self) -> Inventory:
        """Raises VR-1102."""
        from volrep.rds.inventory import Inventory, config_dir

        return Inventory(config_dir(self.environ, root=os.geteuid() == 0), self.state_dir)

    @cached_property
    def fleet(self) -> Fleet:
        """Conversations with the hosts; closed when the command ends."""
        from volrep.rds.fleet import Fleet

        return Fleet(self.inventory)

    def local_host(self, world: World | None = None) -> str:
        """The name of the host whose engine is the local one, "" when the inventory has none."""
        del world
        state = self.state_dir.absolute()
        return next((name for name, host in self.fleet.hosts.items() if host.local and Path(host.local) == state), "")

    def observe(self, rvg: str = "", *, events: bool = False) -> World:
        """All hosts, asked in parallel; narrowed to -g and `rvg`. Silent ones stand in it with their problem."""
        return self.fleet.observe(self.dg, rvg, events=events)

    def close(self) -> None:
        if "fleet" in self.__dict__:
            self.fleet.close()

    # ---- carrying out

    def confirm(self, question: str) -> None:
        """Ask unless -s or --dry-run was given. Raises VR-1030, VR-1031."""
        if not (self.option("silent") or self.dry_run):
            self.terminal.confirm(self.verb.name, question)

    def carry_out(self, plan: Plan, question: str = "") -> int:
        """Show the plan (--dry-run) or drive it, then say what it notes. `question`: asked before anything is changed.

        Raises what a step raised when all was undone, VR-1330 when something could not be.
        """
        self.perform(plan, question)
        self.finish(plan)
        return int(Exit.DONE)

    def perform(self, plan: Plan, question: str = "") -> list[Any]:
        """As `carry_out`, without the final word: the answers of the steps (none with --dry-run)."""
        if self.dry_run or not plan.steps:
            return []
        if question:
            self.confirm(question)
        from volrep.rds.drive import drive

        return drive(plan, self.fleet, self.out.say)

    def finish(self, plan: Plan) -> None:
        """The plan as result: what would be done, or what was done, and its notes."""
        if self.json:
            self.out.document(plan_document(plan, dry_run=self.dry_run))
        else:
            self.out.lines(plan_lines(plan, dry_run=self.dry_run))

    def warn_silent(self, world: World) -> None:
        """Hosts that do not answer, on stderr, one line each. Raises the problem when not one host answers."""
        problems = [view.problem for view in world.hosts if view.problem is not None]
        if problems and len(problems) == len(world.hosts):
            raise problems[0]
        for problem in problems:
            self.out.error(problem)
