"""Gray levels and histograms over a grid, against what is counted by hand."""

from __future__ import annotations

import pytest
import torch
from nvn_recipes.groupgan.comparators.cells import gray, histograms, shares


def test_gray_levels_are_what_colors_appear_like() -> None:
    colors = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [7, 7, 7]], dtype=torch.uint8)
    assert gray(colors.view(4, 3, 1, 1)).flatten().tolist() == [76, 150, 29, 7]


def test_gray_pictures_are_left_as_they_are() -> None:
    levels = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4)
    assert torch.equal(gray(levels), levels[:, 0])


@pytest.mark.parametrize(
    "wrong", [torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 4).byte(), torch.zeros(4, 4).byte()]
)
def test_what_is_no_picture_is_an_error(wrong: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="expected pictures"):
        gray(wrong)


CODES = torch.tensor([[[0, 0, 1, 1], [0, 1, 1, 1], [2, 2, 0, 0], [2, 2, 0, 2]]])


def test_each_cell_has_a_histogram_of_its_own() -> None:
    assert histograms(CODES, 3, 2).tolist() == [[3, 1, 0, 0, 4, 0, 0, 0, 4, 3, 0, 1]]


def test_a_map_need_not_be_square() -> None:
    wide = torch.tensor([[[0, 0, 0, 1], [0, 1, 1, 1]]])
    assert histograms(wide, 2, 2).tolist() == [[2, 0, 1, 1, 1, 1, 0, 2]]


def test_pixels_may_count_differently() -> None:
    weights = torch.zeros(1, 4, 4)
    weights[0, 0, 0], weights[0, 1, 1], weights[0, 3, 3] = 2, 0.5, 7
    assert histograms(CODES, 3, 2, weights).tolist() == [[2, 0.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]]


def test_cells_of_a_side_that_is_no_multiple_differ_by_a_pixel() -> None:
    assert histograms(torch.zeros(1, 5, 5), 1, 2).tolist() == [[9, 6, 6, 4]]


def test_cells_without_pixels_are_an_error() -> None:
    with pytest.raises(ValueError, match="4 pixels a side cannot be cut into 5 cells"):
        histograms(CODES, 3, 5)


def test_shares_of_a_cell_sum_to_one() -> None:
    assert shares(torch.tensor([[3.0, 1, 0, 0]]), 2).tolist() == [[0.75, 0.25, 0, 0]]
    doubted = shares(torch.tensor([[3.0, 1, 0, 0]]), 2, 1.0)
    assert doubted.tolist() == [pytest.approx([4 / 6, 2 / 6, 0.5, 0.5])]
