"""What networks do to pictures before and after their layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS = 3  # of a picture, unless a network is told otherwise


def standardized(pictures: Tensor) -> Tensor:
    """Return pictures (N, C, H, W), each with mean 0 and variance 1."""
    return nn.functional.layer_norm(pictures, pictures.shape[1:])


def moved(pictures: Tensor, flow: Tensor) -> Tensor:
    """Return pictures (N, C, H, W), each pixel taken from where its flow (N, 2, H, W) points.

    A flow of 1 is half a picture, to the right or down; beyond the edge, the edge goes on.
    """
    height, width = pictures.shape[2:]
    down, right = (
        torch.linspace(-1 + 1 / n, 1 - 1 / n, n, dtype=flow.dtype, device=flow.device)
        for n in (height, width)
    )
    here = torch.stack(torch.meshgrid(right, down, indexing="xy"), dim=-1)
    there = here + flow.permute(0, 2, 3, 1)
    return nn.functional.grid_sample(pictures, there, padding_mode="border", align_corners=False)
