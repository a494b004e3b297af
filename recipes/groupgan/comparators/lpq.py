"""Local phase quantization: in which quadrant the phase of low frequencies lies around a pixel.

Ojansivu and Heikkilä (2008), "Blur insensitive texture classification using local phase
quantization", ICISP, LNCS 5099. A blur whose point spread function is centrally symmetric has a
real Fourier transform, positive at low frequencies: it changes amplitudes, and no phase.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .cells import gray, histograms, shares

CODES = 256
NOUGHT = 1e-2  # gray levels: a coefficient that is zero but for rounding counts as ≥ 0


def lpq(pictures: Tensor, cells: int, *, window: int = 7) -> Tensor:
    """Return LPQ features of pictures, (N, cells·cells·256) float32; a cell's sum to 1.

    The phase of the local Fourier transform F(u, x) = Σ_y f(x − y) e^{−2πi uᵀy}, y over M×M pixels,
    at the frequencies u = (a, 0), (0, a), (a, a), (a, −a), a = 1/M. The signs of the four real and
    the four imaginary parts g_j make a pixel's code, Σ_j [g_j ≥ 0] 2^(j − 1). (The paper may
    decorrelate the coefficients first; here they are taken as they are.)

    Args:
        pictures: (N, C, H, W) uint8, C 1 or 3.
        cells: Parts a side of the grid.
        window: M, odd. Pixels nearer to the border than that reaches are left out.

    Raises:
        ValueError: If the pictures are not such, or too small for the grid, or M is even.
    """
    return shares(histograms(lpq_codes(pictures, window), CODES, cells), CODES)


def lpq_codes(pictures: Tensor, window: int) -> Tensor:
    """Return the code of each pixel, (N, H − M + 1, W − M + 1), of pictures (N, C, H, W) uint8."""
    filters = fourier(window)
    # No filter sees a constant, and small numbers are rounded less.
    levels = gray(pictures)[:, None].float() - 128
    found = F.conv2d(levels, filters.view(-1, 1, window, window).float())
    powers = 2 ** torch.arange(len(filters)).view(-1, 1, 1)
    return ((found >= -NOUGHT) * powers).sum(dim=1)


def fourier(window: int) -> Tensor:
    """Return W, (8, M·M) float64: F = W f_x for the pixels f_x around x, row by row.

    The rows are the real parts at the four frequencies, then the imaginary parts.

    Raises:
        ValueError: If M is even, or less than 3.
    """
    if window < 3 or window % 2 == 0:
        raise ValueError(f"window = {window}: expected an odd number from 3 up")
    reach = window // 2
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    down, right = torch.meshgrid(offsets, offsets, indexing="ij")
    turns = torch.stack([right, down, right + down, right - down]).flatten(1) / window
    # The pixel at offset o from x is f(x − y) for y = −o, so the sign of the exponent is turned.
    angles = 2 * math.pi * turns
    return torch.cat([angles.cos(), angles.sin()])
