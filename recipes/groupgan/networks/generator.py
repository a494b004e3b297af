"""G (Niu et al. 2022, section 3.3), at any width; and one of our own, for drawings.

Letters: N pictures of C channels and H×W pixels, in [-1, 1], H and W multiples of 8; F features of
an expression.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .pictures import CHANNELS, moved

FLOW = 2  # channels: right, down


class Generator(nn.Module):
    """G: four convolutions (7, 5, 3, 3), each with a residual block; four transposed ones back.

    The first three halve the picture. The features of the expression enter at the bottleneck.

    With `residual=True` the network edits its input instead of painting a picture: it moves pixels
    along a flow, as muscles do, and adds what no moving can bring forth, such as teeth. Its decoder
    then sees the encoder's outputs (skips), and at the start it changes nothing.
    """

    def __init__(
        self, width: int, features: int, *, residual: bool, channels: int = CHANNELS
    ) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.residual = residual
        self.channels = channels
        self.encoder = nn.ModuleList(
            nn.Sequential(_convolution(a, b, kernel, stride), ResidualBlock(b))
            for a, b, kernel, stride in zip(
                [channels, *widths], widths, (7, 5, 3, 3), (2, 2, 2, 1), strict=False
            )
        )
        outs = [4 * width, 2 * width, width, width]
        skipped = [0, 4 * width, 2 * width, width] if residual else [0, 0, 0, 0]
        ins = [8 * width + features, *outs[:3]]
        self.decoder = nn.ModuleList(
            _transposed(a + skip, b, stride)
            for a, skip, b, stride in zip(ins, skipped, outs, (1, 2, 2, 2), strict=True)
        )
        self.last = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, channels + FLOW if residual else channels, 3, padding=1),
        )
        if residual:
            for parameter in self.last[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor, features: Tensor | None = None) -> Tensor:
        """Return pictures (N, C, H, W), made from pictures and features (N, F) of an expression."""
        encoded = [pictures]
        for stage in self.encoder:
            encoded.append(stage(encoded[-1]))
        x = told(encoded.pop(), features)
        for number, stage in enumerate(self.decoder):
            if self.residual and number > 0:
                x = torch.cat([x, encoded.pop()], dim=1)
            x = stage(x)
        x = self.last(x)
        if not self.residual:
            return torch.tanh(x)
        change, flow = x.split([self.channels, FLOW], dim=1)
        edited: Tensor = moved(pictures, flow) + change
        return edited


class FineGenerator(nn.Module):
    """G for strokes of a few pixels: it works at the picture's own resolution, and at four below.

    Whether a stroke is a drawing's or a slash shows in its edges, which the published G has halved
    away before its second layer. Here five stages lead down (a convolution of 5, then four of 3
    that halve the picture, each with a residual block), the features enter at the bottom, and four
    stages lead up, each of which adds what was seen on the way down (H and W: multiples of 16).

    The picture is tanh(change + 2·picture): what is not touched stays ink or paper.
    """

    def __init__(self, width: int, features: int, *, channels: int = CHANNELS) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 6 * width, 8 * width]
        steps = list(pairwise(widths))
        self.first = _convolution(channels, width, 5, 1)
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(a, b, 3, 2), ResidualBlock(b)) for a, b in steps
        )
        bottom = widths[-1]
        self.middle = nn.Sequential(
            _convolution(bottom + features, bottom, 3, 1), ResidualBlock(bottom)
        )
        self.up = nn.ModuleList(_transposed(b, a, 2) for a, b in reversed(steps))
        self.join = nn.ModuleList(ResidualBlock(a) for a, _ in reversed(steps))
        self.last = nn.Conv2d(width, channels, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor, features: Tensor | None = None) -> Tensor:
        """Return pictures (N, C, H, W), made from pictures and features (N, F) of what is drawn."""
        seen = [self.first(pictures)]
        for stage in self.down:
            seen.append(stage(seen[-1]))
        x = self.middle(told(seen.pop(), features))
        for up, join in zip(self.up, self.join, strict=True):
            x = join(up(x) + seen.pop())
        return torch.tanh(self.last(x) + 2 * pictures)


class ResidualBlock(nn.Module):
    """x + f(x), f two 3×3 convolutions (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            _convolution(channels, channels, 3, 1),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of `x` (N, channels, H, W)."""
        return torch.relu(x + self.change(x))


def told(x: Tensor, features: Tensor | None) -> Tensor:
    """Return maps (N, C, H, W) with features (N, F) at each place, (N, C + F, H, W)."""
    if features is None:
        return x
    return torch.cat([x, features[:, :, None, None].expand(-1, -1, *x.shape[2:])], dim=1)


def _convolution(ins: int, outs: int, kernel: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(ins, outs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outs),
        nn.ReLU(),
    )


def _transposed(ins: int, outs: int, stride: int) -> nn.Module:
    kernel = 4 if stride == 2 else 3
    return nn.Sequential(
        nn.ConvTranspose2d(ins, outs, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(outs),
        nn.ReLU(),
    )
