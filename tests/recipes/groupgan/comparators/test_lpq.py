"""Local phase quantization, against transforms found by hand, and what it does not see."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from nvn_recipes.groupgan.comparators.lbp import lbp_codes
from nvn_recipes.groupgan.comparators.lpq import lpq, lpq_codes

from tests.recipes.groupgan.comparators.textures import agreement, blurred, texture


def code_by_hand(window: torch.Tensor) -> int:
    """The code of the middle of a window (M, M), from the definition of the transform."""
    side = len(window)
    reach, a = side // 2, 1 / side
    found = []
    for u, v in ((a, 0), (0, a), (a, a), (a, -a)):
        total = 0j
        for right in range(-reach, reach + 1):
            for down in range(-reach, reach + 1):
                level = window[reach - down, reach - right].item()  # f(x − y)
                total += level * cmath.exp(-2j * math.pi * (u * right + v * down))
        found.append(total)
    parts = [z.real for z in found] + [z.imag for z in found]
    return sum((part >= 0) << j for j, part in enumerate(parts))


@pytest.mark.parametrize("side", [3, 5, 7])
def test_codes_are_those_of_the_definition(side: int) -> None:
    seen = texture(side=12)
    codes = lpq_codes(seen, side)
    assert codes.shape == (1, 13 - side, 13 - side)
    for row, column in ((0, 0), (3, 1), (5, 5)):
        window = seen[0, 0, row : row + side, column : column + side]
        assert codes[0, row, column] == code_by_hand(window)


def test_features_are_shares() -> None:
    found = lpq(torch.cat([texture(), texture(1)]), 2)
    assert found.shape == (2, 2 * 2 * 256)
    assert torch.allclose(found.view(-1, 256).sum(dim=1), torch.ones(8))
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("level", [0, 93, 255])
def test_where_nothing_is_all_signs_are_positive(level: int) -> None:
    flat = torch.full((1, 3, 9, 9), level, dtype=torch.uint8)
    assert (lpq_codes(flat, 7) == 255).all()


def test_stripes_have_one_code_along_themselves() -> None:
    # One frequency sees nothing at all along them: rounding must not decide.
    stripes = texture(side=32)[..., :1, :].expand(1, 1, 32, 32)
    codes = lpq_codes(stripes, 7)
    assert torch.equal(codes, codes[:, :1].expand_as(codes))
    assert len(codes.unique()) > 2


def test_uniform_changes_of_illumination_change_nothing() -> None:
    seen = texture() // 2
    plain = lpq_codes(seen, 7)
    assert torch.equal(lpq_codes(seen + 40, 7), plain)
    assert agreement(lpq_codes(seen * 2, 7), plain) > 0.995


@pytest.mark.parametrize("seed", range(20))
def test_in_a_window_that_holds_all_a_symmetric_blur_changes_no_phase(seed: int) -> None:
    seen = texture(seed, side=15)
    # Around the edges, as the transform sees it; [1, 2, 1]/4 is positive at low frequencies.
    dull = seen.double()
    for axis in (2, 3):
        dull = (dull.roll(1, axis) + 2 * dull + dull.roll(-1, axis)) / 4
    assert torch.equal(lpq_codes(dull.round().byte(), 15), lpq_codes(seen, 15))


@pytest.mark.parametrize("seed", range(3))
def test_a_symmetric_blur_leaves_most_codes_and_far_more_than_of_binary_patterns(seed: int) -> None:
    seen = texture(seed)
    dull = blurred(seen, 0.7)
    phases = agreement(lpq_codes(dull, 7), lpq_codes(seen, 7))
    patterns = agreement(lbp_codes(dull, 8, 1), lbp_codes(seen, 8, 1))
    assert phases > 0.7
    assert phases > patterns + 0.15


def test_each_sign_alone_survives_blur() -> None:
    seen = texture()
    changed = lpq_codes(blurred(seen, 0.7), 7) ^ lpq_codes(seen, 7)
    for bit in range(8):
        assert ((changed >> bit) & 1).double().mean() < 0.06


@pytest.mark.parametrize("window", [0, 1, 4])
def test_a_window_has_a_middle(window: int) -> None:
    with pytest.raises(ValueError, match="odd number from 3"):
        lpq(texture(), 2, window=window)
