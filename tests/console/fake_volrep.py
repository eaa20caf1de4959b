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
    link = {"name": "rlk_tokyo_hr_rvg", "remote_host": "tokyo", "remote_role": "Secondary", "fails_back": False,
            "state": "ACTIVE", "kstate": "CONNECT",
            "attributes": {"synchronous": "override", "sync_ack": "network", "encryption": "tls"}}
    return {"host": name, "rvg": "hr_rvg", "dg": "hrdg", "role": rvg_role, "startup": "serve",
            "state": "ACTIVE", "kstate": "ENABLED",
            "volumes": [{"name": "hr_dv01", "size_bytes": 1 << 28}], "srl": {"name": "hr_srl", "size_bytes": 1 << 27},
            "links": [link] if rvg_role == "primary" else []}


def _secondary(name: str, **values: Any) -> dict[str, Any]:
    return {"host": name, "role": "Secondary", "rlink": f"rlk_{name}_hr_rvg", "configured_mode": "asynchronous",
            "current_mode": "asynchronous", "logging_to": "SRL", "srl_protection": "off", "connected": True,
            "sync": None, **values}


VOLUMES = [{"host": host, "dg": "hrdg", "name": name, "size_bytes": size, "path": f"/srv/{name}", "rvg": "",
            "use": "free", "export": ""}
           for host in ("london", "tokyo")
           for name, size in (("hr_dv01", 1 << 28), ("hr_dv02", 1 << 28), ("hr_srl", 1 << 27))]
def _site(host: str, role: str, after: str, **values: Any) -> dict[str, Any]:
    return {"host": host, "role": role, "after": after, "state": "ENABLED/ACTIVE", "data": "current", "mode": "",
            "behind_writes": None, "behind_bytes": None, "connections": None, "heard_s": None, "since_fork": None,
            "problem": "", **values}


def _item(what: str, mark: str, says: str, remedy: str = "") -> dict[str, str]:
    return {"what": what, "mark": mark, "says": says, "remedy": remedy}


BEHIND = {"behind_writes": 12, "behind_bytes": 49152, "data": "consistent, behind", "mode": "asynchronous"}
OPEN = _item("applications", "wait", "volumes are open on london (1 connections); hooks are to close them: "
             "10-postgresql")
READY = {"ready": True, "word": "yes", "note": "", "items": [_item("host", "ok", "tokyo answers, its RVG runs"), OPEN]}
REVIEWS: dict[str, Any] = {
    "migrate": {"ready": True, "problem": None, "lost": ["nothing"],
                "sites": [_site("london", "Primary", "Secondary", connections=1),
                          _site("tokyo", "Secondary", "Primary", **BEHIND)],
                "items": [_item("host", "ok", "tokyo answers, its RVG runs"), OPEN],
                "steps": [{"title": title} for title in (
                    "london: hooks pre-demote (10-postgresql)", "london: send what is missing, become a Secondary",
                    "tokyo: become the Primary, open for I/O", "tokyo: london follows")], "notes": []},
    "takeover": {"ready": False, "lost": ["3 writes, 12k that the Primary announced were not received, and are lost; "
                                          "what the Primary did in the last 30s is not known"],
                 "problem": {"id": "VR-1361", "text": "RVG hr_rvg would have two Primaries: london answers and is the "
                             "Primary", "hint": "`volrep -g hrdg migrate hr_rvg tokyo`"},
                 "sites": [_site("london", "Primary", "acting Secondary", connections=1),
                           _site("tokyo", "Secondary", "Primary", **BEHIND)],
                 "items": [_item("Primary", "fence", "london answers and is the Primary",
                                 "`volrep -g hrdg migrate hr_rvg tokyo`; or make sure that it is stopped, and give "
                                 "-f")],
                 "steps": [], "notes": []},
    "validate": {"sites": [_site("london", "Primary", "", migrate=None, takeover=None, connections=1),
                           _site("tokyo", "Secondary", "", migrate=READY, takeover=READY, **BEHIND)]},
}
ANSWERS: dict[str, Any] = {
    **REVIEWS,
    "host list": {"hosts": [{"name": name, "ssh": f"root@{name}", "address": f"192.0.2.{number}", "local": "",
                             "state": "up", "problem": ""} for number, name in enumerate(("london", "tokyo"), 1)]},
    "volume list": {"volumes": VOLUMES},
    "printrvg": {"rds": [{"dg": "hrdg", "rvg": "hr_rvg", "rds_id": "1", "primary": _host("london", "primary"),
                          "secondaries": [_host("tokyo", "secondary")], "config_errors": [],
                          "hosts": [{"host": host, "role": role, "split": False, "diverged": False, "since_fork": "",
                                     "waiting": False, "may_serve": False}
                                    for host, role in (("london", "Primary"), ("tokyo", "Secondary"))]}]},
    "exports": {"exports": []},
    "repstatus": {
        "dg": "hrdg", "rvg": "hr_rvg",
        "primary": {"host": "london", "role": "Primary", "state": "ACTIVE", "io": "enabled", "volumes": 2,
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
    if "long" in words:
        print(" ".join(f"word {number}" for number in range(30)), "the end of the hint")
        print("x" * 10_000)
        return 0
    if "lines" in words:
        print("\n".join(f"line {number}" for number in range(100)))
        return 0
    print("done")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
