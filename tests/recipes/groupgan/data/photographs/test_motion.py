"""The motion between two pictures, found where it is known."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from nvn_recipes.groupgan.data.photographs.cropping import Box
from nvn_recipes.groupgan.data.photographs.motion import (
    Pose,
    Window,
    before,
    flow,
    grid,
    head_pose,
    window,
)
from PIL import Image
from torch import Tensor

from nvn.errors import ConfigError


def texture(side: int) -> Tensor:
    """A smooth picture without repetition, (3, side, side)."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(1, 3, 12, 12, generator=generator)
    return torch.nn.functional.interpolate(rough, side, mode="bicubic", align_corners=False)[0]


def turned(angle: float, scale: float, shift: tuple[float, float]) -> Pose:
    """A similarity about the middle of the window."""
    turn = scale * torch.tensor(
        [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    )
    middle = torch.tensor([0.5, 0.5])
    return Pose(torch.cat([turn, (middle - turn @ middle + torch.tensor(shift))[:, None]], dim=1))


def test_a_window_shows_the_pixels_of_its_box() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    seen = window(Image.fromarray(noise), Box(6, 4, 8), 8).at(grid(8))
    assert torch.allclose(seen.permute(1, 2, 0) * 255, torch.from_numpy(noise[4:12, 6:14]).float())


def test_a_window_is_scaled() -> None:
    image = Image.new("RGB", (90, 60), (255, 0, 0))
    seen = window(image, Box(0, 0, 60), 24)
    assert seen.photo.shape == (3, 24, 36)
    assert torch.allclose(seen.at(grid(24)), torch.tensor([1.0, 0, 0])[:, None, None], atol=1e-6)


@pytest.mark.parametrize("size", [(10_000, 1), (1, 10_000), (900, 30)])
def test_of_a_thin_photograph_only_what_is_near_is_kept(size: tuple[int, int]) -> None:
    ramp = Image.linear_gradient("L").resize(size).convert("RGB")
    side = min(size)
    box = Box((size[0] - side) / 2, (size[1] - side) / 2, side)
    seen = window(ramp, box, 48)
    assert seen.photo.shape[1] * seen.photo.shape[2] <= 12 * 48 * 48
    middle = ramp.getpixel((size[0] // 2, size[1] // 2))[0] / 255
    assert abs(seen.at(grid(9))[0, 4, 4] - middle) < 0.05
    everywhere = window(ramp, Box(0, 0, max(size)), 48)
    assert min(everywhere.photo.shape) >= 1


def test_past_its_edges_a_photograph_goes_on() -> None:
    seen = Window(texture(16), top=-8, left=0, side=16).at(grid(16))
    assert torch.allclose(seen[:, 0], seen[:, 7], atol=0.02)


def test_a_shift_is_found() -> None:
    pytest.importorskip("skimage")
    whole = Window(texture(64), 0, 0, 64)
    still, moved = (
        whole.at(grid(64)),
        whole.at(grid(64) - torch.tensor([3, -2])[:, None, None] / 64),
    )
    found = flow(still, moved)[:, 16:48, 16:48].flatten(1).mean(dim=1) * 64
    assert found.tolist() == pytest.approx([3, -2], abs=0.2)


def test_the_pose_of_a_head_is_found_in_spite_of_what_else_moves() -> None:
    pytest.importorskip("skimage")
    pose, places = turned(0.05, 1.02, (0.01, -0.03)), grid(64)
    motion = pose(places) - places
    motion[:, 24:, :20] += 0.1  # a third of the part that is looked at
    found = head_pose(motion, (slice(10, 40), slice(0, 64)))
    assert torch.allclose(found.matrix, pose.matrix, atol=1e-3)


def test_going_back_along_a_motion_undoes_it() -> None:
    places = grid(32)
    motion = 0.05 * torch.stack([torch.sin(6 * places[1]), torch.cos(6 * places[0])])
    begun = before(places, motion, 0.7)
    looked = torch.nn.functional.grid_sample(
        motion[None], (2 * begun.flip(0) - 1).permute(1, 2, 0)[None], align_corners=False,
        padding_mode="border",
    )[0]  # fmt: skip
    assert torch.allclose(begun + 0.7 * looked, places, atol=1e-3)
    assert torch.equal(before(places, motion, 0.0), places)


def test_without_scikit_image_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    missing: Any = None
    monkeypatch.setitem(sys.modules, "skimage.registration", missing)
    with pytest.raises(ConfigError, match=r'scikit-image.*pip install -e "\.\[recipes\]" in '):
        flow(texture(8), texture(8))
