"""Verbs: engine run, status, stop, connect; console."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from volrep.cli.out import pairs
from volrep.cli.run import Run
from volrep.engine.api import EngineStatus
from volrep.model.errors import Exit
from volrep.rds import plan_host
from volrep.rds.places import config_dir

ARGV_PREFIX = [sys.executable, "-m", "volrep.cli.main"]


def _state_dir(run: Run) -> Path:
    given = run.option("state")
    return Path(given) if given else run.state_dir


def run(run: Run) -> int:
    from volrep.engine.daemon import main
    from volrep.engine.hooks import TIMEOUT_S

    port = run.option("port")
    hooks = run.option("hooks") or config_dir(os.environ, root=os.geteuid() == 0) / "hooks"
    return main(_state_dir(run), Path(hooks), name=run.option("name"), listen=run.option("listen") or "0.0.0.0",
                port=run.number("port", 0) if port is not None else None, log_level=run.option("log_level") or "INFO",
                hook_timeout_s=run.number("hook_timeout", round(TIMEOUT_S)))


def connect(run: Run) -> int:
    from volrep.engine.connect import main

    return main(_state_dir(run))


def status(run: Run) -> int:
    """Of the host given by -H, else of all."""
    def ask(host: str) -> EngineStatus:
        return cast(EngineStatus, run.fleet.call(host, "engine.status"))

    answers, missing = run.ask(ask)
    rows = [{"host": host, **engine.data(),
             "started": datetime.fromtimestamp(engine.started_ns / 1e9, UTC).isoformat(timespec="seconds")}
            for host, engine in answers.items()]
    if run.as_json:
        run.out.json({"engines": rows})
    elif rows:
        run.out.print("\n\n".join(f"{row['host']}\n" + pairs([
            ("version", row["version"]), ("process", row["pid"]), ("started", row["started"]),
            ("state directory", row["state_dir"]), ("replication port", f"{row['listen']}:{row['port']}"),
            ("fingerprint", row["fingerprint"]), ("RVGs", row["rvgs"])]) for row in rows))
    return Exit.UNREACHABLE if missing else Exit.DONE


def stop(run: Run) -> int:
    world = run.observe()
    host = plan_host.acting_host(world, run.host, run.local_host(), run.parsed.verb.name)
    run.confirm(host=host, rvgs=str(len(world.host(host).rvgs)))
    if run.option("dry_run"):
        run.out.print(f"stop the engine of {host} and its workers")
        return Exit.DONE
    run.out.say(f"{host}: stop the engine and its workers")
    run.fleet.call(host, "engine.stop")
    return Exit.DONE


def console(run: Run) -> int:
    from volrep.tui.app import main

    return main(run.argument("fastpath") or None, plain=bool(run.option("plain")), state_dir=journal_dir(),
                argv_prefix=ARGV_PREFIX)


def journal_dir() -> Path:
    """Where the console keeps its logs: the operator's own state, not an engine's."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.environ.get("HOME", "/"), ".local", "state")
    return Path(base) / "volrep-console"
