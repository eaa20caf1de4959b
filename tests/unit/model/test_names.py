"""Names become file names, socket paths and words of commands: only harmless ones pass."""

from __future__ import annotations

import pytest

from volrep.model.errors import VolrepError
from volrep.model.names import NAME_MAX_CHARS, check_name, rlink_name


@pytest.mark.parametrize("name", ["a", "hr_dv01", "vol-1.old", "0", "A" * NAME_MAX_CHARS])
def test_harmless_names_pass(name: str) -> None:
    assert check_name("volume", name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "_a", "a/b", "a b", "a\n", "a..b", "..", "ä", "a;b", "a\0",
                                  "A" * (NAME_MAX_CHARS + 1)])
def test_others_are_refused_with_the_kind_of_object(name: str) -> None:
    with pytest.raises(VolrepError) as refused:
        check_name("RVG", name)
    assert refused.value.id == "VR-1011"
    assert "RVG" in refused.value.text
    assert str(NAME_MAX_CHARS) in refused.value.hint


def test_a_link_is_named_after_the_other_end() -> None:
    assert rlink_name("tokyo", "hr_rvg") == "rlk_tokyo_hr_rvg"
