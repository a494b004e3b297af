"""What can be read off a player's module without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

# Layers of torch.nn that compute the same from the same, each time. Named, not imported: declaring
# a game needs no torch.
DETERMINISTIC = frozenset(
    [
        "AdaptiveAvgPool1d",
        "AdaptiveAvgPool2d",
        "AdaptiveAvgPool3d",
        "AdaptiveMaxPool1d",
        "AdaptiveMaxPool2d",
        "AdaptiveMaxPool3d",
        "AvgPool1d",
        "AvgPool2d",
        "AvgPool3d",
        "BatchNorm1d",
        "BatchNorm2d",
        "BatchNorm3d",
        "Bilinear",
        "CELU",
        "ChannelShuffle",
        "ConstantPad1d",
        "ConstantPad2d",
        "ConstantPad3d",
        "Conv1d",
        "Conv2d",
        "Conv3d",
        "ConvTranspose1d",
        "ConvTranspose2d",
        "ConvTranspose3d",
        "CosineSimilarity",
        "ELU",
        "Embedding",
        "Flatten",
        "Fold",
        "GELU",
        "GLU",
        "GroupNorm",
        "Hardshrink",
        "Hardsigmoid",
        "Hardswish",
        "Hardtanh",
        "Identity",
        "InstanceNorm1d",
        "InstanceNorm2d",
        "InstanceNorm3d",
        "LayerNorm",
        "LeakyReLU",
        "Linear",
        "LocalResponseNorm",
        "LogSigmoid",
        "LogSoftmax",
        "MaxPool1d",
        "MaxPool2d",
        "MaxPool3d",
        "Mish",
        "ModuleDict",
        "ModuleList",
        "PReLU",
        "PixelShuffle",
        "PixelUnshuffle",
        "RMSNorm",
        "ReLU",
        "ReLU6",
        "ReflectionPad1d",
        "ReflectionPad2d",
        "ReflectionPad3d",
        "ReplicationPad1d",
        "ReplicationPad2d",
        "ReplicationPad3d",
        "SELU",
        "Sequential",
        "SiLU",
        "Sigmoid",
        "Softmax",
        "Softmax2d",
        "Softmin",
        "Softplus",
        "Softshrink",
        "Softsign",
        "Tanh",
        "Tanhshrink",
        "Threshold",
        "Unflatten",
        "Unfold",
        "Upsample",
        "UpsamplingBilinear2d",
        "UpsamplingNearest2d",
        "ZeroPad1d",
        "ZeroPad2d",
        "ZeroPad3d",
    ]
)


def parameter_count(module: nn.Module) -> int:
    """Return how many parameters a module has; those without a shape yet count as none."""
    sizes = (parameter.numel() for parameter in module.parameters() if not _is_lazy(parameter))
    return sum(sizes)


def may_draw(module: nn.Module) -> bool:
    """Tell whether a module may draw random numbers, as far as its parts tell.

    Only torch's own layers are known not to, and only where nobody has hooked anything to them.

    >>> from torch import nn
    >>> may_draw(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    False
    >>> may_draw(nn.Sequential(nn.Linear(2, 2), nn.Dropout()))
    True
    """
    return not all(_is_deterministic(part) for part in module.modules())


def _is_deterministic(part: nn.Module) -> bool:
    kind = type(part)
    known = kind.__module__.startswith("torch.nn.modules.") and kind.__name__ in DETERMINISTIC
    return known and not (part._forward_hooks or part._forward_pre_hooks)


def _is_lazy(parameter: object) -> bool:
    return type(parameter).__name__.startswith("Uninitialized")
