"""A small real process that speaks the worker protocol and obeys a script file: for tests of the supervision.

`python stand_in_worker.py SOCKET SCRIPT`. SCRIPT is JSON, read at each request: {"die": bool, "refuse": text,
"gate": path (configure waits until it exists), "fail": text}. Every request is appended to SCRIPT.log.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

GATE_POLL_S = 0.01


def main(path: Path, script: Path) -> None:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(1)
        config: dict[str, Any] = {}
        while True:
            sock, _ = listening.accept()
            with sock:
                _converse(sock, script, config)


def _converse(sock: socket.socket, script: Path, config: dict[str, Any]) -> None:
    received = b""
    while True:
        data, fds, _, _ = socket.recv_fds(sock, 1 << 16, 4)
        if not data:
            return
        received += data
        while b"\n" in received:
            line, _, received = received.partition(b"\n")
            asked = json.loads(line)
            for fd in fds:
                with socket.socket(fileno=fd) as handed:
                    handed.sendall(b"from the worker")
            fds = []
            with script.with_suffix(".log").open("a") as log:
                log.write(f"{asked['method']}\n")
            sock.sendall(json.dumps(_answer(asked, json.loads(script.read_text()), config)).encode() + b"\n")
            if asked["method"] == "shutdown":
                raise SystemExit(0)


def _answer(asked: dict[str, Any], told: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    if told.get("die"):
        os._exit(9)
    if asked["method"] == "configure":
        while told.get("gate") and not Path(told["gate"]).exists():
            time.sleep(GATE_POLL_S)
        if told.get("refuse"):
            return {"id": asked["id"], "error": {"number": 1600, "values": {"listen": told["refuse"]}, "text": "",
                                                 "hint": "", "exit": 2}}
        config.update(asked["params"])
    if asked["method"] in ("shutdown", "link.accept"):
        return {"id": asked["id"], "result": {}}
    return {"id": asked["id"], "result": _status(config, told)}


def _status(config: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    srl = {"name": "s", "size_bytes": 0, "capacity_bytes": 0, "tail_lsn": 0, "end_lsn": 0, "durable_lsn": 0,
           "applied_lsn": 0, "used_bytes": 0}
    return {"dg": config["dg"], "name": config["name"], "host": config["host"], "role": config["role"],
            "state": "FAIL" if told.get("fail") else "ACTIVE", "kstate": "ENABLED", "reason": told.get("fail", ""),
            "generation": 1, "incarnation": len(config["links"]), "srl": srl, "volumes": [], "links": [],
            "consistent": True}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
