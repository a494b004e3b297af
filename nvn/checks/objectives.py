"""Problems of objectives: what players minimise, always or in one move."""

from __future__ import annotations

import math
from collections.abc import Iterator

from nvn.checks.context import Played
from nvn.checks.values import foreign
from nvn.errors import Problem
from nvn.game.traversal import roots


def foreign_objectives(played: Played) -> Iterator[Problem]:
    """Yield the values of other games in objectives."""
    for player, where, objective in played.objectives():
        for value in roots([objective]):
            if played.is_foreign(value):
                yield foreign(played, where, f"`{player.name}` descends", value)


def immovable_objectives(played: Played) -> Iterator[Problem]:
    """Yield the objectives that do not depend on who descends them."""
    for player, where, objective in played.objectives():
        if player.name not in played.reached or player.frozen:
            continue  # told by another check
        if not played.graph.moving_terms(player, objective):
            yield Problem(
                where,
                f"`{player.name}` minimises `{objective}`, which does not depend on it",
                f"an energy computed from a call of `{player.name}`, no stop_gradient between",
                f"use a value that `{player.name}` makes",
            )


def bad_weights(played: Played) -> Iterator[Problem]:
    """Yield the weights that are no finite numbers."""
    for _, where, objective in played.objectives():
        for term in objective.terms:
            if not math.isfinite(term.weight.factor):
                found = f"the weight {term.weight.factor} on `{term.energy}`"
                yield Problem(where, found, "a finite weight", "correct the weight")
