"""Accuracy, likeness and other numbers, of tensors or of what an engine computes.

Pictures are (N, C, H, W), C = 1 or 3, in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

import nvn

from ..data.pairs import Pairs, to_float

Pictures = Callable[[Tensor], Tensor]  # (N, C, H, W) → the same or (N, K) logits
AT_ONCE = 256 * 48 * 48  # pixels through a network at once
ROUNDED = 10 * math.log10(12 * 255**2)  # dB: 59; the noise of rounding to 8 bits, a step²/12


def _nobody(done: int) -> None:
    pass


def in_parts(fn: Pictures, pictures: Tensor, done: Callable[[int], None] = _nobody) -> Tensor:
    """Return `fn` of pictures (N, C, H, W), computed part by part; `done` hears how many."""
    parts = []
    for part in torch.split(pictures, max(1, AT_ONCE // pictures.shape[2:].numel())):
        parts.append(fn(part).cpu())
        done(len(part))
    return torch.cat(parts)


def computed_with(
    engine: nvn.Engine, given: nvn.Value, value: nvn.Value, pictures: Tensor, bar: nvn.Bar
) -> Tensor:
    """Return a value, computed with `pictures` (N, C, H, W) in the place of `given`.

    Args:
        engine: The engine of a game.
        given: A batch entry of the game.
        value: A value of the game that is computed from `given` alone.
        pictures: What to compute it with; all of them are never through a network at once.
        bar: Hears how many pictures are done.
    """

    def compute(part: Tensor) -> Tensor:
        result: Tensor = engine.values({str(given): part}, [value])[0].float()
        return result

    return in_parts(compute, pictures, bar.advance)


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Return the share of rows of logits (N, K) whose largest entry is at the label (N,)."""
    return (logits.argmax(dim=1) == labels).double().mean().item()


def psnr(made: Tensor, real: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB, the mean over pictures (N, C, H, W).

    What is made beyond [-1, 1] is cut off first, as it is when shown. A picture without any error
    would count as infinite, whatever the others are: none counts more than `ROUNDED`.
    """

    def decibels(made: Tensor, real: Tensor, **how: Any) -> Tensor:
        found: Tensor = peak_signal_noise_ratio(made, real, dim=(1, 2, 3), **how)
        return found.clamp(max=ROUNDED)

    return _mean_over_parts(made, real, decibels)


def ssim(made: Tensor, real: Tensor) -> float:
    """Return the structural similarity, from -1 to 1, the mean over pictures (N, C, H, W).

    With a Gaussian window of σ = 1.5 pixels, by Wang et al. 2004, "Image quality assessment: from
    error visibility to structural similarity".
    """
    return _mean_over_parts(made, real, structural_similarity_index_measure)


def _mean_over_parts(made: Tensor, real: Tensor, measure: Callable[..., Any]) -> float:
    """The mean over pictures of what torchmetrics says of each; never of all of them at once."""
    whole = torch.cat([made.clamp(-1, 1), real], dim=1)

    def measured(part: Tensor) -> Tensor:
        found: Tensor = measure(*part.chunk(2, dim=1), data_range=2.0, reduction="none")
        return found.reshape(len(part))

    return in_parts(measured, whole).double().mean().item()


def ink_iou(made: Tensor, real: Tensor) -> float:
    """Return how well the ink of two sketches (N, 1, H, W) agrees: the mean of |A ∩ B| / |A ∪ B|.

    Ink is what is darker than 0, the middle gray. Where neither sketch has any, they agree: 1.
    """
    here, there = (made < 0).flatten(1), (real < 0).flatten(1)
    both, either = (here & there).sum(dim=1), (here | there).sum(dim=1)
    return torch.where(either > 0, both / either.clamp(min=1), 1.0).mean().item()


def undecided(made: Tensor, real: Tensor) -> float:
    """Return how much of sketches (N, 1, H, W) is gray, a share of the pixels that should not be.

    Gray is what is within .6 of the middle gray; what should not be gray is beyond .9 of it in the
    real sketch. So ghosts of strokes count, and soft edges do not.
    """
    clear = real.abs() > 0.9
    return (made.abs() < 0.6)[clear].float().mean().item()


def extrapolated(pairs: Pairs, intensity: float) -> Tensor:
    """Return weak pictures (N, C, H, W) stretched away from their neutral ones.

    The baseline that needs no learning: neutral + (weak − neutral)/intensity, for the mean
    intensity of weak pictures. It is told the neutral face, which no network here ever sees.
    """
    neutral, weak = to_float(pairs.shown("neutral")), to_float(pairs.shown("weak"))
    return (neutral + (weak - neutral) / intensity).clamp(-1, 1)
