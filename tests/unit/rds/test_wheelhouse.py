"""What is carried to a host: builds that fit it, the closure of what is imported, the same archive each time."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path

import pytest

from volrep.model.errors import VolrepError
from volrep.rds import install, on_host, wheelhouse
from volrep.rds.wheelhouse import Platform, fits

DEBIAN = Platform((3, 11), "x86_64", "glibc", (2, 36))
ALPINE = Platform((3, 12), "aarch64", "musl", (1, 2))


@pytest.mark.parametrize(("tag", "platform", "expected"), [
    ("py3-none-any", DEBIAN, True),
    ("py2-none-any", DEBIAN, False),
    ("py312-none-any", DEBIAN, False),
    ("cp311-cp311-manylinux_2_17_x86_64", DEBIAN, True),
    ("cp312-cp312-manylinux_2_17_x86_64", DEBIAN, False),
    ("cp310-cp310-manylinux_2_17_x86_64", DEBIAN, False),
    ("cp39-abi3-manylinux_2_34_x86_64", DEBIAN, True),
    ("cp312-abi3-manylinux_2_34_x86_64", DEBIAN, False),
    ("cp311-cp311-manylinux_2_38_x86_64", DEBIAN, False),
    ("cp311-cp311-manylinux2014_x86_64", DEBIAN, True),
    ("cp311-cp311-manylinux2014_aarch64", DEBIAN, False),
    ("cp311-cp311-linux_x86_64", DEBIAN, False),  # built on one machine, for that one
    ("cp311-cp311-musllinux_1_2_x86_64", DEBIAN, False),
    ("cp312-cp312-musllinux_1_2_aarch64", ALPINE, True),
    ("cp39-abi3-musllinux_1_1_aarch64", ALPINE, True),
    ("cp312-cp312-manylinux_2_17_aarch64", ALPINE, False),
])
def test_a_build_fits_what_its_tag_says(tag: str, platform: Platform, expected: bool) -> None:
    assert fits(tag, platform) is expected


def test_names_asked_of_pip_all_fit_the_host() -> None:
    for platform in (DEBIAN, ALPINE):
        names = wheelhouse.pip_platforms(platform)
        assert names
        assert all(fits(f"cp39-abi3-{name}", platform) for name in names)


def test_the_closure_has_what_the_program_imports_and_not_what_the_console_or_tests_do() -> None:
    names = set(wheelhouse.closure("volrep"))
    assert {"volrep", "fabric", "paramiko", "msgspec", "cryptography", "cffi", "crc32c", "click"} <= names
    assert not {"textual", "pytest", "mypy"} & names


def test_the_same_content_is_the_same_release_with_every_part_of_volrep_in_it(tmp_path: Path) -> None:
    here = install.platform_of("here", on_host.probe(on_host.places()))
    one, again = (wheelhouse.build(here, tmp_path) for _ in range(2))
    assert (one.name, one.archive) == (again.name, again.archive)
    with tarfile.open(fileobj=io.BytesIO(one.archive)) as tar:
        names = set(tar.getnames())
    assert {"volrep/rds/on_host.py", "volrep/rds/volrep.service", "volrep/menus/load.py", "click/__init__.py"} <= names
    assert any(name.startswith("volrep-") and name.endswith("METADATA") for name in names)  # the engine's version
    assert not any("__pycache__" in name or name.endswith((".pth", "RECORD")) or ".." in name for name in names)
    assert wheelhouse.digest({"a": b"1"}) != wheelhouse.digest({"a": b"2"}) != wheelhouse.digest({"b": b"2"})


def test_a_build_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    other = Platform((3, sys.version_info.minor + 1), "aarch64", "glibc", (2, 36))
    with pytest.raises(VolrepError) as refused:
        wheelhouse.build(other, tmp_path)
    assert refused.value.id == "VR-1121"
    assert "aarch64" in refused.value.text
