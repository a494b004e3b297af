"""Confusion, heat maps, faces: what the pictures show, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.evaluation import heatmaps
from nvn_recipes.groupgan.evaluation.confusion import CELL, Confusion, confusion, drawn
from nvn_recipes.groupgan.evaluation.faces import Faces
from nvn_recipes.groupgan.evaluation.figures import picture
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


def test_the_numbers_are_shares_of_a_row_and_the_more_the_darker() -> None:
    counts = torch.tensor([[4, 0, 0], [2, 6, 0], [0, 0, 0]])
    (axes, _) = drawn(counts, ["calm", "happy", "nobody"]).axes
    (shown,) = axes.images
    assert shown.get_array().tolist() == [[100, 0, 0], [25, 75, 0], [0, 0, 0]]
    assert [text.get_text() for text in axes.texts] == (
        ["100.0", "0.0", "0.0", "25.0", "75.0", "0.0", "-", "-", "-"]
    )
    lights = [sum(shown.to_rgba(share)[:3]) for share in (0, 25, 75, 100)]
    assert lights == sorted(lights, reverse=True)
    assert axes.get_title().startswith("accuracy 83.3 % of 12 pictures; mean of the classes 87.5")
    assert axes.get_yticklabels()[0].get_text() == "calm (4)"


@pytest.mark.parametrize("classes", [2, 13])
@pytest.mark.parametrize("name", ["a long name of class", "$x$ _y_ ^z", "ü 愛"])
def test_there_may_be_any_number_of_classes_of_any_name(classes: int, name: str) -> None:
    names = [f"{name} {number}" for number in range(classes)]
    image = picture(drawn(torch.eye(classes, dtype=torch.int64), names))
    assert min(image.size) > classes * CELL
    levels = np.asarray(image)
    for edge in (levels[:2], levels[-2:], levels[:, :2], levels[:, -2:]):
        assert (edge == 255).all()  # nothing is cut


def test_the_matrix_of_a_game_is_drawn() -> None:
    engine, weak, (answer,) = seeing(happy_if_light)
    split = unseen(flat_pairs([0.2, 0.2, -0.2], [1.0, 1.0, 1.0], label=[1, 1, 1]))
    expected = picture(drawn(torch.tensor([[0, 0], [1, 2]]), split.test.classes))
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
def test_heat_maps_share_one_scale(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weak −0.2, magnified 0.2, peak 1: the squares are as 1 : 9 : 4, whatever the channels."""
    monkeypatch.setattr(heatmaps, "picture", lambda figure: figure)
    engine, weak, (fake,) = seeing(lighter)
    pairs = flat_pairs([-0.2], [1.0], label=[1], channels=channels)
    *axes, _ = HeatMaps(unseen(pairs), weak, fake)(engine).axes
    assert [each.get_title() for each in axes] == list(heatmaps.COLUMNS)
    maps = [axes[column].images[0] for column in (2, 4, 5)]
    end = 9 * 0.16 * channels
    for shown, share in zip(maps, (1 / 9, 1, 4 / 9), strict=True):
        assert np.allclose(shown.get_array(), share * end, atol=0.02)
        assert shown.get_clim() == pytest.approx((0, end), abs=0.02)
    dark, light = (np.asarray(axes[column].images[0].get_array()) for column in (0, 3))
    assert (dark == 102).all()
    assert (light == 255).all()


@pytest.mark.parametrize("size", [16, 48, 256])
def test_heat_maps_are_drawn_whatever_the_size(size: int) -> None:
    engine, weak, (fake,) = seeing(torch.clone)
    image = HeatMaps(unseen(flat_pairs([0.2], [0.2], label=[0], size=size)), weak, fake)(engine)
    assert image.size == (6 * heatmaps.SIDE + heatmaps.MARGIN, heatmaps.SIDE + heatmaps.MARGIN)
    black = torch.tensor([0, 0, 3])  # nearly: the first color of the map
    assert pixels(image, black) > 3 * 100 * 100  # what is not changed


@pytest.mark.parametrize("channels", [1, 3])
def test_faces_are_shown_of_the_classes_that_there_are(channels: int) -> None:
    engine, weak, (fake,) = seeing(lighter)
    pairs = flat_pairs([-0.6, -0.6, -0.2], [1.0] * 3, label=[0, 0, 0], channels=channels)
    image = Faces(unseen(pairs), weak, fake, rows=2)(engine)
    dark, made = (torch.tensor(3 * [level]) for level in (51, 102))
    assert 2 * 96**2 <= pixels(image, dark) < 2.1 * 96**2  # two people, one class, no third
    assert 2 * 96**2 <= pixels(image, made) < 2.1 * 96**2
