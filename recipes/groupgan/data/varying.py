"""Pictures of one face as other cameras, lamps and distances would show it.

Where photographs are few, what is learned must not depend on how they were taken. A pair is varied
as one: weak face and peak stay aligned, and under one light.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate

# At strength 1: standard deviations, but for the first two, which are the largest.
BLURRED = 0.7  # how much of a picture is its blurred self
NOISE = 0.04  # of each value, in units of [-1, 1]
GAMMA = 0.35  # of the logarithm of the exponent
GAIN = 0.15  # of the logarithm of the contrast
TINT = 0.08  # the same of each color
LEVEL = 0.12  # of brightness, in units of [-1, 1]
SLOPE = 0.2  # of the change of brightness from the middle to an edge
PALE = 0.4  # of how much farther from gray colors are
TURN = 0.08  # radians
SIZE = 0.09  # of the logarithm of the scale
SHIFT = 0.05  # of half a picture
BEND = 0.015  # of half a picture: how far places are moved, as if the face had another shape
BENDS = 4  # places along each side that are moved independently


@dataclass(frozen=True)
class Variation:
    """How N pictures are seen, the same for all that N pairs consist of.

    Attributes:
        gamma: Exponents of light, (N, 1, 1, 1).
        gain: Contrasts by color, (N, 3, 1, 1).
        level: Added to all, (N, 1, 1, 1).
        slope: What is added to the right and lower edge, and taken off the others, (N, 2).
        color: How far colors are from gray, of what they were, (N, 1, 1, 1).
        blurred: How much of each picture is blurred, (N, 1, 1, 1), from 0 to 1.
        noise: Standard deviation of what is added to each value, (N, 1, 1, 1).
        places: Where each picture is looked at, (N, 2, 3).
        bent: How far a few places, evenly spread, are moved from there, (N, 2, BENDS, BENDS).
        seed: Of the noise.
    """

    gamma: Tensor
    gain: Tensor
    level: Tensor
    slope: Tensor
    color: Tensor
    blurred: Tensor
    noise: Tensor
    places: Tensor
    bent: Tensor
    seed: int

    @classmethod
    def drawn(cls, count: int, strength: float, generator: torch.Generator) -> Variation:
        """Draw variations of `count` pictures; with strength 0 nothing varies."""

        def normal(deviation: float, *shape: int) -> Tensor:
            return strength * deviation * torch.randn(count, *shape, generator=generator)

        def uniform(most: float) -> Tensor:
            return strength * most * torch.rand(count, 1, 1, 1, generator=generator)

        return cls(
            gamma=normal(GAMMA, 1, 1, 1).exp(),
            gain=(normal(GAIN, 1, 1, 1) + normal(TINT, 3, 1, 1)).exp(),
            level=normal(LEVEL, 1, 1, 1),
            slope=normal(SLOPE, 2),
            color=(1 + normal(PALE, 1, 1, 1)).clamp(min=0),
            blurred=uniform(BLURRED).clamp(max=1),
            noise=uniform(NOISE),
            places=_places(normal(TURN), normal(SIZE).exp(), normal(SHIFT, 2)),
            bent=normal(BEND, 2, BENDS, BENDS),
            seed=int(torch.randint(2**62, (), generator=generator)),
        )

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return pictures (N, 3, H, W) in [-1, 1], varied; past its edges a picture goes on."""
        height, width = pictures.shape[2:]
        where = affine_grid(self.places, list(pictures.shape), align_corners=False)
        bent = interpolate(self.bent, (height, width), mode="bicubic", align_corners=True)
        where = where + bent.permute(0, 2, 3, 1)
        seen = grid_sample(pictures, where, padding_mode="border", align_corners=False)
        blurred = avg_pool2d(seen, 3, 1, 1, count_include_pad=False)
        seen = torch.lerp(seen, blurred, self.blurred)
        gray = seen.mean(dim=1, keepdim=True)
        seen = (gray + self.color * (seen - gray)).clamp(-1, 1)
        lit = 2 * ((seen + 1) / 2) ** self.gamma - 1
        lit = self.gain * lit + self.level + self._slopes(height, width)
        return (lit + self._grain(lit)).clamp(-1, 1)

    def _slopes(self, height: int, width: int) -> Tensor:
        down = torch.linspace(-1, 1, height)[:, None] * self.slope[:, 0, None, None]
        across = torch.linspace(-1, 1, width) * self.slope[:, 1, None, None]
        return (down + across)[:, None]

    def _grain(self, pictures: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return self.noise * torch.randn(pictures.shape, generator=generator)


def _places(turn: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The similarities (N, 2, 3) of turns (N,), scales (N,) and shifts (N, 2)."""
    cosine, sine = scale * turn.cos(), scale * turn.sin()
    rows = [
        torch.stack([cosine, -sine, shift[:, 0]], 1),
        torch.stack([sine, cosine, shift[:, 1]], 1),
    ]
    return torch.stack(rows, 1)
