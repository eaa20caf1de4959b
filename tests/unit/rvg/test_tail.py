"""Whether two logs are the same before an LSN, as a Primary finds out from WELCOME."""

from __future__ import annotations

from typing import cast

import pytest

from volrep.link.negotiate import LINK_PROTOCOL, Welcome
from volrep.link.tails import Likeness
from volrep.model.units import Reign, Tail
from volrep.rvg.journal import Journal
from volrep.rvg.tail import likeness

NOBODY_LOOKS = cast(Journal, object())


@pytest.mark.parametrize(("tail", "found"), [
    (Tail(70_000), Likeness.UNKNOWN),  # neither end can show anything: that is no sign that they are the same
    (Tail(70_008, 512, 7), Likeness.MOVED),  # about another place
])
def test_what_no_log_can_show_does_not_count_as_the_same(tail: Tail, found: Likeness) -> None:
    said = Welcome(protocol=LINK_PROTOCOL, host="tokyo", order_id="o1", history=[Reign(1, 4096, "a1")], end_lsn=70_000,
                   applied_lsn=70_000, consistent=True, tail=tail)
    assert likeness(NOBODY_LOOKS, said, 70_000) is found
