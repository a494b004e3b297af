"""Pools of players' earlier selves: which one a player is in an iteration, and what is kept."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nvn.engine.counters import Counters
from nvn.game.past import Past
from nvn.streams import key_of, mixed

__all__ = ["PastSelves", "Pool"]

Pool = list[dict[str, Tensor]]
"""States of a module, the earliest first."""


class PastSelves:
    """Lets one player be earlier selves of another (nvn/game/past.py).

    Args:
        past: What is kept of whom.
        modules: The players' modules.
        pool: What is kept so far; the run's state, which this changes.
    """

    def __init__(self, past: Past, modules: Mapping[str, nn.Module], pool: Pool) -> None:
        self._past = past
        self._own = modules[past.player.name]
        self._other = modules[past.of.name]
        self._key = key_of(past.player.name)
        self.pool = pool

    def begin(self) -> None:
        """Begin with what the other is at first."""
        self.pool[:] = [self._now()]

    def choose(self, counters: Counters) -> None:
        """Be one out of the pool, drawn for the iteration that these counters are before."""
        drawn = mixed(counters.seed % 2**64, self._key, counters.batches) % len(self.pool)
        self._own.load_state_dict(self.pool[drawn])

    def keep(self, before: int, now: int) -> None:
        """Keep what the other is, if its steps have come to another multiple of `every`."""
        if now // self._past.every > before // self._past.every:
            self.pool.append(self._now())
            del self.pool[: -self._past.keep]

    @property
    def of(self) -> str:
        """The player whose earlier selves are kept."""
        return self._past.of.name

    def _now(self) -> dict[str, Tensor]:
        with torch.no_grad():
            return {name: x.detach().clone() for name, x in self._other.state_dict().items()}
