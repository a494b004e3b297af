"""Colors that are ordered as eyes see them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.evaluation.colors import heat, ink, luminance, scale
from torch import Tensor


@pytest.mark.parametrize(("colors", "sign"), [(heat, 1), (ink, -1)])
def test_lightness_changes_evenly(colors: Callable[[Tensor], Tensor], sign: int) -> None:
    lights = [luminance(color) for color in colors(torch.linspace(0, 1, 21))]
    steps = sign * np.diff(np.cbrt(lights))  # the cube root: CIE 1976
    assert (steps > 0).all()
    assert steps[1:].max() < 2.5 * steps[1:].min()


def test_nothing_is_black_in_heat_and_white_in_ink() -> None:
    assert heat(torch.tensor(0.0)).tolist() == [0, 0, 0]
    assert ink(torch.tensor(0.0)).tolist() == [255, 255, 255]


@pytest.mark.parametrize("colors", [heat, ink])
def test_what_is_beyond_the_ends_has_their_colors(colors: Callable[[Tensor], Tensor]) -> None:
    below, start, end, above = colors(torch.tensor([-3.0, 0.0, 1.0, 40.0])).tolist()
    assert (below, above) == (start, end)


def test_luminance_is_that_of_the_standard() -> None:
    assert luminance(torch.tensor([255, 255, 255])) == pytest.approx(1)
    assert luminance(torch.tensor([0, 255, 0])) == pytest.approx(0.7152)
    assert luminance(torch.tensor([188, 188, 188])) == pytest.approx(0.5, abs=0.01)


def test_a_scale_goes_from_end_to_end() -> None:
    band = np.asarray(scale(heat, ["0", "1"], "what it is"))[8, 1:319]
    assert (band[0] < 8).all()
    assert (band[-1] > 230).all()
