"""D and D′ (Niu et al. 2022, section 3.3), at any width.

Letters: N pictures of C channels and H×W pixels, H = W = size; F features of an expression.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .generator import told
from .pictures import CHANNELS


class Critic(nn.Module):
    """D, D′: VGG-like, strided convolutions then dense layers; features are a condition."""

    def __init__(
        self, widths: Sequence[int], features: int, size: int, channels: int = CHANNELS
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in zip([channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        side = size // 2 ** len(widths)
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.dense = nn.Sequential(
            nn.Linear(widths[-1] * side * side + features, 128),
            nn.LeakyReLU(0.2),
            nn.Linear(128, 1),
        )

    def forward(self, pictures: Tensor, features: Tensor | None = None) -> Tensor:
        """Return logits (N, 1) of pictures (N, C, H, W), given features (N, F): high for real."""
        x = self.convolutions(pictures)
        logits: Tensor = self.dense(x if features is None else torch.cat([x, features], dim=1))
        return logits


class PatchCritic(nn.Module):
    """D, D′ for drawings: how real each part of a picture is, not how real the whole is.

    Whether a stroke is one, or a ghost of it, is seen in 22 pixels around it. So a picture gives
    many judgments, and a critic learns in a hundred steps (Isola et al. 2017, section 3.2.2).
    """

    def __init__(self, widths: Sequence[int], features: int, channels: int = CHANNELS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in zip([channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Conv2d(widths[-1] + features, 64, 1), nn.LeakyReLU(0.2), nn.Conv2d(64, 1, 1)
        )

    def forward(self, pictures: Tensor, features: Tensor | None = None) -> Tensor:
        """Return logits (N, 1, h, w) of parts of pictures (N, C, H, W), given features (N, F)."""
        logits: Tensor = self.dense(told(self.convolutions(pictures), features))
        return logits


def critic_widths(width: int) -> list[int]:
    """Return the channels of the convolutions of D and D′, from those of the first."""
    return [width * times for times in (1, 2, 3, 3)]
