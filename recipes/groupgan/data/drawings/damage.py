"""Damage to drawings: white slashes that cut strokes, black slashes that cross them.

Niu et al. 2022, section 4.6, restores sketches damaged so. How many slashes there are, how wide and
how long, the paper does not say; the defaults are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import pi

import torch
from torch import Tensor


@dataclass(frozen=True)
class Slashes:
    """How drawings are damaged. Ranges are from and to, both included.

    Attributes:
        white: How many slashes cut a drawing.
        black: How many cross it.
        white_width: Width of those that cut, in sides of the picture; a pixel at least.
        black_width: Width of those that cross, likewise.
        white_length: Length of those that cut, in sides of the picture.
        black_length: Length of those that cross, likewise.
    """

    white: tuple[int, int] = (3, 5)
    black: tuple[int, int] = (1, 3)
    white_width: tuple[float, float] = (0.04, 0.07)
    black_width: tuple[float, float] = (0.02, 0.035)
    white_length: tuple[float, float] = (0.15, 0.4)
    black_length: tuple[float, float] = (0.3, 0.6)

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = getattr(self, field.name)
            if not 0 <= low <= high:
                raise ValueError(f"{field.name} = ({low}, {high}) is not a range of what can be")


DEFAULT = Slashes()


def damaged(drawings: Tensor, generator: torch.Generator, slashes: Slashes = DEFAULT) -> Tensor:
    """Return the drawings slashed, (N, 1, S, S) in [-1, 1]; the input stays as it is.

    Each white slash runs through ink that is still there, so it takes some away; each black one
    runs through ink of the drawing. Of a blank drawing they run anywhere.

    Args:
        drawings: The drawings, (N, 1, S, S) floats in [-1, 1]: ink -1, paper 1.
        generator: Where the slashes are drawn from; the same state gives the same slashes.
        slashes: How many slashes, how wide and how long.
    """
    whole = ((1 - drawings) / 2).squeeze(1)
    whites = _count(slashes.white, whole, generator)
    blacks = _count(slashes.black, whole, generator)
    ink = whole
    for k in range(slashes.white[1]):
        slash = _slash(ink, slashes.white_width, slashes.white_length, generator)
        ink = ink * (1 - slash * (whites > k))
    for k in range(slashes.black[1]):
        slash = _slash(whole, slashes.black_width, slashes.black_length, generator)
        ink = torch.maximum(ink, slash * (blacks > k))
    return (1 - 2 * ink).unsqueeze(1)


def _slash(
    ink: Tensor, width: tuple[float, float], length: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """One straight slash through ink of each drawing (N, S, S): how far it covers each pixel."""
    side = ink.shape[-1]
    row, column = _aim(ink, generator)
    angle = _uniform((0, pi), ink, generator)
    thick = (side * _uniform(width, ink, generator)).clamp(min=1)
    long = side * _uniform(length, ink, generator)
    before = long * _uniform((0.25, 0.75), ink, generator)  # of it lies before the ink aimed at
    pixels = torch.arange(side, device=ink.device)
    down, right = pixels[:, None] - row, pixels - column
    along = right * angle.cos() + down * angle.sin()
    beside = down * angle.cos() - right * angle.sin()
    beyond = along - along.clamp(-before, long - before)
    distance = (beyond.square() + beside.square()).sqrt()
    return (thick / 2 + 0.5 - distance).clamp(0, 1)


def _aim(ink: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Row and column of one of the pixels of each drawing's darker ink, (N, 1, 1) each."""
    dark = ink >= ink.amax((1, 2), keepdim=True) / 2
    up_to = dark.flatten(1).cumsum(1)
    chosen = (up_to[:, -1] * _uniform((0, 1), ink, generator).flatten()).long()
    chosen = chosen.minimum(up_to[:, -1] - 1)  # 1 - ε times a number may round to the number
    pixel = torch.searchsorted(up_to, chosen[:, None], right=True)[..., None]
    return pixel // ink.shape[-1], pixel % ink.shape[-1]


def _count(bounds: tuple[int, int], like: Tensor, generator: torch.Generator) -> Tensor:
    """How many slashes each drawing gets, (N, 1, 1)."""
    low, high = bounds
    counts = torch.randint(low, high + 1, (len(like), 1, 1), generator=generator,
                           device=generator.device)  # fmt: skip
    return counts.to(like.device)


def _uniform(bounds: tuple[float, float], like: Tensor, generator: torch.Generator) -> Tensor:
    """A number for each drawing, (N, 1, 1)."""
    low, high = bounds
    drawn = torch.rand(len(like), 1, 1, generator=generator, device=generator.device)
    return (low + (high - low) * drawn).to(like.device)
