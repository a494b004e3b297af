"""How networks start: their weights, by functions for `module.apply`, and their memory."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def initialize_as_published(module: nn.Module) -> None:
    """Draw weights from N(0, 0.01²) and set biases to 1 (Niu et al. 2022, section 4.2)."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.ones_(module.bias)


def initialize_for_relu(module: nn.Module) -> None:
    """Draw a convolution's weights so that a ReLU after it keeps the variance (He et al. 2015).

    Nineteen layers without BatchNorm need it: with torch's own draw, each halves the signal.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def laid_out(module: Network) -> Network:
    """Return a module, its memory laid out so that convolutions run faster on CPUs."""
    # torch's annotations don't know the argument alone.
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
