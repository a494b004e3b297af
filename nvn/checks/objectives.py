"""Problems of objectives: of players, and of single moves (`toward=`)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from nvn.checks.context import CheckContext
from nvn.checks.values import foreign
from nvn.errors import Problem
from nvn.game.traversal import roots


def foreign_objectives(context: CheckContext) -> Iterator[Problem]:
    """Yield the objectives that contain values of another game."""
    for player, where, objective in context.objectives():
        for value in roots([objective]):
            if context.is_foreign(value):
                yield foreign(context, where, f"`{player.name}` minimizes", value)


def immovable_objectives(context: CheckContext) -> Iterator[Problem]:
    """Yield the objectives that do not depend on the player that minimizes them."""
    for player, where, objective in context.objectives():
        if player.name not in context.reached or player.frozen:
            continue  # reported by another check
        if not context.graph.moving_terms(player, objective):
            yield Problem(
                where,
                f"the objective of `{player.name}` does not depend on it: `{objective}`",
                f"an energy computed from a call of `{player.name}`, without stop_gradient between",
                f"compute the energy from a call `{player.name}(…)`",
            )


def bad_weights(context: CheckContext) -> Iterator[Problem]:
    """Yield the weights that are not finite."""
    for _, where, objective in context.objectives():
        for term in objective.terms:
            if not math.isfinite(term.weight.factor):
                found = f"the weight {term.weight.factor} on `{term.energy}`"
                yield Problem(where, found, "a finite number", "correct the weight")
