"""The examples in docstrings: they are true, and no public name is without one."""

import doctest
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import nvn
import nvn.game

SOURCE = Path(nvn.__file__).parent
FILES = sorted(path.relative_to(SOURCE.parent) for path in SOURCE.rglob("*.py"))
MODULES = [
    ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    for path in FILES
    if path.stem != "__main__"
]
# What nvn/game declares may still be without.
WITHOUT = {f"nvn.{name}" for name, home in nvn._HOME.items() if home.startswith("game.")}


@pytest.mark.parametrize("name", nvn.game.__all__)
def test_what_declares_a_game_has_an_example(name: str) -> None:
    assert ">>>" in (getattr(nvn.game, name).__doc__ or "")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some train
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert not failed


def public() -> Iterator[str]:
    """Every public name, those of public modules with their module's."""
    for name in nvn.__all__:
        if name in nvn._SUBMODULES:
            module = importlib.import_module(f"nvn.{name}")
            yield from (f"nvn.{name}.{inside}" for inside in module.__all__)
        else:
            yield f"nvn.{name}"


def test_every_public_name_has_an_example() -> None:
    missing = set()
    for dotted in public():
        home, _, name = dotted.rpartition(".")
        found = getattr(importlib.import_module(home), name)
        # A type alias has no docstring, nor has the marker `hook`, which `Hooks` shows.
        if inspect.isclass(found) or inspect.isroutine(found):
            missing |= {dotted} if ">>>" not in (found.__doc__ or "") else set()
    assert not missing - WITHOUT
