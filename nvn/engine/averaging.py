"""Averages of players' weights, brought up to date after an iteration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from nvn.game.averages import Average

__all__ = ["Averaging"]


class Averaging:
    """Keeps one player's weights the average of another's (nvn/game/averages.py).

    Args:
        average: What follows what, and how.
        modules: The players' modules.
    """

    def __init__(self, average: Average, modules: Mapping[str, nn.Module]) -> None:
        self._average = average
        self._own = modules[average.player.name]
        self._followed = modules[average.of.name]
        averaged = [*zip(self._own.parameters(), self._followed.parameters(), strict=True)]
        copied: list[tuple[Tensor, Tensor]] = []
        for own, other in zip(self._own.buffers(), self._followed.buffers(), strict=True):
            floating = own.is_floating_point() and average.buffers == "average"
            (averaged if floating else copied).append((own, other))  # type: ignore[arg-type]
        self._pairs = averaged
        self._copied = copied

    @property
    def of(self) -> str:
        """The player whose weights are followed."""
        return self._average.of.name

    def begin(self) -> None:
        """Begin as a copy."""
        self._own.load_state_dict(self._followed.state_dict())

    @torch.no_grad()
    def update(self, batch: Mapping[str, Any]) -> None:
        """Take in the weights of now, after an iteration of this batch."""
        decay = self._average.decay(_samples(batch))
        own = [a.detach() for a, _ in self._pairs]
        other = [b.detach() for _, b in self._pairs]
        if own:
            get_ema_multi_avg_fn(decay)(own, other, 1)  # type: ignore[no-untyped-call]
        for buffer, now in self._copied:
            buffer.copy_(now)


def _samples(batch: Mapping[str, Any]) -> int:
    """Return how many samples a batch has: the length of its first tensor."""
    return next((len(x) for x in batch.values() if isinstance(x, Tensor) and x.dim()), 1)
