"""Attributes of links: known, available, and with values that mean something."""

from __future__ import annotations

import pytest

from volrep.model.attributes import AVAILABLE, LINK_ATTRIBUTES, check_attributes, effective
from volrep.model.errors import VolrepError


def test_every_value_of_an_available_attribute_is_accepted() -> None:
    for name in AVAILABLE:
        for value in LINK_ATTRIBUTES[name].values:
            assert check_attributes({name: value}) == {name: value}


@pytest.mark.parametrize(("given", "number"), [
    ({"synchronuos": "off"}, "VR-1020"), ({"latencyprot": "off"}, "VR-1021"), ({"sync_ack": "disk"}, "VR-1022"),
    ({"synchronous": "off", "encryption": ""}, "VR-1022"),
])
def test_others_are_refused(given: dict[str, str], number: str) -> None:
    with pytest.raises(VolrepError) as refused:
        check_attributes(given)
    assert refused.value.id == number


def test_a_misspelt_attribute_is_answered_with_the_closest() -> None:
    with pytest.raises(VolrepError) as refused:
        check_attributes({"synchronuos": "off"})
    assert refused.value.hint == "attributes: synchronous"


def test_defaults_are_values_and_fill_what_is_not_given() -> None:
    assert effective({}) == {"synchronous": "off", "sync_ack": "network", "encryption": "tls", "srlprot": "off"}
    assert effective({"sync_ack": "data", "later": "x"})["sync_ack"] == "data"
    assert all(a.default in a.values for a in LINK_ATTRIBUTES.values() if a.available)
    assert all(a.help for a in LINK_ATTRIBUTES.values())
