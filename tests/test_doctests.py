import doctest
import importlib
import pkgutil

import pytest

import nvn

MODULES = sorted(m.name for m in pkgutil.walk_packages(nvn.__path__, "nvn.") if m.name[-2:] != "__")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
