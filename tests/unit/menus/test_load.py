"""Stanza files: what is wrong is said with file, line and reason; a site may replace and add."""

from __future__ import annotations

from pathlib import Path

import pytest

from volrep.menus.load import load, parse, site_directories
from volrep.menus.model import Dialog, Menu
from volrep.model.errors import VolrepError

GOOD = """\
[[dialog]]
id = "one"
title = "One"
command = ["one"]

[[dialog]]
id = "two"
title = "Two"
command = ["two"]

[[dialog.field]]
name = "a"
label = "A"

[[dialog.field]]
name = "b"
label = "B"
{line}
"""


def refused(text: str) -> VolrepError:
    with pytest.raises(VolrepError) as caught:
        parse(text, "site.toml")
    return caught.value


@pytest.mark.parametrize(("line", "reason"), [
    ('kind = "colour"', "Invalid enum value 'colour'"),
    ('coment = "typo"', "coment: no such key"),
    ('position = 2', "positions are 1, 2, 3"),
    ('attribute = "x"\noption = "-x"', "at most one of"),
    ('kind = "secret"\noption = "-p"', "a secret goes by environment"),
    ('kind = "ring"', "a ring needs choices"),
    ('pattern = "x"', "pattern and rule"),
    ('default = "{open"', "braces that are no placeholder"),
    ('source = "Not-an-id"', "source: not an id: lowercase letters"),
    ('default = "{Not}"', "braces that are no placeholder"),
])
def test_a_bad_key_is_refused_with_its_place(line: str, reason: str) -> None:
    error = refused(GOOD.format(line=line))
    assert error.id == "VR-1800"
    assert reason in error.text
    number = int(error.text.split(":")[1])
    first = 6 if "positions" in reason else 15  # a rule of the dialog stands at the dialog, of the field at the field
    assert number == first or GOOD.format(line=line).splitlines()[number - 1] == line.splitlines()[0]


def test_a_misspelled_required_key_is_told_as_misspelled() -> None:
    error = refused('[[menu]]\nid = "x"\ntitel = "X"\n')
    assert error.text.startswith("site.toml:3: menu.0.titel: no such key")


def test_text_that_is_not_toml_is_refused_with_its_line() -> None:
    error = refused('[[menu]]\nid = "x"\ntitle = \n')
    assert error.text.startswith("site.toml:3:")


def site(path: Path, text: str) -> Path:
    path.mkdir(exist_ok=True)
    (path / "site.toml").write_text(text)
    return path


def test_a_site_adds_an_item_and_replaces_a_dialog(tmp_path: Path) -> None:
    catalogue = load([site(tmp_path, """
[[item]]
menu = "mon"
text = "Ours"
next = "ours"

[[dialog]]
id = "ours"
title = "Ours"
command = ["events"]

[[dialog]]
id = "events"
title = "Events as we like them"
command = ["events"]
""")])
    menu, replaced = catalogue.screens["mon"], catalogue.screen("events")
    assert isinstance(menu, Menu)
    assert menu.items[-1].text == "Ours"
    assert isinstance(replaced, Dialog)
    assert replaced.title == "Events as we like them"
    assert [screen.id for screen in catalogue.trail("ours")] == ["volrep", "mon", "ours"]


@pytest.mark.parametrize(("text", "id_"), [
    ('[[item]]\nmenu = "nowhere"\ntext = "x"\nnext = "events"', "VR-1802"),
    ('[[item]]\nmenu = "mon"\ntext = "x"\nnext = "nowhere"', "VR-1802"),
    ('[[menu]]\nid = "x"\ntitle = "X"\naliases = ["events"]', "VR-1801"),
    ('[[menu]]\nid = "x"\ntitle = "X"\n[[menu]]\nid = "x"\ntitle = "X"', "VR-1801"),
    ('[[selector]]\nid = "x"\ntitle = "X"\nsource = "nothing"\nname = "a"\nnext = "events"', "VR-1802"),
])
def test_what_does_not_fit_together_is_refused(tmp_path: Path, text: str, id_: str) -> None:
    with pytest.raises(VolrepError) as caught:
        load([site(tmp_path, text)])
    assert caught.value.id == id_


def test_an_unknown_fast_path_names_the_closest() -> None:
    with pytest.raises(VolrepError, match="VR-1810") as caught:
        load().screen("volume_creat")
    assert "volume_create" in caught.value.hint


def test_the_own_configuration_directory_stands_alone(tmp_path: Path) -> None:
    assert site_directories({"VOLREP_CONFIG_DIR": "/x"}, tmp_path) == [Path("/x/menus")]
    assert site_directories({}, tmp_path) == [Path("/etc/volrep/menus"), tmp_path / ".config/volrep/menus"]


def test_the_example_of_the_documentation_is_true(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "console.md").read_text()
    example = page.split("```toml\n")[1].split("```")[0]
    catalogue = load([site(tmp_path, example)])
    assert [screen.id for screen in catalogue.trail("site_history")] == ["volrep", "mon", "site_history"]
