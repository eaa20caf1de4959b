"""The catalogue of messages: one module per subject, numbers never reused.

| range     | module   | subject                                   |
|-----------|----------|-------------------------------------------|
| 1000-1099 | usage    | command line, names, sizes, attributes    |
| 1100-1199 | hosts    | inventory, SSH, installation              |
| 1200-1299 | volumes  | disk groups, volumes                      |
| 1300-1399 | rds      | RVGs, Secondaries, plans                  |
| 1400-1499 | links    | replication between hosts                 |
| 1500-1599 | log      | SRL, recovery, data path                  |
| 1600-1699 | access   | NBD, exports, attach                      |
| 1700-1799 | engine   | engine, worker, control API, store        |
| 1800-1899 | console  | stanzas, screens                          |

A module holds nothing but `NAME = Message(...)` lines. docs/messages.md is generated from here
(`python -m volrep.model.messages`).
"""

from __future__ import annotations

from volrep.model.errors import Message
from volrep.model.messages import access, console, engine, hosts, links, log, rds, usage, volumes

MODULES = (usage, hosts, volumes, rds, links, log, access, engine, console)


def _collect() -> dict[int, Message]:
    found: dict[int, Message] = {}
    for module in MODULES:
        for value in vars(module).values():
            if isinstance(value, Message):
                assert value.number not in found, f"message number {value.number} used twice"
                found[value.number] = value
    return dict(sorted(found.items()))


CATALOGUE: dict[int, Message] = _collect()
