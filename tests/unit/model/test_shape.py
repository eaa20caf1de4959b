"""What comes in from outside is of its shape, or is refused with the place where it is not."""

from __future__ import annotations

import json

import pytest

from volrep.engine.api import Hello, RvgCreate
from volrep.link.negotiate import Claim
from volrep.model.config import LinkConfig, Role
from volrep.model.shape import BadShape, Declared, read_json
from volrep.model.status import Announced
from volrep.model.units import Reign
from volrep.model.worker import Demote, Promote, PromoteHow

CREATE = {"rds_id": "1", "rvg_id": "2", "dg": "dg1", "name": "sales", "role": "primary", "volumes": ["dv1"],
          "srl": "log"}
PROMOTE = {"how": "elect", "new_reign": "0123456789abcdef"}


def test_a_shape_comes_back_from_plain_values_and_from_json() -> None:
    made = RvgCreate.from_data(CREATE)
    assert made.role is Role.PRIMARY
    assert made.data() == CREATE
    assert RvgCreate.from_json(made.json()) == made == RvgCreate.from_data(json.loads(made.json()))


@pytest.mark.parametrize(("shape", "value", "problem"), [
    (RvgCreate, {**CREATE, "role": "king"}, "Invalid enum value 'king' - at `$.role`"),
    (RvgCreate, {**CREATE, "srll": "x"}, "unknown field `srll`"),
    (RvgCreate, {**CREATE, "volumes": ["a", 1]}, "Expected `str`, got `int` - at `$.volumes[1]`"),
    (RvgCreate, {key: value for key, value in CREATE.items() if key != "dg"}, "missing required field `dg`"),
    (RvgCreate, [CREATE], "Expected `object`, got `array`"),
    (Demote, {"wait_s": 601}, "<= 600"),
    (Demote, {"wait_s": float("nan")}, "`$.wait_s`"),
    (Demote, {"drain": 1}, "Expected `bool`"),
    (Promote, {**PROMOTE, "new_reign": "0123456789ABCDEF"}, "`$.new_reign`"),
    (Promote, {**PROMOTE, "new_reign": PROMOTE["new_reign"] + "\n"}, "`$.new_reign`"),
    (Demote, {"wait_s": "1"}, "Expected `float`, got `str`"),
    (Hello, {"client": "x" * 201}, "length <= 200"),
    (Claim, {"host": "x", "history": [[1, 4096, "no hex"]], "end_lsn": 0, "primary": True}, "malformed id"),
    (Claim, {"host": "x", "history": [[1, 4096, ""]] * 257, "end_lsn": 0, "primary": True}, "length <= 256"),
    (Claim, {"host": "x", "history": [], "end_lsn": 1 << 70, "primary": True}, "`$.end_lsn`"),
    (Claim, {"host": "x", "history": [], "end_lsn": 4, "primary": True}, "multiple of 8"),
])
def test_what_is_not_of_its_shape_is_refused_with_its_place(shape: type[Declared], value: object, problem: str) -> None:
    with pytest.raises(BadShape) as refused:
        shape.from_data(value)
    assert problem in str(refused.value)


@pytest.mark.parametrize("text", [
    b"", b"{", b"nothing", b'{"a": NaN}', b'{"a": 1e400}', rb'"\ud800"', b'"\xff"', b"[" * 100_000, b"{} {}",
])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(BadShape, match="not JSON"):
        read_json(text)


def test_a_copy_with_changes_leaves_the_original_alone() -> None:
    link = LinkConfig(link_id="1", name="to_tokyo", remote_host="tokyo", remote_address="x", remote_port=1,
                      peer_certificate="", key="secret")
    assert (link.changed(key="").key, link.key) == ("", "secret")
    other = LinkConfig(link_id="2", name="", remote_host="", remote_address="", remote_port=1, peer_certificate="",
                       key="")
    other.attributes["synchronous"] = "override"
    assert link.attributes == {}


def test_enumerations_and_reigns_are_plain_in_plain_values() -> None:
    assert Promote(how=PromoteHow.ELECT, new_reign=PROMOTE["new_reign"]).data()["how"] == "elect"
    said = Claim(host="x", history=[Reign(1, 4096, "")], end_lsn=4096, primary=False)
    assert json.loads(said.json())["history"] == [[1, 4096, ""]]
    assert "primary_end_lsn" in json.loads(Announced(
        primary="x", primary_end_lsn=8, primary_writes=0, last_contact_ns=0, missing_writes=0, missing_bytes=0,
        tail_writes=0, tail_bytes=0, last_write_ns=0).json())
