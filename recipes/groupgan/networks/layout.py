"""How the memory of networks is laid out."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def laid_out(module: Network) -> Network:
    """Return a module, its memory laid out so that convolutions run faster on CPUs."""
    # torch's annotations don't know the argument alone.
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
