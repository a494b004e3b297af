"""Plugins found by a text: a file, a module, an entry point; with settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nvn
from nvn.training.plugin_loading import installed_plugins, load_plugin
from tests.tiny import tiny

FILE = """
import nvn, pydantic

class Settings(nvn.Config):
    every: int = pydantic.Field(5, ge=1, description="Steps between two lines.")
    to: str = "log"

class Log:
    def __init__(self, settings):
        self.settings = settings

    @nvn.plugins.hook
    def step_done(self, record):
        with open(self.settings.to, "a") as file:
            if record.step % self.settings.every == 0:
                file.write(f"{record.step} ")

def plugin(settings: Settings):
    return Log(settings)
"""
MODULE = """
import nvn

@nvn.plugins.hook
def step_done(record): ...
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plugin files, and an installed package that has one."""
    monkeypatch.chdir(tmp_path)
    Path("log.py").write_text(FILE)
    Path("plain.py").write_text(MODULE)
    site = tmp_path / "site"
    (site / "others_nvn_things").mkdir(parents=True)
    (site / "others_nvn_things" / "__init__.py").write_text("")
    (site / "others_nvn_things" / "log.py").write_text(FILE)
    about = site / "others-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[nvn.plugins]\nothers = others_nvn_things.log\ngone = others_nvn_things.gone\n"
        "twice = others_nvn_things.log\n"
    )
    again = site / "more-1.0.dist-info"
    again.mkdir()
    (again / "METADATA").write_text("Metadata-Version: 2.1\nName: more\nVersion: 1.0\n")
    (again / "entry_points.txt").write_text("[nvn.plugins]\ntwice = another\n")
    monkeypatch.syspath_prepend(site)
    return tmp_path


def test_a_file_with_and_without_settings(place: Path) -> None:
    plain: Any = load_plugin("log.py")
    given: Any = load_plugin("log.py:every=2,to=other place")
    assert (plain.settings.every, plain.settings.to) == (5, "log")
    assert (given.settings.every, given.settings.to) == (2, "other place")


def test_a_module_may_be_the_plugin(place: Path) -> None:
    plugin: Any = load_plugin("plain.py")
    assert plugin.step_done is not None
    nvn.train(tiny(), out=place / "run", plugins=[plugin])


def test_an_installed_one_by_its_name_and_by_its_module(place: Path) -> None:
    assert "others" in installed_plugins()
    for text in ("others:every=3", "others_nvn_things.log:every=3"):
        plugin: Any = load_plugin(text)
        assert plugin.settings.every == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lig.py", "--plugin lig.py: there is no such file. Did you mean 'log.py'?"),
        ("otters", "no installed plugin of that name, and no module. Did you mean 'others'?"),
        ("log.py:evry=3", "there is no setting 'evry'. Did you mean 'every'?"),
        ("log.py:every=0", "every = 0"),
        ("log.py:every=2,3", "--plugin log.py:3: expected name=value"),
        ("plain.py:every=2", "it has no settings"),
        ("log.py:5", "settings come after a colon"),
        ("", "no installed plugin of that name"),
        ("gone", "its package says that it is the module others_nvn_things.gone, and there is"),
        ("twice", "give the module of one of them, --plugin another or --plugin others_nvn_thi"),
    ],
)
def test_what_is_wrong_is_said(place: Path, text: str, said: str) -> None:
    with pytest.raises(nvn.ConfigError) as error:
        load_plugin(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("class Settings: ...\ndef plugin(settings): ...", "Settings is not a class"),
        ("def plugin(a, b): ...", "cannot be called as plugin(settings)"),
        (
            "import nvn\nclass Settings(nvn.Config):\n    a: int = 1\ndef plugin(): ...",
            "plugin() has no argument",
        ),
        ("def plugin(:", "line 1"),
        ("def plugin(): ...", "plugin() returned None"),
    ],
)
def test_a_file_that_makes_none(place: Path, text: str, said: str) -> None:
    Path("mine.py").write_text(text)
    with pytest.raises(nvn.ConfigError) as error:
        load_plugin("mine.py")
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["1 / 0", "def plugin():\n    1 / 0"])
def test_an_error_of_its_own_code_says_whose_it_is(place: Path, text: str) -> None:
    Path("mine.py").write_text(text)
    with pytest.raises(ZeroDivisionError) as error:
        load_plugin("mine.py")
    assert error.value.__notes__ == ["raised by --plugin mine.py, which was being loaded"]


def test_a_run_keeps_the_texts_and_goes_on_with_them(place: Path) -> None:
    nvn.train(tiny(steps=3), out="run", plugins=["log.py:every=3"])
    assert f"- {place.resolve() / 'log.py'}:every=3" in Path("run/run.yaml").read_text()
    assert Path("log").read_text() == "3 3 "
