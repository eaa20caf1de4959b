"""What reviewers would otherwise have to look for by hand in every change."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from volrep.model import messages
from volrep.model.errors import Message
from volrep.model.messages import CATALOGUE, MODULES
from volrep.model.messages.__main__ import page

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("backend", "tui", "menus")
CHECKED = (*SOURCE_ROOTS, "tests", "bench", "docs", "packaging", ".ci")
SUFFIXES = {".py", ".md", ".toml", ".sh", ".service", ".txt", ".cfg", ""}
MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70

# Put together here, so that this file does not contain what it looks for.
BANNED = {
    "an open end": re.compile("|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bX" + r"XX\b",
                                        "NotImplemented" + "Error"))),
    "a package registry": re.compile("|".join(("index" + "-url", "find" + "-links", r"https?://[\w.-]*py" + "pi"))),
    "a path of one machine": re.compile("|".join((r"(?<![\w.])/wo" + "rk/", "/tmp/br" + "ief",
                                                  "/home/" + "[a-z]+/"))),
}


def _modules() -> Iterator[Path]:
    for root in (*SOURCE_ROOTS, "tests", "bench"):
        yield from sorted((ROOT / root).rglob("*.py"))


def _texts() -> Iterator[Path]:
    yield from (ROOT / name for name in ("Makefile", "README.md", "CHANGELOG.md", "pyproject.toml", "constraints.txt"))
    for folder in CHECKED:
        for path in sorted((ROOT / folder).rglob("*")):
            # bench/out holds measurements of this machine and is not part of the project
            if path.is_file() and path.suffix in SUFFIXES and "out" not in path.relative_to(ROOT).parts:
                yield path


def _dotted(path: Path) -> str:
    relative = path.relative_to(ROOT).parts[1:]
    return ".".join(relative).removesuffix(".py").removesuffix(".__init__")


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_volrep_stays_a_namespace(root: str) -> None:
    """One __init__.py here would hide the other source roots."""
    assert not (ROOT / root / "volrep" / "__init__.py").exists()


def test_every_portion_is_typed_and_under_import_contracts() -> None:
    portions = {f"volrep.{path.parent.name}" for root in SOURCE_ROOTS
                for path in (ROOT / root / "volrep").glob("*/__init__.py")}
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert set(linter["root_packages"]) == portions
    untyped = [name for name in portions
               if not any((ROOT / root / name.replace(".", "/") / "py.typed").exists() for root in SOURCE_ROOTS)]
    assert untyped == []


def test_modules_that_call_themselves_pure_are_under_the_purity_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (listed,) = (set(c["source_modules"]) for c in contracts if c["name"] == "deciding modules do no I/O")
    claimed = {_dotted(path) for root in SOURCE_ROOTS for path in (ROOT / root).rglob("*.py")
               if re.search(r"(?m)(^|[.:;] )Pure\b", ast.get_docstring(ast.parse(path.read_text())) or "")}
    claimed = {name for name in claimed if not name.startswith("volrep.model.")}  # listed as a whole
    assert claimed <= listed


def test_modules_are_short() -> None:
    long = [f"{path.relative_to(ROOT)}: {lines}" for path in _modules()
            if (lines := len(path.read_text().splitlines())) > MODULE_LINES_MAX]
    assert long == []


def test_functions_are_short() -> None:
    long = []
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert long == []


def test_modules_say_what_they_are_for() -> None:
    mute = [str(path.relative_to(ROOT)) for path in _modules()
            if (tree := ast.parse(path.read_text())).body and not ast.get_docstring(tree)]
    assert mute == []


@pytest.mark.parametrize("what", BANNED)
def test_nothing_contains(what: str) -> None:
    found = [f"{path.relative_to(ROOT)}:{number}: {line.strip()}" for path in _texts()
             for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
             if BANNED[what].search(line)]
    assert found == []


def test_the_page_of_messages_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "messages.md").read_text() == page(), "run `make docs`"


def test_message_numbers_lie_in_the_range_of_their_module() -> None:
    rows = re.findall(r"\| (\d+)-\d+ \| (\w+) ", messages.__doc__ or "")
    starts = {name: int(start) for start, name in rows}
    for module in MODULES:
        start = starts[module.__name__.rpartition(".")[2]]
        numbers = [value.number for value in vars(module).values() if isinstance(value, Message)]
        assert [n for n in numbers if not start <= n < start + 100] == []


def test_messages_follow_their_grammar() -> None:
    """Lowercase, no full stop, a hint: an operator reads hundreds of them side by side."""
    bad = [m.id for m in CATALOGUE.values()
           if m.text.endswith(".") or m.hint.endswith(".") or not m.hint or re.match(r"[A-Z][a-z]", m.text)]
    assert bad == []
