"""Entry point `volrep`.

`volrep engine connect` is what SSH starts on a host for every conversation: it gets there without the parser and the
shapes, which would take three times as long to import as all that it needs.
"""

from __future__ import annotations

import gc
import os
import sys

CONNECT = ["engine", "connect"]


def main(argv: list[str] | None = None) -> int:
    """The command line. Never raises for what an operator can cause."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments == CONNECT:
        from volrep.engine.connect import main as connect
        from volrep.rds.places import state_dir

        return connect(state_dir(os.environ, root=os.geteuid() == 0))
    gc.disable()  # while modules are imported there is nothing to collect, and looking took a fifth of the start
    from volrep.cli.command import main as command

    return command(arguments)


if __name__ == "__main__":
    sys.exit(main())
