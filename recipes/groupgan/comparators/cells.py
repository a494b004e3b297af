"""What the hand-crafted features share: gray pictures, and histograms over a grid of cells.

Letters: N pictures of C channels and H×W pixels; Y×X pixels that have a code; B codes.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue appear


def gray(pictures: Tensor) -> Tensor:
    """Return gray levels (N, H, W) uint8 of pictures (N, C, H, W) uint8, C 1 or 3.

    Whole numbers, so that equal levels stay equal.

    Raises:
        ValueError: If the pictures are not such.
    """
    channels = pictures.shape[1] if pictures.ndim == 4 else 0
    if channels not in (1, len(LUMA)) or pictures.dtype != torch.uint8:
        found = f"{tuple(pictures.shape)} {pictures.dtype}"
        raise ValueError(f"expected pictures (N, 1 or 3, H, W) uint8, found {found}")
    if channels == 1:
        return pictures[:, 0]
    weights = torch.tensor(LUMA).view(1, -1, 1, 1)
    return (pictures * weights).sum(dim=1).round().to(torch.uint8)


def histograms(codes: Tensor, bins: int, cells: int, weights: Tensor | None = None) -> Tensor:
    """Return the histogram of each of cells×cells parts of a map of codes, one after the other.

    Args:
        codes: (N, Y, X), whole numbers from 0 to B − 1.
        bins: B.
        cells: Parts a side; they differ by a pixel where the side is no multiple.
        weights: How much each pixel counts, (N, Y, X); all alike if None.

    Returns:
        (N, cells·cells·B) float32: rows of cells first, then cells in a row, then codes.

    Raises:
        ValueError: If a cell would be without pixels.
    """
    rows, columns = (_parts(side, cells) for side in codes.shape[1:])
    places = ((rows[:, None] * cells + columns) * bins + codes.long()).flatten(1)
    counted = torch.ones(places.shape) if weights is None else weights.flatten(1).float()
    empty = torch.zeros(len(codes), cells * cells * bins)
    return empty.scatter_add_(1, places, counted)


def shares(counts: Tensor, bins: int, doubt: float = 0.0) -> Tensor:
    """Return histograms (N, F) with each cell's B entries divided by their sum.

    Args:
        counts: Histograms, one after the other, (N, F), F a multiple of B.
        bins: B.
        doubt: ε, added to each entry and to the sum: what is hardly there tells nothing. In a cell
            without any weight, and without doubt, all entries stay zero.
    """
    each = counts.reshape(len(counts), -1, bins) + doubt
    total = each.sum(dim=2, keepdim=True)
    return (each / total.clamp(min=torch.finfo(total.dtype).tiny)).flatten(1)


def _parts(side: int, cells: int) -> Tensor:
    """Return in which of `cells` parts each of `side` pixels lies."""
    if not 1 <= cells <= side:
        raise ValueError(f"{side} pixels a side cannot be cut into {cells} cells")
    return torch.arange(side) * cells // side
