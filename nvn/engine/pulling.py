"""From each energy's part of a gradient to pulls: lengths, shares and angles.

All of it is in the inner products of the parts with one another and with their sum. The parts are
scaled to a largest number of 1 first, so that no square overflows, or vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nvn.engine.interpreter import PullRows
from nvn.game.values import Energy
from nvn.planner.pulling import PullPlan
from nvn.pulls import Pull, Pulls

__all__ = ["Angles", "pulls_of"]


def pulls_of(planned: PullPlan, rows: PullRows, step: int) -> Pulls:
    """Return the pulls that parts of gradients are, after `step` iterations."""
    angles = {player: Angles.of([*own.values()]) for player, own in rows.own.items()}
    teammates = _teammates(planned, rows)
    names = planned.graph.names
    players: dict[str, dict[str, Pull]] = {}
    for player, own in rows.own.items():
        found, energies = angles[player], [*own]
        total = sum(found.norms[:-1])
        players[player] = {
            names[energy]: Pull(
                norm=found.norms[i],
                share=found.norms[i] / total if total else 0.0,
                along=found.cosine(i, len(energies)),
                cosines={
                    names[other]: found.cosine(i, j)
                    for j, other in enumerate(energies)
                    if other is not energy
                },
                teammates=teammates.get((player, energy), {}),
                through=planned.through[player, energy],
            )
            for i, energy in enumerate(energies)
        }
    norms = {player: found.norms[-1] for player, found in angles.items()}
    return Pulls(step, players, norms, planned.counts)


def _teammates(
    planned: PullPlan, rows: PullRows
) -> dict[tuple[str, Energy], dict[str, dict[str, float]]]:
    """Return each pull's cosines with the teammates' whole pulls, where their gradients meet."""
    found: dict[tuple[str, Energy], dict[str, dict[str, float]]] = {}
    for value, parts in rows.met.items():
        name = planned.graph.names[value]
        whole = {mate: _sum(parts, mate) for mate in planned.meetings[value]}
        for (player, energy), row in parts.items():
            for mate, theirs in whole.items():
                if mate != player and theirs is not None:
                    at = found.setdefault((player, energy), {}).setdefault(mate, {})
                    at[name] = Angles.of([row, theirs]).cosine(0, 1)
    return found


def _sum(parts: Mapping[tuple[str, Energy], Tensor], player: str) -> Tensor | None:
    own = [row for (whose, _), row in parts.items() if whose == player]
    return torch.stack(own).sum(0) if own else None


@dataclass(frozen=True)
class Angles:
    """The lengths of some vectors and of their sum, which is the last, and the angles between.

    >>> angles = Angles.of([torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])])
    >>> angles.norms, angles.cosine(0, 1), round(angles.cosine(0, 2), 2)
    ((3.0, 4.0, 5.0), 0.0, 0.6)
    """

    norms: tuple[float, ...]
    products: tuple[tuple[float, ...], ...]  # of the vectors, scaled

    @staticmethod
    def of(vectors: Sequence[Tensor]) -> Angles:
        """Measure vectors of one length, with one wait for the device."""
        every = torch.stack([*vectors])
        every = torch.cat([every, every.sum(0, keepdim=True)])
        scales = every.abs().amax(1, keepdim=True)
        scaled = every / torch.where(scales > 0, scales, 1.0)
        numbers = torch.cat([scales, scaled @ scaled.T], dim=1).cpu().double().tolist()
        products = tuple(tuple(row[1:]) for row in numbers)
        norms = tuple(row[0] * math.sqrt(products[i][i]) for i, row in enumerate(numbers))
        return Angles(norms, products)

    def cosine(self, i: int, j: int) -> float:
        """Return the cosine of the angle between two of them; 0 if one has no length."""
        lengths = math.sqrt(self.products[i][i]) * math.sqrt(self.products[j][j])
        if lengths == 0.0:
            return 0.0
        cosine = self.products[i][j] / lengths
        return max(-1.0, min(1.0, cosine)) if math.isfinite(cosine) else math.nan
