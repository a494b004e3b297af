"""Pools of players' earlier selves: which one a player is in an iteration, and what is kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from torch import Tensor, nn

from nvn.engine.counters import Counters
from nvn.game.past import Past
from nvn.streams import key_of

__all__ = ["PastSelves", "Pool", "keep_self", "self_of"]

Pool: TypeAlias = list[dict[str, Any]]
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

    def begin(self, *, present: bool) -> None:
        """Begin with what the other is at first; with `present`, be that."""
        self.pool[:] = [self_of(self._other)]
        if present:
            self._own.load_state_dict(self.pool[0])

    def choose(self, counters: Counters) -> None:
        """Be one out of the pool, drawn for the iteration that these counters are before."""
        self._own.load_state_dict(self.pool[counters.draw_seed(self._key) % len(self.pool)])

    def keep(self, before: int, now: int) -> None:
        """Keep what the other is, if its steps have come to another multiple of `every`."""
        past = self._past
        keep_self(self.pool, self._other, before, now, every=past.every, keep=past.keep)

    def back(self) -> Callable[[], object]:
        """Return what lets one be again what one is now."""
        return partial(self._own.load_state_dict, self_of(self._own))

    @property
    def of(self) -> str:
        """The player whose earlier selves are kept."""
        return self._past.of.name


# Torch, and what stands by itself: an ejected loop takes these along.
def self_of(module: nn.Module) -> dict[str, Any]:
    """Return a copy of a module's state."""
    return {
        name: x.detach().clone() if isinstance(x, Tensor) else copy.deepcopy(x)
        for name, x in module.state_dict().items()
    }


def keep_self(
    pool: list[dict[str, Any]], module: nn.Module, before: int, now: int, *, every: int, keep: int
) -> None:
    """Put a module into a pool of the latest `keep`, if its steps came to a multiple of `every`.

    Args:
        pool: The states in it, the earliest first.
        module: The module.
        before: The steps that it had taken before this iteration.
        now: Those that it has taken now.
        every: The steps between two that are kept.
        keep: How many are kept.
    """
    if now // every > before // every:
        pool.append(self_of(module))
        del pool[:-keep]
