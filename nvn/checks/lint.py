"""What is legal but probably not meant: said as a warning."""

from __future__ import annotations

from collections.abc import Iterator

from nvn.checks.context import Played
from nvn.errors import Problem
from nvn.game.ops import Apply, Sample
from nvn.game.traversal import batch_names


def unused_batch_names(played: Played) -> Iterator[Problem]:
    """Yield the entries of the batch that nothing uses."""
    used = batch_names(played.graph.nodes)
    samples = any(isinstance(n.op, Sample) for n in played.graph.nodes)  # these see all names
    for value in played.game.batch_values:
        name = str(value)
        if name not in used and not played.partial and not samples:
            edit = "remove it from game.batch(…)"
            yield Problem(str(value.where), f"{name!r} of the batch is never used", "", edit)


def saturating_maximands(played: Played) -> Iterator[Problem]:
    """Yield the maximised energies whose gradient vanishes."""
    for told in played.game.table.notes.maximized:
        if isinstance(told.energy.op, Apply) and told.energy.op.saturating:
            found = (
                f"`{told.player}` maximises `{told.energy}`, whose gradient vanishes when the "
                "critic is sure (Goodfellow et al. 2014, section 3)"
            )
            edit = f"`{told.player}.minimizes(adv.fool(…))` of en.NonSaturating()"
            yield Problem(str(told.where), found, "", edit)


def unused_frozen(played: Played) -> Iterator[Problem]:
    """Yield the frozen players whom no objective uses."""
    for player in played.graph.players:
        if player.frozen and player.name not in played.reached and not played.partial:
            found = f"the frozen `{player.name}` is called by nothing that anybody minimises"
            yield Problem(str(player.where), found, "", "remove it, if nothing else needs it")


def weightless(played: Played) -> Iterator[Problem]:
    """Yield the objectives whose weights are all zero."""
    for player, where, objective in played.objectives():
        terms = played.graph.moving_terms(player, objective)
        if terms and all(term.weight.factor == 0.0 for term in terms):
            found = f"`{player.name}` minimises `{objective}`, every weight of which is always zero"
            edit = "do its terms cancel? Declare it frozen if it shall not learn"
            yield Problem(where, found, "", edit)
