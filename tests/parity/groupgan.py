"""The networks of GroupGAN's parity games. They know nothing of nvn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FEATURES, CLASSES = 3, 3
# No biases before BatchNorm: their gradients are zero but for rounding, which Adam would blow up.


class Generator(nn.Module):
    """Encodes, takes F_exp in at the bottleneck, decodes: 6×6 → 6×6."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
        )
        self.decode = nn.Sequential(nn.ConvTranspose2d(4 + FEATURES, 1, 4, 2, 1), nn.Tanh())

    def forward(self, weak: Tensor, f: Tensor) -> Tensor:
        h = self.encode(weak)
        return self.decode(torch.cat([h, f[:, :, None, None].expand(-1, -1, 3, 3)], dim=1))


class Critic(nn.Module):
    """Convolution, then fully connected, F_exp as a condition: logits (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.Flatten()
        )
        self.judge = nn.Linear(36 + FEATURES, 1)

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        return self.judge(torch.cat([self.look(x), f], dim=1))


def extractor(outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, outputs),
    )
