"""SIGKILL in the middle of every changing verb: said again it ends as if nothing had happened.

`make torture-store` runs many lives, and walks each verb through every system call of the engine at which something is
left behind. CI runs one life with a kill in some of its verbs.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.system import life as lives
from tests.system.life import HOSTS, Life, verbs

LIVES = int(os.environ.get("VOLREP_STORE_LIVES", "1"))
SEED = int(os.environ.get("VOLREP_STORE_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
KILLED_PART = float(os.environ.get("VOLREP_STORE_KILLED", "0.3"))  # of the verbs of a life
WALK = os.environ.get("VOLREP_STORE_WALK", "attach:10000")
"""A verb, or "all", and the system call to begin with. Through all of them takes hours (`make torture-store`); as it
stands the walk begins behind the last call of `attach`, which shows that the walk itself ends well."""
WALK_STEP = int(os.environ.get("VOLREP_STORE_WALK_STEP", "1"))


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


@pytest.mark.timeout(0)
def test_a_verb_killed_at_each_system_call_and_said_again_is_done(folder: Path) -> None:
    """Every verb in a life of its own for each kill: prepared undisturbed, killed at the n-th call, said again."""
    pictures, _ = lives.undisturbed(made(folder / "0"))
    chosen = [index for index, verb in enumerate(verbs(folder)) if verb.disturb
              and (WALK == "all" or WALK.split(":")[0] in verb.argv)]
    for index in chosen:
        number, hit = int(WALK.partition(":")[2] or 1), True
        while hit:
            life = Life(made(folder / "1"))
            life.start()
            try:
                hit = walked(life, index, number, replaced(pictures[index], folder / "0", life.folder))
            finally:
                life.stop()
            lives.clean(life.folder)
            number += WALK_STEP


def walked(life: Life, index: int, number: int, wanted: object) -> bool:
    """Whether the verb had so many calls that one of them was the end of a process."""
    for verb in verbs(life.folder)[:index]:
        assert life.run(prepared(life, verb)).code == 0
    life.picture()
    verb = verbs(life.folder)[index]
    told = life.disturbed(verb, wanted, lives.at_call(life, verb.host or HOSTS[number % 2], number))
    print(told.splitlines()[0][:300])  # noqa: T201
    return "killed by SIGKILL" in told or "INJECTED" in told
