"""Whether somebody listens at an export, and why not: what `exports` says to an operator."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rds.hosts import DG, rvg_status
from tests.unit.rds.test_plan_rds import made
from volrep.engine.serve_exports import closed_because, export_uri
from volrep.model.config import ExportConfig, Role
from volrep.model.status import Rival, RoleFlag, RvgStatus, VolumeStatus

UNIX = ExportConfig(volume="dv01", listen="unix:/run/a b/dv01.sock")
TCP = ExportConfig(volume="dv01", listen="tcp:localhost:10809")


def status(*uris: str, **more: Any) -> RvgStatus:
    config = made("london", "tokyo").rvgs["london", DG, "hr_rvg"]
    volume = VolumeStatus(index=0, name="dv01", size_bytes=1, exported=list(uris))
    return rvg_status(config, [], volumes=[volume], **more)


@pytest.mark.parametrize("export", [UNIX, TCP])
def test_an_export_is_open_when_its_worker_listens_there(export: ExportConfig) -> None:
    uri = export_uri(export).replace("localhost", "127.0.0.1")  # a listener says the address that it found
    assert closed_because(status(uri), "", export) == ""
    other = TCP if export is UNIX else UNIX
    assert closed_because(status(uri), "", other) == "nobody listens there; the events say why"


@pytest.mark.parametrize(("more", "why"), [
    ({"asking": ["tokyo", "paris"]}, "london waits for tokyo, paris to answer before it serves"),
    ({"role": Role.SECONDARY}, "london is a Secondary"),
    ({"role": Role.SECONDARY, "role_flags": [RoleFlag.ACTING_SECONDARY],
      "superseded_by": Rival(host="tokyo", generation=2, reign="a", fork_lsn=1)},
     "london is an acting Secondary: superseded, as tokyo says"),
    ({"role": Role.SECONDARY, "role_flags": [RoleFlag.ACTING_SECONDARY]},
     "london is an acting Secondary: superseded"),
    ({"reason": "recovering"}, "recovering")])
def test_a_closed_export_says_why(more: dict[str, Any], why: str) -> None:
    assert closed_because(status(**more), "", UNIX) == why


def test_without_a_worker_its_absence_is_the_reason() -> None:
    assert closed_because(None, "the worker was killed", UNIX) == "its RVG is not running: the worker was killed"
