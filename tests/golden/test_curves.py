"""No refactor moves a golden loss curve."""

from __future__ import annotations

import json

import pytest

from tests.golden.curves import RECIPES, curve, path

RELATIVE = 1e-9


@pytest.mark.parametrize("name", RECIPES)
def test_the_curve_stands(name: str) -> None:
    golden = json.loads(path(name).read_text())
    now = curve(name)
    assert list(now) == list(golden)
    for phase, steps in golden.items():
        assert len(now[phase]) == len(steps)
        for expected, found in zip(steps, now[phase], strict=True):
            for group, numbers in expected.items():
                assert found[group] == pytest.approx(numbers, rel=RELATIVE, abs=1e-12), phase
