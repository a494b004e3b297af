"""Numbers are their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from nvn_recipes.groupgan.data.pairs import Pairs, to_float
from nvn_recipes.groupgan.evaluation.numbers import (
    accuracy,
    computed_with,
    extrapolated,
    in_parts,
    ink_iou,
    psnr,
    ssim,
    undecided,
)

from tests.recipes.groupgan.evaluation.seen import Count, lighter, seeing


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


def test_a_mean_of_psnr_is_one_of_decibels() -> None:
    real = torch.zeros(2, 1, 4, 4)
    made = torch.stack([torch.full((1, 4, 4), error) for error in (0.2, 0.02)])
    assert psnr(made, real) == pytest.approx((20 + 40) / 2, abs=1e-4)  # 10·log10(4/0.04) = 20


def test_a_perfect_picture_does_not_make_all_others_count_for_nothing() -> None:
    real = torch.zeros(2, 1, 4, 4)
    made = torch.stack([real[0], torch.full((1, 4, 4), 0.2)])
    assert psnr(made, real) == pytest.approx((58.92 + 20) / 2, abs=1e-2)


def test_what_is_beyond_black_and_white_is_cut_off_before_it_is_compared() -> None:
    real = torch.full((1, 3, 16, 16), 0.8)
    assert psnr(real + 9, real) == psnr(torch.ones_like(real), real)
    assert ssim(real + 9, real) == ssim(torch.ones_like(real), real)


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_of_flat_pictures_is_its_formula(channels: int) -> None:
    real = torch.full((2, channels, 16, 16), 0.6)
    made = torch.full_like(real, 1.0)
    small = (0.01 * 2) ** 2
    by_hand = (2 * 0.6 * 1.0 + small) / (0.6**2 + 1.0**2 + small)
    assert ssim(made, real) == pytest.approx(by_hand, abs=1e-4)


def test_likeness_is_the_same_whatever_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    made, real = torch.rand(2, 5, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    whole = psnr(made, real), ssim(made, real)
    monkeypatch.setattr("nvn_recipes.groupgan.evaluation.numbers.AT_ONCE", 2 * 16 * 16)
    assert (psnr(made, real), ssim(made, real)) == pytest.approx(whole, abs=1e-5)


def test_ink_is_what_is_dark() -> None:
    made, real = torch.ones(2, 3, 1, 4, 4)
    made[0, :, :2], real[0, :, 1:3] = -1, -0.5  # 4 pixels of both, 12 of either
    made[1, :, 0] = -1  # ink where there is none
    assert ink_iou(made, real) == pytest.approx((4 / 12 + 0 + 1) / 3)


def test_undecided_is_what_is_gray_where_the_real_one_is_not() -> None:
    real = torch.tensor([-1.0, -1.0, 1.0, 1.0, 0.0, 0.8])
    made = torch.tensor([-0.7, -0.5, 0.0, 1.2, 0.0, 0.0])
    assert undecided(made, real) == 2 / 4


def test_a_value_is_computed_with_other_pictures() -> None:
    engine, weak, (made,) = seeing(lighter)
    pictures, bar = torch.rand(3, 1, 400, 400), Count(3)
    assert torch.equal(computed_with(engine, weak, made, pictures, bar), pictures + 0.4)
    assert bar.done == 3
