"""Pictures with something on them at every scale."""

from __future__ import annotations

import torch
from skimage.filters import gaussian
from torch import Tensor


def texture(seed: int = 0, side: int = 64) -> Tensor:
    """A picture (1, 1, side, side) uint8: noise, blurred a little, in the middle half of grays."""
    noise = torch.rand(side, side, generator=torch.Generator().manual_seed(seed)).numpy()
    smooth = torch.from_numpy(gaussian(noise, 1.0))
    spread = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (64 + 127 * spread).round().to(torch.uint8)[None, None]


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """The picture through a centrally symmetric point spread function."""
    found = gaussian(picture[0, 0].float().numpy(), sigma)
    return torch.from_numpy(found).round().to(torch.uint8)[None, None]


def agreement(one: Tensor, other: Tensor) -> float:
    """The share of codes that are the same."""
    return (one == other).double().mean().item()
