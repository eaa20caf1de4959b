"""SIGKILL in the middle of every changing verb: said again it ends as if nothing had happened.

`make torture-store` runs many lives, then kills each verb before each of its durable system calls
(tests.torture.verb_walk). CI runs one life with a kill in some of its verbs, and a few points of the walk.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.system import life as lives
from tests.system.life import Life, verbs
from tests.torture.verb_cases import cases
from tests.torture.verb_walk import walk

LIVES = int(os.environ.get("VOLREP_STORE_LIVES", "1"))
SEED = int(os.environ.get("VOLREP_STORE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
KILLED_PART = float(os.environ.get("VOLREP_STORE_KILLED", "0.3"))  # of the verbs of a life
# (case, point): where bugs were found, and one in each kind of process and thread
SAMPLE = (("setup", "tokyo engine, thread 0, fdatasync 2"),
          ("setup", "london engine, a process that it starts, pwritev2 1"),
          ("aslog, another volume", "london engine, thread 0, rename 1"),
          ("aslog, another volume", "london engine, thread 1, fdatasync 1"),
          ("migrate", "tokyo worker, thread 0, pwritev2 2"))
TRIES = 4  # an engine's threads take turns as they like, so that a run may pass by a point of one of them


@pytest.fixture
def folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="vr", dir="/tmp") as made:  # sockets need a short path
        yield Path(made)


@pytest.mark.timeout(0 if LIVES > 1 else 300)
def test_a_verb_killed_at_any_moment_and_said_again_is_done(folder: Path) -> None:
    print(f"VOLREP_STORE_SEED={SEED}")  # noqa: T201 (pytest shows it when the test fails)
    pictures, durations = lives.undisturbed(made(folder / "0"))
    for number in range(LIVES):
        chance = random.Random(SEED + number)
        life = Life(made(folder / "1"))
        life.start()
        try:
            for verb, picture, duration_s in zip(verbs(life.folder), pictures, durations, strict=True):
                wanted = replaced(picture, folder / "0", life.folder)
                if verb.disturb and chance.random() < KILLED_PART:
                    told = life.disturbed(verb, wanted, lives.at_random(life, verb, duration_s, chance))
                    print(f"{SEED + number}: {told.splitlines()[0][:200]}")  # noqa: T201
                else:
                    life.again(prepared(life, verb), wanted, "undisturbed")
        finally:
            life.stop()
        lives.clean(life.folder)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def prepared(life: Life, verb: lives.Verb) -> lives.Verb:
    if verb.before:
        getattr(life, verb.before)()
    return verb


def replaced(picture: object, old: Path, new: Path) -> object:
    """The picture of another folder."""
    import ast

    return ast.literal_eval(repr(picture).replace(str(old), str(new)))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", dict.fromkeys(case for case, _ in SAMPLE))
def test_a_verb_killed_before_a_durable_call_and_said_again_is_done(folder: Path, name: str) -> None:
    wanted = {point for case, point in SAMPLE if case == name}
    (case,) = (case for case in cases(folder / "s") if case.name == name)
    for _ in range(TRIES):
        found = walk(folder, case, lambda points: [point for point in points if str(point) in wanted], print)
        assert found.broken == []
        assert found.points == len(wanted)
        if not found.passed_by:
            break
    assert sum(found.killed.values()) == len(wanted)
