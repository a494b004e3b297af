"""Local binary patterns: which neighbors are at least as bright as a pixel.

Ojala, Pietikäinen and Mäenpää (2002), "Multiresolution gray-scale and rotation invariant texture
classification with local binary patterns", IEEE TPAMI 24; over a grid of cells as on faces by
Ahonen, Hadid and Pietikäinen (2006), IEEE TPAMI 28, and on expressions by Shan, Gong and McOwan
(2009), Image and Vision Computing 27.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

import nvn

from .cells import gray, histograms, shares


def lbp(pictures: Tensor, cells: int, *, points: int = 8, radius: int = 2) -> Tensor:
    """Return LBP^{u2} features of pictures, (N, cells·cells·B) float32.

    A pixel's code is Σ_p s(g_p − g_c) 2^p over P neighbors g_p on a circle of R pixels around it,
    s(x) = 1 where x ≥ 0. Patterns with at most two changes around the circle ("uniform") have a
    bin each, the others share one: B = P(P − 1) + 3. Pixels nearer to the border than R have no
    circle, and are left out. The features of a cell sum to 1.

    Args:
        pictures: (N, C, H, W) uint8, C 1 or 3.
        cells: Parts a side of the grid.
        points: P. With 4, no neighbor is interpolated, and codes survive any monotone change of
            gray levels; with more, any linear one.
        radius: R, in pixels.

    Raises:
        ConfigError: If scikit-image is not installed.
        ValueError: If the pictures are not such, or too small for the grid.
    """
    bins = points * (points - 1) + 3
    return shares(histograms(lbp_codes(pictures, points, radius), bins, cells), bins)


def lbp_codes(pictures: Tensor, points: int, radius: int) -> Tensor:
    """Return the code of each pixel, (N, H − 2R, W − 2R) int64, of pictures (N, C, H, W) uint8."""
    feature = nvn.packages.needed("skimage.feature", "local binary patterns")
    # "nri_uniform" is the u2 of the papers: uniform, not made invariant to rotation.
    coded = partial(feature.local_binary_pattern, P=points, R=radius, method="nri_uniform")
    codes = np.stack([coded(levels) for levels in gray(pictures).numpy()]).astype(np.int64)
    return torch.from_numpy(codes)[:, radius:-radius, radius:-radius]
