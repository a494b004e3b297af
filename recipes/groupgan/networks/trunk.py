"""What all backbones are: convolutions, then dense layers; and the small one of our own.

Letters: N pictures of C channels and H×W pixels; F features.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .pictures import CHANNELS, standardized


@dataclass(frozen=True)
class Dimensions:
    """What a backbone is fitted to.

    Attributes:
        size: The side of the pictures, in pixels.
        features: How many features come out (F), and the width of the dense layers.
        channels: The channels of the pictures (C).
        share: The channels of the convolutions, as a share of the published ones.
        batch_norm: Whether AlexNet and VGG normalize after each convolution.
    """

    size: int
    features: int
    channels: int = CHANNELS
    share: float = 1.0
    batch_norm: bool = True

    def wide(self, published: int) -> int:
        """Return the channels of a convolution: the share of the published, a multiple of 8."""
        return max(8, round(self.share * published / 8) * 8)


class Trunk(nn.Module):
    """A backbone without its last layer.

    A picture is first standardized, so that light and contrast tell nothing.

    Attributes:
        features: How many features come out (F).
        dropout: The probability of dropping a feature before the last layer, while training.
    """

    def __init__(
        self, convolutions: nn.Module, dense: nn.Module, features: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.dense = dense
        self.features = features
        self.dropout = dropout

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features (N, F) of pictures (N, C, H, W)."""
        features: Tensor = self.dense(self.convolutions(standardized(pictures)))
        return features


def convolution(ins: int, outs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Make a convolution that keeps the side but for its stride, BatchNorm and a ReLU."""
    return [
        nn.Conv2d(ins, outs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outs),
        nn.ReLU(),
    ]


def small(dimensions: Dimensions, width: int) -> Trunk:
    """Make a backbone of our own that trains in seconds, for sides of 16 pixels or more.

    Four 3×3 convolutions of `width` times 1, 2, 4 and 8 channels, each with BatchNorm and a pool,
    then one dense layer. `dimensions.share` and `batch_norm` don't concern it.
    """
    layers: list[nn.Module] = []
    channels = dimensions.channels
    for wide in (width * k for k in (1, 2, 4, 8)):
        layers += [*convolution(channels, wide, 3), nn.MaxPool2d(2)]
        channels = wide
    side = dimensions.size // 2**4
    dense = nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(channels * side * side, dimensions.features),
        nn.ReLU(),
    )
    return Trunk(nn.Sequential(*layers), dense, dimensions.features)
