"""How GroupGAN is measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.evaluation.numbers import accuracy, extrapolated, in_parts, psnr
from nvn_recipes.groupgan.evaluation.sheets import sheet, to_image
from nvn_recipes.groupgan.pairs import Pairs, to_float


def test_psnr_is_its_formula() -> None:
    real = torch.zeros(2, 3, 4, 4)
    made = torch.full_like(real, 0.2)
    assert psnr(made, real) == pytest.approx(10 * math.log10(2**2 / 0.2**2), abs=1e-4)


def test_accuracy_counts_the_largest() -> None:
    logits = torch.eye(3)[[0, 1, 2, 2]]
    assert accuracy(logits, torch.tensor([0, 1, 2, 0])) == 0.75


def test_extrapolation_undoes_a_linear_blend() -> None:
    levels = torch.tensor([100, 110, 140], dtype=torch.uint8)  # weak is a quarter of the way
    pictures = levels[:, None, None, None].expand(3, 3, 4, 4)
    first = torch.tensor([0])
    blend = Pairs(pictures, first + 1, first + 2, first, first, ("happy",), neutral=first)
    assert torch.allclose(extrapolated(blend, 0.25), to_float(blend.shown("peak")), atol=1e-5)


def test_parts_make_the_whole() -> None:
    pictures, done = torch.rand(600, 1, 48, 48), []
    assert torch.equal(in_parts(lambda part: 2 * part, pictures, done.append), 2 * pictures)
    assert done == [256, 256, 88]


def test_large_pictures_come_in_small_parts() -> None:
    done: list[int] = []
    in_parts(lambda part: part, torch.rand(3, 1, 800, 800), done.append)
    assert done == [1, 1, 1]


@pytest.mark.parametrize("size", [8, 48, 128, 256])
def test_a_sheet_has_every_picture_below_labels_that_grow_with_it(size: int) -> None:
    black = torch.full((2, 3, size, size), -1.0)
    image = sheet({name: {"a": black, "b": black} for name in "wxyz"}, across=2)
    shown, side = np.asarray(image.convert("L")), max(96, size)
    assert 16 <= (shown < 10).sum() / side**2 < 16.2  # 4 blocks of 2 × 2, and a few letters
    first = (shown < 128).mean(axis=1).argmax()  # the first line that pictures fill
    lines = (shown[:first] < 200).any(axis=1).sum()
    assert 0.1 < lines / side < 0.4


def test_images_have_their_colours() -> None:
    red = torch.tensor([1.0, -1.0, -1.0])[:, None, None].expand(3, 4, 4)
    assert to_image(red, scale=2).getpixel((3, 3)) == (255, 0, 0)
