"""Averages of players: whose weights follow another's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nvn.game.players import Player

__all__ = ["Average"]


@dataclass(frozen=True)
class Average:
    """How a player's weights follow another's: as an exponential moving average.

    After an iteration in which the other has stepped, with d = 2^(−1 / half-life in iterations),
    every parameter a becomes d·a + (1 − d)·b, of the other's b.

    Attributes:
        player: The player that it is: frozen, so it never steps itself.
        of: The player whose weights it follows.
        half_life: In how many samples, or iterations, the weight of what was is halved.
        unit: Samples of the batch, or iterations in which `of` has stepped.
        buffers: Whether floating buffers are averaged too, or copied. Others are always copied.
    """

    player: Player
    of: Player
    half_life: float
    unit: Literal["samples", "steps"] = "samples"
    buffers: Literal["copy", "average"] = "copy"

    def decay(self, samples: int) -> float:
        """Return d for an iteration whose batch has so many samples."""
        taken = samples if self.unit == "samples" else 1
        return float(0.5 ** (taken / float(self.half_life)))

    def __str__(self) -> str:
        whole = float(self.half_life).is_integer()
        half_life = f"{self.half_life:,.0f}" if whole else f"{self.half_life:,g}"
        return f"average of {self.of.name}, half-life {half_life} {self.unit}"
