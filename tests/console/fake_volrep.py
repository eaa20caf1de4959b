"""Stands in for volrep: canned answers for --json, a few lines for the rest; `slow` waits to be stopped."""

# ruff: noqa: T201  # a program of the command line prints

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def _host(name: str, rvg_role: str) -> dict[str, Any]:
    link = {"name": "rlk_tokyo_hr_rvg", "remote_host": "tokyo", "state": "ACTIVE", "kstate": "CONNECT",
            "attributes": {"synchronous": "override", "sync_ack": "network", "encryption": "tls"}}
    return {"host": name, "rvg": "hr_rvg", "dg": "hrdg", "role": rvg_role, "state": "ACTIVE", "kstate": "ENABLED",
            "volumes": [{"name": "hr_dv01", "size_bytes": 1 << 28}], "srl": {"name": "hr_srl", "size_bytes": 1 << 27},
            "links": [link] if rvg_role == "primary" else []}


def _secondary(name: str, **values: Any) -> dict[str, Any]:
    return {"host": name, "rlink": f"rlk_{name}_hr_rvg", "configured_mode": "asynchronous",
            "current_mode": "asynchronous", "logging_to": "SRL", "srl_protection": "off", "connected": True,
            "sync": None, **values}


VOLUMES = [{"host": host, "dg": "hrdg", "name": name, "size_bytes": size, "path": f"/srv/{name}", "rvg": "",
            "use": "free", "export": ""}
           for host in ("london", "tokyo")
           for name, size in (("hr_dv01", 1 << 28), ("hr_dv02", 1 << 28), ("hr_srl", 1 << 27))]
ANSWERS: dict[str, Any] = {
    "host list": {"hosts": [{"name": name, "ssh": f"root@{name}", "address": f"192.0.2.{number}", "local": "",
                             "state": "up", "problem": ""} for number, name in enumerate(("london", "tokyo"), 1)]},
    "volume list": {"volumes": VOLUMES},
    "printrvg": {"rds": [{"dg": "hrdg", "rvg": "hr_rvg", "rds_id": "1", "primary": _host("london", "primary"),
                          "secondaries": [_host("tokyo", "secondary")], "config_errors": []}]},
    "exports": {"exports": []},
    "repstatus": {
        "dg": "hrdg", "rvg": "hr_rvg",
        "primary": {"host": "london", "state": "ACTIVE", "volumes": 2,
                    "srl": {"name": "hr_srl", "size_bytes": 1 << 27, "used_bytes": 50_000_000, "used_percent": 37.2}},
        "secondaries": [
            _secondary("tokyo", data_status="consistent, up-to-date", replication_status="replicating (connected)",
                       behind={"writes": 1234, "bytes": 5054464, "seconds": 0.3}),
            _secondary("paris", data_status="inconsistent", replication_status="resync in progress (autosync)",
                       behind={"writes": 99, "bytes": 405504, "seconds": 12.0},
                       sync={"done_bytes": 200_000_000, "total_bytes": 1 << 29, "rate_bytes_per_s": 81_234_567.0,
                             "left_s": 4.1})],
        "events": [{"time": "2026-01-02T03:04:05+00:00", "host": "london", "type": "link",
                    "message": "rlk_tokyo_hr_rvg connected to tokyo"}],
        "config_errors": []},
}


def _json(directory: Path, words: list[str]) -> int:
    verb = next(verb for verb in ANSWERS if set(verb.split()) <= set(words))
    own = directory / f"{verb.replace(' ', '_')}.json"
    document = json.loads(own.read_text()) if own.exists() else ANSWERS[verb]
    if "error" in document:
        print(document["error"], file=sys.stderr)
        return 4
    print(json.dumps(document))
    return 0


def _slow() -> int:
    def interrupted(*_: object) -> None:
        print("interrupted", flush=True)
        sys.exit(1)

    signal.signal(signal.SIGINT, interrupted)
    print("working", flush=True)
    signal.pause()
    return 0


def main(words: list[str]) -> int:
    directory = Path(os.environ["FAKE_VOLREP_DIR"])
    with (directory / "called").open("a") as called:
        called.write(json.dumps(words) + "\n")
    if "--json" in words:
        return _json(directory, words)
    if "slow" in words:
        return _slow()
    if "fails" in words:
        print("VR-1301: RVG fails is not what it should be\nhint: choose another", file=sys.stderr)
        return 3
    if "lines" in words:
        print("\n".join(f"line {number}" for number in range(100)))
        return 0
    print("done")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
