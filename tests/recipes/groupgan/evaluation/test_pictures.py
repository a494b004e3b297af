"""Confusion, heat maps, faces: what the pictures show, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.evaluation.colors import heat, ink
from nvn_recipes.groupgan.evaluation.confusion import CELL, Confusion, confusion, drawn
from nvn_recipes.groupgan.evaluation.faces import Faces
from nvn_recipes.groupgan.evaluation.heatmaps import HeatMaps, end_of_scale, heat_map
from PIL import Image
from torch import Tensor

from tests.recipes.groupgan.evaluation.seen import (
    flat_pairs,
    happy_if_light,
    lighter,
    seeing,
    unseen,
)


def pixels(image: Image.Image, color: Tensor) -> int:
    """How many pixels have a color, up to rounding."""
    off = np.abs(np.asarray(image.convert("RGB")).astype(int) - color.numpy().astype(int))
    return int((off.max(axis=2) <= 1).sum())


def test_rows_are_what_is_shown_and_columns_what_it_is_taken_for() -> None:
    logits = torch.eye(3)[[0, 0, 1, 1]]
    counts = confusion(logits, torch.tensor([0, 1, 1, 0]))
    assert counts.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert confusion(logits, torch.tensor([0, 0, 0, 0])).tolist()[0] == [2, 2, 0]


def test_the_more_of_a_row_the_darker() -> None:
    counts = torch.tensor([[4, 0, 0], [2, 6, 0], [0, 0, 0]])
    image = drawn(counts, ["calm", "happy", "nobody"])
    field = CELL**2
    for share in (1.0, 0.25, 0.75):
        assert 0.85 * field < pixels(image, ink(torch.tensor(share))) < 1.1 * field


@pytest.mark.parametrize("classes", [2, 13])
def test_there_may_be_any_number_of_classes(classes: int) -> None:
    names = [f"a long name of class {number}" for number in range(classes)]
    image = drawn(torch.eye(classes, dtype=torch.int64), names)
    assert min(image.size) > classes * (CELL - 1)
    assert (np.asarray(image)[:, -10:] == 255).all()


def test_the_matrix_of_a_game_is_drawn() -> None:
    engine, weak, (answer,) = seeing(happy_if_light)
    split = unseen(flat_pairs([0.2, 0.2, -0.2], [1.0, 1.0, 1.0], label=[1, 1, 1]))
    expected = drawn(torch.tensor([[0, 0], [1, 2]]), split.test.classes)
    assert Confusion(split, weak, answer)(engine) == expected


def test_a_heat_map_sums_squares_over_channels() -> None:
    one = torch.zeros(1, 3, 2, 2)
    one[0, :, 0, 1] = torch.tensor([0.1, -0.2, 0.3])
    found = heat_map(one, torch.zeros_like(one))
    assert torch.allclose(found, torch.tensor([[[0.0, 0.14], [0.0, 0.0]]]))


def test_a_few_large_values_do_not_stretch_the_scale() -> None:
    maps = torch.linspace(0, 1, 1001)
    assert end_of_scale(torch.cat([maps, torch.tensor([90.0])])) == pytest.approx(0.99, abs=0.01)
    assert end_of_scale(torch.zeros(2, 3)) > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_heat_maps_share_one_scale(channels: int) -> None:
    """Weak −0.2, magnified 0.2, peak 1: the squares are as 1 : 9 : 4, whatever the channels."""
    engine, weak, (fake,) = seeing(lighter)
    pairs = flat_pairs([-0.2], [1.0], label=[1], channels=channels)
    image = HeatMaps(unseen(pairs), weak, fake)(engine)
    for share in (1 / 9, 1, 4 / 9):
        at_least = 144 * 144
        assert at_least <= pixels(image, heat(torch.tensor(share))) < 1.3 * at_least + 500


def test_the_titles_of_heat_maps_stand_upright_whatever_the_size() -> None:
    engine, weak, (fake,) = seeing(lighter)
    for size in range(16, 257, 16):
        pairs = flat_pairs([-0.2], [1.0], label=[1], size=size)
        image = HeatMaps(unseen(pairs), weak, fake)(engine)
        assert image.height < max(size, 192) + 200


def test_what_is_not_changed_is_black() -> None:
    engine, weak, (fake,) = seeing(torch.clone)
    image = HeatMaps(unseen(flat_pairs([0.2], [0.2], label=[0])), weak, fake)(engine)
    assert pixels(image, torch.zeros(3)) >= 3 * 144 * 144


@pytest.mark.parametrize("channels", [1, 3])
def test_faces_are_shown_of_the_classes_that_there_are(channels: int) -> None:
    engine, weak, (fake,) = seeing(lighter)
    pairs = flat_pairs([-0.6, -0.6, -0.2], [1.0] * 3, label=[0, 0, 0], channels=channels)
    image = Faces(unseen(pairs), weak, fake, rows=2)(engine)
    dark, made = (torch.tensor(3 * [level]) for level in (51, 102))
    assert 2 * 96**2 <= pixels(image, dark) < 2.1 * 96**2  # two people, one class, no third
    assert 2 * 96**2 <= pixels(image, made) < 2.1 * 96**2
