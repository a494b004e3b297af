"""Edge orientation histograms: how much edge of each orientation is in a cell.

Levi and Weiss (2004), "Learning object detection from a small number of examples: the importance of
good features", CVPR; their dominant orientation features, over a grid of cells.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .cells import gray, histograms, shares

SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
DOUBT = 1.0  # ε, in gray levels: far below any edge, far above rounding


def eoh(pictures: Tensor, cells: int, *, bins: int = 8) -> Tensor:
    """Return EOH features of pictures, (N, cells·cells·K) float32.

    With the gradient (G_x, G_y) by Sobel's masks, an edge has the strength √(G_x² + G_y²) and the
    orientation θ = atan(G_y / G_x), whichever side is brighter. E_k is the strength of all edges of
    a cell whose θ is in the k-th of K equal parts of the half circle, that begin at 0; the features
    are (E_k + ε) / Σ_i (E_i + ε). Neither a change of brightness nor, but for ε, one of contrast
    alters them. Pixels at the border have no gradient, and are left out.

    Args:
        pictures: (N, C, H, W) uint8, C 1 or 3.
        cells: Parts a side of the grid.
        bins: K.

    Raises:
        ValueError: If the pictures are not such, or too small for the grid.
    """
    strength, angle = edges(pictures)
    part = (angle * bins / math.pi).long().clamp(max=bins - 1)
    return shares(histograms(part, bins, cells, strength), bins, DOUBT)


def edges(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return the strengths and the orientations in [0, π) of edges, (N, H − 2, W − 2) each."""
    levels = gray(pictures)[:, None].float()
    right, down = F.conv2d(levels, torch.stack([SOBEL, SOBEL.T])[:, None]).unbind(dim=1)
    # Turned to the upper half first: then both sides of an edge fall into the same part exactly.
    lower = (down < 0) | ((down == 0) & (right < 0))
    turn = torch.where(lower, -1.0, 1.0)
    return torch.hypot(right, down), torch.atan2(turn * down, turn * right)
