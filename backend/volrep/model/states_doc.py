"""Prints docs/states.md from the tables: `python -m volrep.model.states_doc > docs/states.md`.

Knows the shape of the page; the rows stand in `model.states`. A test compares the page with the code, so no
transition can be added, changed or lost without its documentation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from volrep.model.states import LINK_ROWS, ROLE_ROWS, RVG_ROWS, Row
from volrep.model.status import LinkState, RoleState, RvgState

_INTRODUCTION = """\
# States

What an RVG and a link can be, and the only ways from one to another. A pair of state and event that has no row here
does not exist: an operator's verb is refused (VR-1400), anything else would be a bug. This page is made from the code
(`make docs`).
"""

_LINK_NOTE = """
A link's state is the Primary's word and survives restarts in the SRL header; whether it is connected at the moment is
another matter (`CONNECT` or `ENABLED`), as in VVR. The Secondary's end shows what the Primary last said. A link begins
STALE. UNASSOC is a link that belongs to no RVG; a Secondary whose RVG is in FAIL shows
its end as FAIL, or as PAUSE when its SRL or its configuration is at fault, and so does its Primary (docs/recovery.md).
"""

_RVG_NOTE = """
An RVG begins EMPTY in every run of its worker: nothing is believed before recovery has looked. The way out of FAIL is
a fresh worker after the repair (`volrep recover`), which recovers from what is proved.
"""

_ROLE_NOTE = """
The role stands in the SRL header, where one write changes all that belongs to it. ACTING_SECONDARY and PRIMARY_PRIMARY
are shown as flags of a Secondary and of a Primary. An RVG begins SECONDARY or PRIMARY, as it was created. An operator's
verb in a state that has no row for it is refused (VR-1410).
"""


def page() -> str:
    """The whole of docs/states.md."""
    return "".join([_INTRODUCTION, *_section("Links", LinkState.STALE, LINK_ROWS, _LINK_NOTE),
                    *_section("RVGs", RvgState.EMPTY, RVG_ROWS, _RVG_NOTE),
                    *_section("Roles", RoleState.SECONDARY, ROLE_ROWS, _ROLE_NOTE)])


def _section(title: str, first: str, rows: Iterable[Row], note: str) -> Iterable[str]:
    yield f"\n## {title}\n{note}\n| in state | on event | goes to | why |\n|---|---|---|---|\n"
    for row in rows:
        yield f"| {', '.join(row.before)} | {row.event} | {row.after} | {row.why} |\n"
    yield f"\n```mermaid\nstateDiagram-v2\n    [*] --> {first}\n"
    for row in rows:
        yield from (f"    {before} --> {row.after}: {row.event}\n" for before in row.before)
    yield "```\n"


if __name__ == "__main__":
    sys.stdout.write(page())
