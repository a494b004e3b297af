"""Edge orientation histograms, against edges drawn by hand, and what they do not see."""

from __future__ import annotations

import math

import pytest
import torch
from nvn_recipes.groupgan.comparators.eoh import edges, eoh

from tests.recipes.groupgan.comparators.textures import texture


def ramp(right: int, down: int, side: int = 12) -> torch.Tensor:
    """A picture (1, 1, side, side) that brightens by so much a pixel."""
    place = torch.arange(side)
    levels = 128 + right * (place - side // 2) + down * (place - side // 2)[:, None]
    return levels.to(torch.uint8)[None, None]


@pytest.mark.parametrize(
    ("right", "down", "angle"),
    [(3, 0, 0), (-3, 0, 0), (0, 3, 90), (0, -3, 90), (3, 3, 45), (-3, -3, 45), (3, -3, 135)],
)
def test_the_orientation_of_a_ramp(right: int, down: int, angle: int) -> None:
    strength, found = edges(ramp(right, down))
    assert torch.allclose(strength, torch.tensor(8 * math.hypot(right, down)))
    assert torch.allclose(found, torch.tensor(math.radians(angle)), atol=1e-5)


def test_one_edge_by_hand() -> None:
    found = eoh(ramp(2, 0, side=6), 2, bins=4)
    strength = 4 * 16  # of a cell of 2×2 pixels, (6 − 2)/2 a side
    cell = [(strength + 1) / (strength + 4)] + [1 / (strength + 4)] * 3
    assert found.view(4, 4).tolist() == [pytest.approx(cell)] * 4


def test_where_nothing_is_all_orientations_are_alike() -> None:
    assert eoh(torch.zeros(1, 3, 9, 9, dtype=torch.uint8), 1).tolist() == [[1 / 8] * 8]


def test_brightness_changes_nothing() -> None:
    assert torch.equal(eoh(texture() + 50, 4), eoh(texture(), 4))


def test_contrast_changes_next_to_nothing() -> None:
    dull = texture() // 2
    assert torch.allclose(eoh(dull * 2, 4), eoh(dull, 4), atol=5e-3)


def test_a_negative_has_the_same_edges() -> None:
    assert torch.equal(eoh(255 - texture(), 4), eoh(texture(), 4))


def test_a_mirror_exchanges_rising_and_falling_edges() -> None:
    seen = texture()
    mirrored = eoh(seen.flip(3), 1, bins=2)  # θ → π − θ: the halves of the half circle
    assert torch.allclose(mirrored, eoh(seen, 1, bins=2).flip(1), atol=0.05)
    assert eoh(seen, 1, bins=2).sum().item() == pytest.approx(1)
