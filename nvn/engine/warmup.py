"""Steps with a part of the learning rate: the first ones, of an optimizer that warms up."""

from __future__ import annotations

import torch

__all__ = ["step_in_part", "step_warming_up"]


# Torch, and what stands by itself: an ejected loop takes these along.
def step_in_part(optimizer: torch.optim.Optimizer, part: float) -> None:
    """Step with a part of each learning rate; afterwards it is the whole, as schedules expect."""
    rates = [group["lr"] for group in optimizer.param_groups]
    try:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * part
        optimizer.step()
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def step_warming_up(optimizer: torch.optim.Optimizer, steps: int) -> None:
    """Step; the first so many times with 1/steps, 2/steps, …, 1 of the learning rate.

    How many were taken is part of the optimizer's state, in its first group.
    """
    taken = optimizer.param_groups[0].get("warmed", 0) + 1
    if taken > steps:
        optimizer.step()
        return
    step_in_part(optimizer, taken / steps)
    optimizer.param_groups[0]["warmed"] = taken
