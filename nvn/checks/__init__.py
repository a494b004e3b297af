"""Static checks of a game's structure; all problems are reported at once.

Each check is a generator of problems (or of warnings) over a frozen graph. None runs a module.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from nvn.checks.context import CheckContext
from nvn.checks.lint import saturating_maximands, unused_batch_names, unused_frozen, weightless
from nvn.checks.objectives import bad_weights, foreign_objectives, immovable_objectives
from nvn.checks.players import (
    aimless_players,
    foreign_players,
    frozen_who_move,
    parameters_without_shape,
    players_who_cannot_learn,
    shapeless,
    shared_modules,
    unreached_players,
    unscheduled_players,
)
from nvn.checks.schedules import bad_moves
from nvn.checks.values import OF_VALUES, wrong_values
from nvn.errors import GameError, GameWarning
from nvn.game.game import Game
from nvn.game.graph import LossGraph, freeze
from nvn.game.schedule import Schedule
from nvn.game.traversal import called_players
from nvn.game.values import Value

PROBLEMS = (
    wrong_values,
    foreign_objectives,
    shared_modules,
    players_who_cannot_learn,
    parameters_without_shape,
    frozen_who_move,
    foreign_players,
    unreached_players,
    aimless_players,
    unscheduled_players,
    immovable_objectives,
    bad_weights,
    bad_moves,
)
WARNINGS = (unused_batch_names, saturating_maximands, unused_frozen, weightless)


def loss_graph(game: Game, schedules: Sequence[Schedule], *, partial: bool = False) -> LossGraph:
    """Check `game` together with its schedules, and return its frozen graph.

    Args:
        game: The game.
        schedules: How it is played: the main schedule and those of the phases, if any.
        partial: Whether further schedules exist (phases of a recipe): a player that never moves
            in these is then no problem.

    Raises:
        GameError: Listing every problem found.

    Warns:
        GameWarning: For each thing that is valid but probably not meant.
    """
    context = CheckContext(game, freeze(game, schedules), tuple(schedules), partial)
    problems = [*game.problems, *(p for check in PROBLEMS for p in check(context))]
    if problems:
        raise GameError(problems, game.name)
    for check in WARNINGS:
        for problem in check(context):
            warnings.warn(str(problem), GameWarning, stacklevel=3)
    return context.graph


def sound(game: Game, graph: LossGraph, values: Iterable[Value]) -> tuple[Value, ...]:
    """Return the values that pass the checks that look at one value by itself.

    They can be computed on a batch, so that its problems are reported with those of the structure.
    """
    context = CheckContext(game, graph, (), partial=True)
    able = {player.name for player in graph.players if not shapeless(player)}
    return tuple(
        value
        for value in values
        if value.table is graph.table
        and able.issuperset(called_players([value]))
        and not any(True for check in OF_VALUES for _ in check(context, value))
    )
