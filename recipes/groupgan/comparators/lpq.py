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


def lpq(
    pictures: Tensor, cells: int, *, window: int = 7, correlation: float | None = None
) -> Tensor:
    """Return LPQ features of pictures, (N, cells·cells·256) float32; a cell's sum to 1.

    The phase of the local Fourier transform F(u, x) = Σ_y f(x − y) e^{−2πi uᵀy}, y over M×M pixels,
    at the frequencies u = (a, 0), (0, a), (a, a), (a, −a), a = 1/M. The signs of the four real and
    the four imaginary parts g_j make a pixel's code, Σ_j [g_j ≥ 0] 2^(j − 1).

    Args:
        pictures: (N, C, H, W) uint8, C 1 or 3.
        cells: Parts a side of the grid.
        window: M, odd. Pixels nearer to the border than that reaches are left out.
        correlation: ρ, that of neighboring pixels, to decorrelate the coefficients by before
            their signs are taken (0.9 in the paper); None takes the signs as they are.

    Raises:
        ValueError: If the pictures are not such, or too small for the grid, or M is even.
    """
    codes = lpq_codes(pictures, window, correlation)
    return shares(histograms(codes, CODES, cells), CODES)


def lpq_codes(pictures: Tensor, window: int, correlation: float | None) -> Tensor:
    """Return the code of each pixel, (N, H − M + 1, W − M + 1), of pictures (N, C, H, W) uint8."""
    filters = fourier(window)
    if correlation is not None:
        filters = whitening(filters, correlation).T @ filters
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


def whitening(filters: Tensor, correlation: float) -> Tensor:
    """Return V, (8, 8): the coefficients Vᵀ W f_x are uncorrelated.

    Pixels at a distance d correlate by ρ^d, which is their covariance C; that of the coefficients
    is D = W C Wᵀ, and V its eigenvectors, the largest variance first. Several variances are equal,
    which would leave V undetermined: the paper scales the coefficients by numbers close to 1 that
    tell them apart, and so is it done here.

    Args:
        filters: W, (8, M·M) float64.
        correlation: ρ.
    """
    side = math.isqrt(filters.shape[1])
    places = torch.cartesian_prod(*[torch.arange(side, dtype=torch.float64)] * 2)
    pixels = torch.pow(correlation, torch.cdist(places, places))
    apart = 1 + 1e-6 * torch.arange(len(filters) - 1, -1, -1, dtype=torch.float64)
    covariance = apart[:, None] * (filters @ pixels @ filters.T) * apart
    vectors: Tensor = torch.linalg.eigh(covariance).eigenvectors.flip(1)
    # Eigenvectors have no sign of their own: let the largest entry be positive.
    largest = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True))
    return vectors * largest.sign()
