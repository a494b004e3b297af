import doctest
import importlib
import pkgutil

import pytest

import nvn
import nvn.game

MODULES = sorted(m.name for m in pkgutil.walk_packages(nvn.__path__, "nvn.") if m.name[-2:] != "__")


@pytest.mark.parametrize("name", nvn.game.__all__)
def test_what_declares_a_game_has_an_example(name: str) -> None:
    assert ">>>" in (getattr(nvn.game, name).__doc__ or "")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
