"""How weights start. Every function is for `module.apply`."""

from __future__ import annotations

from torch import nn


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
