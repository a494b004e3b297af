"""Sheets of pictures, and names beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.evaluation.figures import LONGEST, shortened
from nvn_recipes.groupgan.evaluation.sheets import fitting, sheet, to_image
from PIL import ImageFont


@pytest.mark.parametrize("size", [8, 48, 128, 256])
def test_a_sheet_has_every_picture_below_labels_that_grow_with_it(size: int) -> None:
    black = torch.full((2, 3, size, size), -1.0)
    image = sheet({name: {"a": black, "b": black} for name in "wxyz"}, across=2)
    shown, side = np.asarray(image.convert("L")), max(96, size)
    assert 16 <= (shown < 10).sum() / side**2 < 16.2  # 4 blocks of 2 × 2, and a few letters
    first = (shown < 128).mean(axis=1).argmax()  # the first line that pictures fill
    lines = (shown[:first] < 200).any(axis=1).sum()
    assert 0.1 < lines / side < 0.4


def test_images_have_their_colors() -> None:
    red = torch.tensor([1.0, -1.0, -1.0])[:, None, None].expand(3, 4, 4)
    assert to_image(red, scale=2).getpixel((3, 3)) == (255, 0, 0)


def test_gray_pictures_are_gray() -> None:
    image = to_image(torch.full((1, 4, 4), -1.0), scale=2)
    assert (image.mode, image.size, image.getpixel((3, 3))) == ("L", (8, 8), 0)


def test_blocks_may_have_fewer_pictures_than_others() -> None:
    black = torch.full((3, 1, 96, 96), -1.0)
    image = sheet({"many": {"a": black}, "few": {"a": black[:1]}})
    shown = np.asarray(image.convert("L"))
    assert 4 <= (shown < 10).sum() / 96**2 < 4.1


def test_long_names_get_smaller() -> None:
    long = "a very long name of a column"
    assert fitting(long, 20, 100).getlength(long) <= 101
    assert fitting("a", 20, 100).getlength("a") == ImageFont.load_default(20).getlength("a")


def test_of_names_that_are_too_long_the_start_is_kept() -> None:
    assert shortened("happiness") == "happiness"
    assert shortened("what" * 9) == "whatwhatwhatwhatwhatw..."
    assert len(shortened("what" * 9)) == LONGEST
