"""What is valid but probably not meant: reported as a warning."""

from __future__ import annotations

from collections.abc import Iterator

from nvn.checks.context import CheckContext
from nvn.errors import Problem
from nvn.game.ops import Apply, Sample
from nvn.game.traversal import batch_names


def unused_batch_names(context: CheckContext) -> Iterator[Problem]:
    """Yield the names of the batch that nothing uses."""
    used = batch_names(context.graph.nodes)
    # A sample's function is given the whole batch, and may use any name of it.
    samples = any(isinstance(node.op, Sample) for node in context.graph.nodes)
    for value in context.game.batch_values:
        name = str(value)
        if name not in used and not context.partial and not samples:
            edit = "remove it from game.batch(…)"
            yield Problem(str(value.where), f"{name!r} of the batch is never used", "", edit)


def saturating_maximands(context: CheckContext) -> Iterator[Problem]:
    """Yield the maximized energies whose gradient vanishes."""
    for item in context.game.table.notes.maximized:
        if isinstance(item.energy.op, Apply) and item.energy.op.saturating:
            found = (
                f"`{item.player}` maximizes `{item.energy}`, whose gradient vanishes when the "
                "critic is confident (Goodfellow et al. 2014, section 3)"
            )
            edit = f"use `{item.player}.minimizes(adv.fool(…))`, adv = en.NonSaturating()"
            yield Problem(str(item.where), found, "", edit)


def unused_frozen(context: CheckContext) -> Iterator[Problem]:
    """Yield the frozen players that no objective depends on."""
    for player in context.graph.players:
        if player.name in context.graph.averages:
            continue  # it is there to be evaluated
        if player.frozen and player.name not in context.reached and not context.partial:
            found = f"no objective depends on the frozen player `{player.name}`"
            yield Problem(str(player.where), found, "", "remove it if nothing else needs it")


def weightless(context: CheckContext) -> Iterator[Problem]:
    """Yield the objectives whose weights are all zero."""
    for player, where, objective in context.objectives():
        terms = context.graph.moving_terms(player, objective)
        if terms and all(term.weight.factor == 0.0 for term in terms):
            found = f"all weights of the objective of `{player.name}` are zero: `{objective}`"
            edit = "do its terms cancel? If it is not to learn, declare it with `game.frozen`"
            yield Problem(where, found, "", edit)
