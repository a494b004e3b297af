"""The loggers of the documentation, with modules that stand in for packages not installed."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import nvn
from tests.plugins.games import picture_game

PAGE = Path(__file__).parents[2] / "docs" / "first-party-plugins.md"
EXAMPLES = re.findall(r"test_loggers\.py[^\n]*\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


class Recorder(ModuleType):
    """A module every function of which writes down that it was called, and returns the same."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__dict__["calls"] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            return self

        return call


def example(module: str) -> str:
    (found,) = [text for text in EXAMPLES if f"import {module}\n" in text]
    return found


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        ("wandb", ["init", "log", "Image", "finish"]),
        ("mlflow", ["start_run", "log_metrics", "log_image", "end_run"]),
        ("trackio", ["init", "log", "finish"]),
    ],
)
def test_a_run_is_logged(
    module: str, wanted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(module)
    monkeypatch.setitem(sys.modules, module, recorder)
    file = tmp_path / f"{module}_plugin.py"
    file.write_text(example(module))
    look = nvn.Evaluation("look", lambda engine: {"at": 2.5})
    nvn.train(picture_game(steps=10, evaluations=[look]), out=tmp_path / "run", plugins=[str(file)])
    calls = recorder.calls
    names = [name for name, _, _ in calls]
    assert set(wanted) <= set(names)
    assert names[-1] == wanted[-1]
    logged = [args[0] for name, args, _ in calls if name in ("log", "log_metrics")]
    assert any(2.5 in each.values() for each in logged)
    assert any("G" in key for each in logged for key in each)
    assert "essential = False" in example(module)
