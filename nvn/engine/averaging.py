"""Averages of players' weights, brought up to date after an iteration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from nvn.engine.runtime import buffers_at, can_learn, overwrite, places_of, tensors
from nvn.game.averages import Average

__all__ = ["Averaging", "follow", "sampled"]


class Averaging:
    """Keeps one player's weights the average of another's (nvn/game/averages.py).

    Args:
        average: What follows what, and how.
        modules: The players' modules.
        entries: The names of the entries of a batch that the game reads, in its order.
    """

    def __init__(
        self, average: Average, modules: Mapping[str, nn.Module], entries: Iterable[str]
    ) -> None:
        self._average = average
        self._own = modules[average.player.name]
        self._followed = modules[average.of.name]
        self._entries = [*entries]

    @property
    def of(self) -> str:
        """The player whose weights are followed."""
        return self._average.of.name

    def begin(self) -> None:
        """Begin as a copy."""
        self._own.load_state_dict(self._followed.state_dict())

    def update(self, batch: Mapping[str, Any], processes: int = 1) -> None:
        """Take in the weights of now, after an iteration of such a batch in each process."""
        taken = 1
        if self._average.unit == "samples":
            entry = sampled(batch, self._entries)
            taken = processes * (1 if entry is None else len(tensors(batch[entry])[0]))
        decay = self._average.decay(taken)
        follow(self._own, self._followed, decay, buffers=self._average.buffers == "average")


def sampled(batch: Mapping[str, Any], entries: Iterable[str]) -> str | None:
    """Return the first of a batch's entries that has a length: the number of samples."""
    for name in entries:
        found = tensors(batch.get(name))
        if found and found[0].dim():
            return name
    return None


# Torch, and what stands by itself: an ejected loop takes it along.
def follow(own: nn.Module, other: nn.Module, decay: float, *, buffers: bool = False) -> None:
    """Let a module's weights a follow another's, b: a becomes decay·a + (1 − decay)·b.

    Buffers become those of the other; with `buffers`, floating ones that are saved follow too.
    """
    averaged: dict[int, tuple[Tensor, Tensor]] = {}  # by identity: what is tied is one tensor
    copied: dict[int, tuple[Tensor, Tensor]] = {}
    odd: dict[tuple[nn.Module, str], Tensor | None] = {}
    for a, b in zip(own.parameters(), other.parameters(), strict=True):
        (averaged if can_learn(a) else copied)[id(a)] = (a.detach(), b.detach())
    for (part, name), (its, _) in zip(places_of(own), places_of(other), strict=True):
        old, new = getattr(part, name), getattr(its, name)
        if old is None or new is None:
            odd[part, name] = None if new is None else new.clone()
        elif old.shape != new.shape or 0 in old.stride():
            odd[part, name] = new
        else:
            tied = averaged.get(id(old)) or copied.get(id(old))
            if tied is not None and tied[1] is not new:  # no longer so in the other
                setattr(part, name, old := old.clone())
            saved = name not in getattr(part, "_non_persistent_buffers_set", ())
            floating = buffers and saved and can_learn(old)
            (averaged if floating else copied)[id(old)] = (old, new)
    with torch.no_grad():
        if averaged:
            mine, its_own = map(list, zip(*averaged.values(), strict=True))
            get_ema_multi_avg_fn(decay)(mine, its_own, 1)  # type: ignore[no-untyped-call]
        if copied:
            mine, its_own = map(list, zip(*copied.values(), strict=True))
            torch._foreach_copy_(mine, its_own)
        overwrite(buffers_at(odd), odd)
