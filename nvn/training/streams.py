"""The global random streams of a process: what draws from them is no function of the seed alone.

nvn's own draws do not depend on them (nvn/engine/seeding.py); a recipe's data, its evaluations
and a plugin may.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["set_streams", "streams"]


def streams() -> dict[str, Any]:
    """Return how far Python's, NumPy's and torch's global streams have come.

    >>> before = streams()
    >>> drawn = random.random(), np.random.rand(), torch.rand(()).item()
    >>> set_streams(before)
    >>> (random.random(), np.random.rand(), torch.rand(()).item()) == drawn
    True
    """
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
        "cuda": cuda,
    }


def set_streams(state: Mapping[str, Any]) -> None:
    """Let the global streams continue from what `streams` returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    # A machine with fewer devices goes on with those that it has.
    for device, stream in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
        torch.cuda.set_rng_state(stream, device)
