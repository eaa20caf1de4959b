"""The worker process: `python -m volrep.rvg.main --socket PATH`. Started by the engine, outlives it on purpose."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import sys
from pathlib import Path

from volrep.model.status import Event
from volrep.ports.clock import SystemClock
from volrep.ports.reactor import Reactor
from volrep.ports.threads import ThreadBackground
from volrep.rvg.control import ControlServer
from volrep.rvg.limits import COLD_READ_THREADS, SETUP_THREADS
from volrep.rvg.ports import system_ports
from volrep.rvg.worker import Worker

BACKGROUND_THREADS = COLD_READ_THREADS + 4  # cold reads, a checkpoint, a region sync, reading ahead, map saving


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="volrep RVG worker (started by the engine)")
    parser.add_argument("--socket", type=Path, required=True)
    asked = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    clock = SystemClock()
    loop = Reactor(clock)
    background = ThreadBackground(loop, BACKGROUND_THREADS, "volrep")
    setup = ThreadBackground(loop, SETUP_THREADS, "setup")

    def emit(kind: str, message: str) -> None:
        config = worker.config
        logging.getLogger("volrep.rvg").info("%s: %s", kind, message)
        event = Event(time_ns=clock.wall_ns(), dg=config.dg if config else "", rvg=config.name if config else "",
                      type=kind, message=message)
        server.event(event.data())

    worker = Worker(system_ports(loop, background, setup), emit)
    server = ControlServer(asked.socket, loop, worker.handle)

    def stop(_: int, __: object) -> None:
        loop.call_from_thread(finish)

    def finish() -> None:
        worker.shutdown()
        loop.stop()

    signal.signal(signal.SIGTERM, stop)
    gc.freeze()  # what is loaded stays: the collector need not look at it again and again
    loop.run()
    server.close()
    background.close()
    setup.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
