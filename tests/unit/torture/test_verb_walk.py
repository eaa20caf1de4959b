"""What the walk through verbs goes by: a table that forgets no verb, and points read from a trace."""

from __future__ import annotations

from pathlib import Path

from tests.torture.kill_points import Point, Tracee, points_of
from tests.torture.verb_cases import NOT_WALKED, READING, cases
from volrep.cli.verbs import VERBS

ENGINE = Tracee("london engine", 0)
TRACE = """\
7 sendto(11, "...", 90, 0, NULL, 0) = 90
7 fdatasync(5) = 0
7 syscall_0x1c3(0x5, 0x7f, 0x7f, 0) = 0
7 pwritev2(6, [{iov_base="...", iov_len=4096}], 1, 0, 0) = 4096
7 pwritev2(6, [{iov_base="...", iov_len=4096}], 1, 0, RWF_DSYNC) = 4096
7 rename("/s/.config.copy.7.new", "/s/config.copy") = 0
7 fdatasync(5) = 0
7 sendto(11, "...", 90, 0, NULL, 0) = 90
7 +++ exited with 0 +++
""".splitlines()


def test_every_verb_is_walked_or_changes_nothing_or_it_is_said_why_not() -> None:
    named = [*{case.verb for case in cases(Path("/s"))}, *NOT_WALKED, *READING]
    assert sorted(named) == sorted(VERBS)
    names = [case.name for case in cases(Path("/s"))]
    assert len(names) == len(set(names))


def test_points_are_durable_calls_and_the_answers_behind_them_each_with_its_number_among_calls_of_its_name() -> None:
    durable = [Point(ENGINE, "fdatasync", 1), Point(ENGINE, "pwritev2", 2), Point(ENGINE, "rename", 1),
               Point(ENGINE, "fdatasync", 2)]
    assert points_of(ENGINE, TRACE, answers=False) == durable
    assert points_of(ENGINE, TRACE, answers=True) == [*durable, Point(ENGINE, "sendto", 2)]
