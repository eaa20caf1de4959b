"""The hello line: what is one, what can become one, what never will."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from volrep.engine.hello import HELLO_MAX_BYTES, HelloLine, NotHello, parse_hello
from volrep.link.connect import hello_line

LINE = hello_line("11f1a1c2-0000", "22f1a1c2-0000", "london.example.com")


def test_the_dialling_ends_line_is_read_whatever_follows_it() -> None:
    wanted = HelloLine("11f1a1c2-0000", "22f1a1c2-0000", "london.example.com", len(LINE))
    assert parse_hello(LINE) == wanted
    assert parse_hello(LINE + b"\x16\x03\x01VOLREP/1 a b c\n") == wanted


def test_every_beginning_of_a_line_may_still_become_one() -> None:
    assert [parse_hello(LINE[:count]) for count in range(len(LINE))] == [None] * len(LINE)


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n", b"VOLREP/2 a b c\n", b"VOLREP/1 a b\n", b"VOLREP/1 a b c d\n", b"VOLREP/1 a  c\n",
    b"VOLREP/1 a b c\r\n", b"VOLREP/1 \xff b c\n", b"VOLREP/1 a b ../c\x00\n", b"\n",
    b"VOLREP/1 " + b"a" * 65 + b" b c\n", b"VOLREP/1 " + b"a" * HELLO_MAX_BYTES,
])
def test_anything_else_is_told_apart(data: bytes) -> None:
    with pytest.raises(NotHello):
        parse_hello(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=700) | st.builds(lambda end: b"VOLREP/1 " + end, st.binary(max_size=600)))
def test_any_bytes_are_a_line_the_start_of_one_or_refused(data: bytes) -> None:
    try:
        found = parse_hello(data)
    except NotHello:
        return
    if found is None:
        assert len(data) < HELLO_MAX_BYTES
        assert b"\n" not in data
    else:
        assert data[found.length_bytes - 1:found.length_bytes] == b"\n"
