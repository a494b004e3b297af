"""Backbones without shortcuts: AlexNet and the four depths of VGG.

Their heads are two dense layers with dropout before the classes. Published, these are 4096 wide;
Niu et al. (2022, section 4.3) cut them to 512 or 256: `Dimensions.features`. The features of an
expression are what the second gives.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .initialization import initialize_for_relu
from .trunk import Dimensions, Trunk

DROPOUT = 0.5

# Simonyan and Zisserman 2015, table 1, columns A, B, D and E: the 3×3 convolutions of each stage.
VGG11 = (1, 1, 2, 2, 2)
VGG13 = (2, 2, 2, 2, 2)
VGG16 = (2, 2, 3, 3, 3)
VGG19 = (2, 2, 4, 4, 4)


def vgg(depths: Sequence[int], dimensions: Dimensions) -> Trunk:
    """Make a VGG (Simonyan and Zisserman 2015) for sides of 32 pixels or more.

    Args:
        depths: How many convolutions each of the five stages has.
        dimensions: What it is fitted to. Without `batch_norm` the layers are those of the article.
    """
    layers: list[nn.Module] = []
    channels = dimensions.channels
    for published, depth in zip((64, 128, 256, 512, 512), depths, strict=True):
        for _ in range(depth):
            wide = dimensions.wide(published)
            layers += _convolution(dimensions, channels, wide, 3)
            channels = wide
        layers += [nn.MaxPool2d(2)]
    return _assembled(layers, channels, dimensions.size // 2**5, dimensions)


def alexnet(dimensions: Dimensions) -> Trunk:
    """Make an AlexNet, that of one column (Krizhevsky 2014), for sides of 32 pixels or more.

    Its first convolution strides by 4. Below 96 pixels hardly anything would remain, so there it
    is padded to keep the side and strides by 2, below 48 by 1: the last map has 2×2 cells or more,
    as at 96 pixels.
    """
    stride, padding = _stem(dimensions.size)
    first, second, third, fourth, last = map(dimensions.wide, (64, 192, 384, 256, 256))
    layers = [
        *_convolution(dimensions, dimensions.channels, first, 11, stride, padding),
        nn.MaxPool2d(3, stride=2),
        *_convolution(dimensions, first, second, 5),
        nn.MaxPool2d(3, stride=2),
        *_convolution(dimensions, second, third, 3),
        *_convolution(dimensions, third, fourth, 3),
        *_convolution(dimensions, fourth, last, 3),
        nn.MaxPool2d(3, stride=2),
    ]
    side = (dimensions.size + 2 * padding - 11) // stride + 1
    for _ in range(3):  # pools
        side = (side - 3) // 2 + 1
    return _assembled(layers, last, side, dimensions)


def _stem(size: int) -> tuple[int, int]:
    """Return the stride and the padding of AlexNet's first convolution."""
    if size >= 96:
        return 4, 2
    return (2, 5) if size >= 48 else (1, 5)


def _convolution(
    dimensions: Dimensions,
    ins: int,
    outs: int,
    kernel: int,
    stride: int = 1,
    padding: int | None = None,
) -> list[nn.Module]:
    """Make a convolution that keeps the side unless told otherwise, and what follows it."""
    layers: list[nn.Module] = [
        nn.Conv2d(ins, outs, kernel, stride, kernel // 2 if padding is None else padding)
    ]
    if dimensions.batch_norm:
        layers += [nn.BatchNorm2d(outs)]
    return [*layers, nn.ReLU()]


def _assembled(
    layers: Sequence[nn.Module], channels: int, side: int, dimensions: Dimensions
) -> Trunk:
    """Put two dense layers after convolutions whose last map has side × side cells."""
    features = dimensions.features
    dense = nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * side * side, features),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(features, features),
        nn.ReLU(),
    )
    convolutions = nn.Sequential(*layers).apply(initialize_for_relu)
    return Trunk(convolutions, dense, features, dropout=DROPOUT)
