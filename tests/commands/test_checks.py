"""`nvn checks`: what is installed, and how to get what is not."""

import importlib.util
from typing import Any

import pytest

from tests.cli.conftest import Command


def test_it_shows_the_machine_and_what_is_missing(
    nvn: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec

    def without_av(name: str, *arguments: Any) -> Any:
        return None if name == "av" else find(name, *arguments)

    monkeypatch.setattr("importlib.util.find_spec", without_av)
    code, said, _ = nvn("checks")
    assert code == 0
    for word in ("python", "system", "processor", "torch", "recipes", "gaussians"):
        assert word in said
    (line,) = [line for line in said.splitlines() if line.startswith("av ")]
    assert "missing: pip install" in line
    assert "[video]" in line
