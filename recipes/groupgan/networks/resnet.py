"""Backbones with shortcuts: ResNets of 18, 34 and 50 layers (He et al. 2016, table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from .initialization import initialize_for_relu
from .trunk import Dimensions, Trunk, convolution

RESNET18 = (2, 2, 2, 2)
RESNET34 = RESNET50 = (3, 4, 6, 3)

Kind = Literal["basic", "bottleneck"]


def resnet(
    depths: Sequence[int], kind: Kind, dimensions: Dimensions, *, projected: bool = True
) -> Trunk:
    """Make a ResNet for sides of 32 pixels or more.

    It starts by making maps of a quarter of the side: a convolution strides by 2, a pool by 2.
    Where the last map would have fewer than 3×3 cells, which is what 96 pixels give, the pool is
    left out, and if that is not enough, the convolution keeps the side.

    Args:
        depths: How many blocks each of the four stages has.
        kind: Blocks of two convolutions, or of three of which the middle one is narrow.
        dimensions: What it is fitted to; `batch_norm` does not concern it.
        projected: Whether a dense layer and a ReLU make `dimensions.features` features of the
            averages of the last maps. The published network has none: its last layer sees the
            averages. Niu et al. (2022) take 256 features from every backbone, so we need one.
    """
    channels = dimensions.wide(64)
    layers = _stem(dimensions, channels)
    for stage, (published, depth) in enumerate(zip((64, 128, 256, 512), depths, strict=True)):
        width = dimensions.wide(published)
        for number in range(depth):
            block = Block(channels, width, kind, stride=2 if stage and not number else 1)
            layers += [block]
            channels = block.channels
    dense: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if projected:
        dense += [nn.Linear(channels, dimensions.features), nn.ReLU()]
    convolutions = nn.Sequential(*layers).apply(initialize_for_relu)
    features = dimensions.features if projected else channels
    return Trunk(convolutions, nn.Sequential(*dense), features)


class Block(nn.Module):
    """ReLU(x + f(x)), f two or three convolutions; where f changes the shape, x is projected.

    A bottleneck strides in its 3×3 convolution, as most have since Goyal et al. (2017); published
    it strode in the 1×1 before it, which skips three cells of four. The parameters are the same.

    Attributes:
        channels: How many channels come out.
    """

    def __init__(self, ins: int, width: int, kind: Kind, stride: int) -> None:
        super().__init__()
        self.channels = width if kind == "basic" else 4 * width
        if kind == "basic":
            layers = [*convolution(ins, width, 3, stride), *convolution(width, width, 3)]
        else:
            layers = [
                *convolution(ins, width, 1),
                *convolution(width, width, 3, stride),
                *convolution(width, self.channels, 1),
            ]
        self.change = nn.Sequential(*layers[:-1])  # the last ReLU follows the sum
        self.shortcut = nn.Sequential()
        if stride > 1 or ins != self.channels:
            self.shortcut = nn.Sequential(*convolution(ins, self.channels, 1, stride)[:-1])
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor (N, channels, H/stride, W/stride) of x (N, ins, H, W)."""
        y: Tensor = self.relu(self.shortcut(x) + self.change(x))
        return y


def _stem(dimensions: Dimensions, channels: int) -> list[nn.Module]:
    """Make what precedes the blocks. These halve the side three times, rounding up."""
    pool = [nn.MaxPool2d(3, stride=2, padding=1)]
    stride, pools = next(
        (stride, pools)
        for stride, pools in ((2, pool), (2, []), (1, []))
        if stride == 1 or -(-dimensions.size // (stride * 2 ** len(pools) * 8)) >= 3
    )
    return [*convolution(dimensions.channels, channels, 7, stride), *pools]
