"""Local binary patterns, against codes found by hand, and what they do not see."""

from __future__ import annotations

import sys

import pytest
import torch
from nvn_recipes.groupgan.comparators.lbp import lbp, lbp_codes

from nvn.errors import ConfigError
from tests.recipes.groupgan.comparators.textures import texture


def picture(*rows: list[int]) -> torch.Tensor:
    return torch.tensor([rows], dtype=torch.uint8)[None]


def test_features_are_shares_of_uniform_patterns() -> None:
    found = lbp(texture(), 3)
    assert found.shape == (1, 3 * 3 * 59)
    assert torch.allclose(found.view(9, 59).sum(dim=1), torch.ones(9))


def test_a_flat_picture_has_one_code_everywhere() -> None:
    # All neighbors are at least as bright: the last of the uniform patterns but one bin.
    found = lbp(torch.full((1, 1, 8, 8), 93, dtype=torch.uint8), 1, points=4, radius=1)
    assert found.tolist() == [[0.0] * 13 + [1.0, 0.0]]


def test_four_neighbors_by_hand() -> None:
    dark, bright = ([5, 9, 5], [9, 7, 9], [5, 9, 5]), ([9, 5, 9], [5, 7, 5], [9, 5, 9])
    assert lbp_codes(picture(*dark), 4, 1).tolist() == [[[13]]]  # all brighter
    assert lbp_codes(picture(*bright), 4, 1).tolist() == [[[0]]]  # none
    opposite = ([0, 9, 0], [1, 7, 1], [0, 9, 0])
    assert lbp_codes(picture(*opposite), 4, 1).tolist() == [[[14]]]  # four changes: not uniform


def test_monotone_changes_of_gray_levels_change_nothing() -> None:
    seen = texture() // 4
    jumps = torch.randint(1, 6, (64,), generator=torch.Generator().manual_seed(0))
    changed = jumps.cumsum(0)[seen.long()].to(torch.uint8)
    assert len(changed.unique()) == len(seen.unique()) > 20
    assert torch.equal(lbp(changed, 4, points=4), lbp(seen, 4, points=4))


def test_linear_changes_change_nothing_with_interpolated_neighbors_either() -> None:
    dark = (texture() // 2).to(torch.uint8)
    assert torch.equal(lbp(dark * 2 + 3, 4), lbp(dark, 4))


def test_the_border_is_left_out() -> None:
    seen = texture(side=20)
    framed = seen.clone()
    codes = lbp_codes(seen, 8, 2)
    assert codes.shape == (1, 16, 16)
    framed[..., 0, :] = 0  # only the circles of the first row reach it
    assert torch.equal(lbp_codes(framed, 8, 2)[:, 1:], codes[:, 1:])


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(ConfigError, match=r'scikit-image.*pip install -e "\.\[recipes\]" in '):
        lbp(texture(), 2)
