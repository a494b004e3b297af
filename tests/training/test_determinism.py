"""A run may hold torch to deterministic algorithms; afterwards it is as before."""

from pathlib import Path

import pytest
import torch
import yaml

import nvn
from nvn.errors import RunError
from tests.tiny import tiny


def test_a_run_is_held_to_them(tmp_path: Path) -> None:
    seen = []

    def look(engine: nvn.Engine) -> dict[str, float]:
        seen.append(torch.are_deterministic_algorithms_enabled())
        return {}

    looks = [nvn.Evaluation("look", look)]
    for name, wanted in (("a", True), ("b", False)):
        nvn.train(tiny(evaluations=looks), out=tmp_path / name, deterministic=wanted)
        assert not torch.are_deterministic_algorithms_enabled()
        assert yaml.safe_load((tmp_path / name / "run.yaml").read_text())["deterministic"] == wanted
    assert seen == [True, False]


def test_what_has_no_deterministic_form_is_named(tmp_path: Path) -> None:
    def loose(engine: nvn.Engine) -> dict[str, float]:
        raise RuntimeError(
            "median_cuda does not have a deterministic implementation, but you set "
            "'torch.use_deterministic_algorithms(True)'"
        )

    looks = [nvn.Evaluation("loose", loose)]
    with pytest.raises(RunError, match="--deterministic: median_cuda has no deterministic form"):
        nvn.train(tiny(evaluations=looks), out=tmp_path / "run", deterministic=True)
    assert not torch.are_deterministic_algorithms_enabled()
