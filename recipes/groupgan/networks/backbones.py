"""The eight published backbones of Niu et al. (2022, section 4.3), and a small one, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal

from .plain import VGG11, VGG13, VGG16, VGG19, alexnet, vgg
from .resnet import RESNET18, RESNET34, RESNET50, resnet
from .trunk import Dimensions, Trunk, small

SMALLEST = 32  # pixels a side, for a published backbone

BackboneName = Literal[
    "small",
    "alexnet",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "resnet18",
    "resnet34",
    "resnet50",
]

PUBLISHED: Mapping[str, Callable[[Dimensions], Trunk]] = MappingProxyType(
    {
        "alexnet": alexnet,
        "vgg11": partial(vgg, VGG11),
        "vgg13": partial(vgg, VGG13),
        "vgg16": partial(vgg, VGG16),
        "vgg19": partial(vgg, VGG19),
        "resnet18": partial(resnet, RESNET18, "basic"),
        "resnet34": partial(resnet, RESNET34, "basic"),
        "resnet50": partial(resnet, RESNET50, "bottleneck"),
    }
)


def backbone(name: BackboneName, dimensions: Dimensions, width: int = 16) -> Trunk:
    """Make a backbone without its last layer.

    Args:
        name: Which one.
        dimensions: What it is fitted to. A published one needs sides of `SMALLEST` or more.
        width: The channels of the first layer of the small one; the others don't look at it.
    """
    return small(dimensions, width) if name == "small" else PUBLISHED[name](dimensions)
